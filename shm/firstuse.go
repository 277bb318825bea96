package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/internal/policy"
)

const sweepFor = 50 * time.Millisecond // on first use; then the rest is left to the next one

var sweepOnce sync.Once

// firstUse is called by whatever is the first thing a process does with Tandem.
func firstUse() error {
	if !supported {
		return errLinux
	}
	if err := CheckEnvironment(); err != nil {
		return err
	}
	orphanGuard()
	sweepOnce.Do(func() {
		if isOn(EnvSweep, true) && private.file == "" {
			// What it could not remove is not what the caller asked for; Sweep tells.
			_, _ = sweep(directory(), os.Geteuid(), time.Now().Add(sweepFor))
		}
	})
	return track()
}

// CheckEnvironment tells which variables of Tandem say what is not allowed, an error for each of them, joined. The first use of
// a Space fails with it.
func CheckEnvironment() error {
	errs := []error{policy.Check(), feature.Check()}
	for _, variable := range []string{EnvTracker, EnvSweep, EnvHugePages, EnvPrefault} {
		_, err := switched(variable, false)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// switched reads a variable that may be on or off; otherwise counts if it is neither.
func switched(variable string, otherwise bool) (bool, error) {
	switch v := os.Getenv(variable); v {
	case "":
		return otherwise, nil
	case "on", "off":
		return v == "on", nil
	default:
		return otherwise, fmt.Errorf("%s=%s: want on, off: %w", variable, v, fs.ErrInvalid)
	}
}

// isOn is switched after firstUse, which has told what is wrong.
func isOn(variable string, otherwise bool) bool {
	on, err := switched(variable, otherwise)
	return on && err == nil
}
