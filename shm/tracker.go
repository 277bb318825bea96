package shm

import "fmt"

// EnvTracker turns the tracker off: TANDEM_TRACKER=off.
const EnvTracker = "TANDEM_TRACKER"

// Tracked tells whether this process tree was given a tracker, which cleans up behind it: nil, or an ErrNoTracker that says
// why not. It begins with the first use of a Space. Where none can be started everything else works, and what a killed
// tree leaves is removed by the next process that uses a Space: without /proc; in a library of a program in another
// language; in a process that adopts orphans (the first of its PID namespace, a subreaper), whose child the tracker would
// be. In a child Tracked returns nil: this is its parents' concern.
func Tracked() error {
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
