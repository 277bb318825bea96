//go:build unix

package sweep

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Journal is private memory of one trial, shared by its victim and its survivors. Writing it is a plain store outside
// the watched files, so it adds no kill point, and it outlives the victim. Each trial starts with zeros. The victim
// writes, survivors read.
type Journal struct {
	mem   []byte
	words *[journalWords]atomic.Uint64
}

const (
	journalSize  = 4096
	journalWords = journalText / 8
	journalText  = 2048

	// JournalLen is the number of words for Set and Get.
	JournalLen = journalWords - 8

	wordReturned = JournalLen
	wordTextLen  = JournalLen + 1
)

func mapJournal(f *os.File) (*Journal, error) {
	mem, err := syscall.Mmap(int(f.Fd()), 0, journalSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("sweep: map the journal: %w", err)
	}
	return &Journal{mem: mem, words: (*[journalWords]atomic.Uint64)(unsafe.Pointer(&mem[0]))}, nil
}

// Set writes word i.
func (j *Journal) Set(i int, v uint64) { j.words[:JournalLen][i].Store(v) }

// Get reads word i.
func (j *Journal) Get(i int) uint64 { return j.words[:JournalLen][i].Load() }

// Returned says whether the operation has returned without an error.
func (j *Journal) Returned() bool { return j.words[wordReturned].Load() != 0 }

func (j *Journal) setReturned() { j.words[wordReturned].Store(1) }

// SetText writes up to 2 KiB of text, which is not atomic.
func (j *Journal) SetText(s string) {
	n := copy(j.mem[journalText:], s)
	j.words[wordTextLen].Store(uint64(n))
}

// Text reads it.
func (j *Journal) Text() string {
	n := min(j.words[wordTextLen].Load(), journalSize-journalText)
	return string(j.mem[journalText:][:n])
}

func (j *Journal) unmap() { syscall.Munmap(j.mem) }
