package ops

import (
	"fmt"
	"os"
	"time"

	"github.com/tandem-ipc/tandem/attack/sweep"
	"github.com/tandem-ipc/tandem/shm"
)

// trackerOps attack the start of a tracker, its end with Exit, and others' Spaces beside one. A tracker is on only in the
// victims, and so ends with them: one that stayed would be reported as a process that was left.
func trackerOps() []sweep.Op {
	private := func(v *sweep.VictimEnv) (func() error, error) {
		return func() error {
			v.Defer(exit)
			_, err := shm.Private()
			return err
		}, nil
	}
	return []sweep.Op{
		{
			// Warm: the first use of this process has been, in a Space that it has left again, with its tracker.
			Name:    "tracker/start",
			World:   nowhere,
			Victim:  tracked(private),
			Others:  openAndUse,
			Recover: nothingLeft,
			After:   tidy,
		},
		{
			Name:  "tracker/exit",
			World: nowhere,
			Victim: tracked(func(v *sweep.VictimEnv) (func() error, error) {
				_, err := shm.Private()
				return shm.Exit, err
			}),
			Others:  openAndUse,
			Recover: nothingLeft,
			After:   tidy,
		},
	}
}

// tracked is a warm victim with a tracker.
func tracked(f func(*sweep.VictimEnv) (func() error, error)) func(*sweep.VictimEnv) (func() error, error) {
	return warm(func(v *sweep.VictimEnv) (func() error, error) {
		os.Setenv(shm.EnvTracker, "on")
		return f(v)
	})
}

// nothingLeft finds that the victim's tracker needs nobody's help: it was there before the first file.
func nothingLeft(s *sweep.SurvivorEnv) error {
	quiet()
	for end := time.Now().Add(hang / 3); ; time.Sleep(time.Millisecond) {
		left, err := os.ReadDir(os.Getenv(shm.EnvDir))
		if err != nil {
			return err
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("the tracker has left %v", left)
		}
	}
	sp, err := shm.OpenSpace(name)
	if err != nil {
		return err
	}
	return leave(busy(sp))
}
