package shm

import "fmt"

// EnvTracker turns the tracker off: TANDEM_TRACKER=off.
const EnvTracker = "TANDEM_TRACKER"

// TrackerError tells why this process tree has no tracker, which would clean up behind it: an ErrNoTracker, or nil if it has
// one. It begins with the first use of a Space. Where none can be started everything else works, and what a killed tree
// leaves is removed by the next process that uses a Space: without /proc; in a library of a program in another language; in a
// process that adopts orphans (the first of its PID namespace, a subreaper), whose child the tracker would be. In a child TrackerError returns nil: this is its parents' concern.
func TrackerError() error {
	on, err := switched(EnvTracker, true)
	switch {
	case err != nil:
		return fmt.Errorf("shm: %w: %w", ErrNoTracker, err)
	case !on:
		return fmt.Errorf("shm: %w: turned off by %s", ErrNoTracker, EnvTracker)
	case private.file != "":
		return nil
	}
	if err := tracking(); err != nil {
		return fmt.Errorf("shm: %w: %w", ErrNoTracker, err)
	}
	return nil
}
