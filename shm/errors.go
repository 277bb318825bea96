package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// sentinel is an error of ours that also matches one of the standard library.
type sentinel struct {
	text string
	is   error
}

func (e *sentinel) Error() string        { return e.text }
func (e *sentinel) Is(target error) bool { return e.is != nil && target == e.is }

// Errors of this package, and of the packages that build on it. They come wrapped in what they are about.
var (
	// ErrNoSpace is returned when the Space's limit or the file system is used up. It matches syscall.ENOSPC.
	ErrNoSpace error = &sentinel{"no space left in shared memory", syscall.ENOSPC}

	// ErrCorrupt is returned when shared memory holds what no Tandem process writes.
	ErrCorrupt = errors.New("shared memory is damaged")

	// ErrBusy is returned when a bounded retry found something held by another process all the time.
	ErrBusy error = &sentinel{"held by another process", syscall.EBUSY}

	// ErrClosed is returned by operations on what this process has closed. It matches os.ErrClosed.
	ErrClosed error = &sentinel{"closed", os.ErrClosed}

	// ErrGone is returned for a Handle whose object has been freed: all who held it have closed it or died. It matches
	// fs.ErrNotExist.
	ErrGone error = &sentinel{"the object does not exist any more", fs.ErrNotExist}

	// ErrTooMany is returned when a fixed number of places is used up: members of a Space, holders of an object.
	ErrTooMany = errors.New("too many")

	// ErrName is returned for a name that cannot be one.
	ErrName error = &sentinel{"not a valid name", fs.ErrInvalid}

	// ErrNoPart is returned by Part where there is no part of that place. It matches ErrCorrupt: only its maker may meet it.
	ErrNoPart error = &sentinel{"no such part", ErrCorrupt}

	// ErrNoTracker is returned by TrackerError in a process tree that has no tracker.
	ErrNoTracker = errors.New("no tracker")

	// ErrKind is returned when a Handle names an object of another kind than the one asked for.
	ErrKind = errors.New("another kind of object")
)

// A VersionError is returned for a segment whose layout is not the one of this build.
type VersionError struct {
	Path       string
	Have, Want uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("shm: %s has layout version %d, this program has version %d", e.Path, e.Have, e.Want)
}

// A TypeError is returned when an object holds values of another type than the one it is opened for.
type TypeError struct {
	Have, Want string // names of the types, with their sizes and hashes
}

func (e *TypeError) Error() string {
	return fmt.Sprintf("shm: the object holds %s, opened as %s", e.Have, e.Want)
}

// A MemberDied tells which process died while somebody relied on it.
type MemberDied struct {
	Member  Member
	PID     int    // as it saw itself; 0 if no longer known
	Command string // likewise
}

func (e *MemberDied) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("member %v died", e.Member)
	}
	return fmt.Sprintf("process %d (%s) died", e.PID, e.Command)
}

// retryFor bounds every retry that waits for another process to get out of the way.
const retryFor = 250 * time.Millisecond

var errLinux = fmt.Errorf("shm: shared memory needs Linux: %w", errors.ErrUnsupported)
