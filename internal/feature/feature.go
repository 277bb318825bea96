// Package feature names the kernel features that Tandem probes for, and lets a user or a test force one off:
// TANDEM_DISABLE=waitv,otmpfile. Each probe stands where the feature is used; this package only says whether it may look.
package feature

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
)

// A Feature is a kernel feature with a fallback.
type Feature string

const (
	WaitV      Feature = "waitv"      // futex_waitv (Linux 5.16): else several words are polled every 20 ms
	TmpFile    Feature = "otmpfile"   // O_TMPFILE in the directory: else a temporary name and a rename
	Membarrier Feature = "membarrier" // membarrier global expedited (4.16): else every publication fences
	MapLock    Feature = "maplock"    // locks that live as long as the mapping: else a descriptor is kept
	RobustList Feature = "robustlist" // the kernel marks life words: else deaths are found by probing
	PidFD      Feature = "pidfd"      // poll a child's end: else a thread waits for each child
	Populate   Feature = "populate"   // MADV_POPULATE_WRITE (5.14): else given-back memory is reserved by its file's name
)

// Poller is no kernel feature: the goroutine of each Space that watches others. Without it deaths are found by whoever
// waits for the dead, or settles on demand. It can be turned off to attack what it would do otherwise.
const Poller Feature = "poller"

// About says since which kernel there is a feature, and what is done without it.
func (f Feature) About() (since, without string) {
	switch f {
	case WaitV:
		return "5.16", "each Space's poller wakes 50 times a second, and learns of a death up to 20 ms later"
	case TmpFile:
		return "3.11, and the file system", "files are born under a temporary name"
	case Membarrier:
		return "4.16", "each message costs a fence, some ns"
	case MapLock:
		return "3.17", "each segment keeps a descriptor open"
	case RobustList:
		return "2.6.17", "deaths are found by asking, up to a second later"
	case PidFD:
		return "5.3", "a thread waits for each child"
	case Populate:
		return "5.14", "memory that was given back is reserved by its file's name"
	}
	return "", ""
}

// All lists every feature of the kernel.
var All = []Feature{WaitV, TmpFile, Membarrier, MapLock, RobustList, PidFD, Populate}

var disabled = sync.OnceValue(func() []string {
	return strings.FieldsFunc(os.Getenv("TANDEM_DISABLE"), func(r rune) bool { return r == ',' || r == ' ' })
})

// Check tells what TANDEM_DISABLE names that is no feature.
func Check() error {
	known := append([]Feature{Poller}, All...)
	for _, name := range disabled() {
		if !slices.Contains(known, Feature(name)) {
			return fmt.Errorf("TANDEM_DISABLE=%s: %q is no feature, want some of %v: %w", os.Getenv("TANDEM_DISABLE"), name, known, fs.ErrInvalid)
		}
	}
	return nil
}

// Off tells whether f is forced off by TANDEM_DISABLE. The environment is read once.
func (f Feature) Off() bool { return slices.Contains(disabled(), string(f)) }
