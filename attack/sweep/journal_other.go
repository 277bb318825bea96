//go:build !unix

package sweep

// Journal is private memory of one trial. There are no trials here.
type Journal struct{}

// JournalLen is the number of words for Set and Get.
const JournalLen = 0

// Set does nothing.
func (j *Journal) Set(i int, v uint64) {}

// Get gives 0.
func (j *Journal) Get(i int) uint64 { return 0 }

// Returned gives false.
func (j *Journal) Returned() bool { return false }

// SetText does nothing.
func (j *Journal) SetText(s string) {}

// Text gives nothing.
func (j *Journal) Text() string { return "" }
