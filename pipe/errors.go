package pipe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/tandem-ipc/tandem/shm"
)

type sentinel struct {
	text string
	is   []error
}

func (e *sentinel) Error() string { return e.text }

func (e *sentinel) Is(target error) bool {
	for _, is := range e.is {
		if target == is {
			return true
		}
	}
	return false
}

var (
	// ErrClosed is returned for an end that this process has closed or passed on. It matches os.ErrClosed.
	ErrClosed error = &sentinel{"this end is closed", []error{os.ErrClosed, shm.ErrClosed}}

	// ErrPeerClosed is returned by sends when everyone who held the other end has closed it. It matches io.ErrClosedPipe
	// and syscall.EPIPE.
	ErrPeerClosed error = &sentinel{"the other end is closed", []error{io.ErrClosedPipe, syscall.EPIPE}}

	// ErrBusy is returned when another living process already sends from this end, or receives at it. It matches shm.ErrBusy.
	ErrBusy error = &sentinel{"another process uses this end", []error{shm.ErrBusy, syscall.EBUSY}}

	// ErrFull is returned by Try sends when there is no room now. It matches syscall.EAGAIN.
	ErrFull error = &sentinel{"full", []error{syscall.EAGAIN}}

	// ErrEmpty is returned by Try receives when there is nothing now. It matches syscall.EAGAIN.
	ErrEmpty error = &sentinel{"empty", []error{syscall.EAGAIN}}

	// ErrDirection is returned for a send on the receiving end of a simplex connection, or the other way round.
	ErrDirection = errors.New("this end has no such direction")

	// ErrOrder is returned for a Commit without Reserve, an Ack without Receive.
	ErrOrder = errors.New("out of order")
)

// A PeerDied is returned when the last process that held the other end died: by sends at once, by receives once
// everything it had committed was received.
type PeerDied struct {
	PID     int    // as the process saw itself; 0 if no longer known
	Command string // likewise
}

func (e *PeerDied) Error() string {
	if e.PID == 0 {
		return "the process at the other end died"
	}
	return fmt.Sprintf("the process at the other end died: %d (%s)", e.PID, e.Command)
}

// A TooLargeError is returned for a message that the Space can never hold.
type TooLargeError struct{ Size, Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("a message of %d bytes, the Space has a limit of %d", e.Size, e.Limit)
}
