package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// EnvTracker turns the tracker off: TANDEM_TRACKER=off.
const EnvTracker = "TANDEM_TRACKER"

// ErrNoTracker is returned by Tracked in a process tree that has no tracker.
var ErrNoTracker = errors.New("no tracker")

// Tracked tells whether a tracker cleans up behind this process tree: nil, or an ErrNoTracker that says why not. It begins
// with the first use of a Space. Where none can be started, everything else works, and what a killed tree leaves is
// removed by the next process that uses a Space: without /proc, in a library of a program in another language, and in a process
// that adopts orphans (the first of its PID namespace, a subreaper), for the tracker would be its child. In a child it is nil: this is its parents' concern.
func Tracked() error {
	on, err := trackerWanted()
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

func trackerWanted() (bool, error) {
	switch v := os.Getenv(EnvTracker); v {
	case "", "on":
		return true, nil
	case "off":
		return false, nil
	default:
		return false, fmt.Errorf("%s is %q, it must be on or off: %w", EnvTracker, v, fs.ErrInvalid)
	}
}
