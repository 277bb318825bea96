//go:build unix

package toy

import (
	"errors"
	"os"

	"github.com/tandem-ipc/tandem/attack/sweep"
)

// RunVariable is an environment variable that tells the toys of one test run from those of another.
const RunVariable = "ATTACK_TOY_RUN"

// Prefix of all files that toys make in this run.
func Prefix() string { return "attack-toy-" + os.Getenv(RunVariable) + "-" }

// Create makes an empty region's file.
func Create(dir string) (string, error) {
	f, err := os.CreateTemp(dir, Prefix())
	if err != nil {
		return "", err
	}
	return f.Name(), errors.Join(f.Truncate(Size), f.Close())
}

// world is an empty region, its path the scratch text.
func world(w *sweep.World) (err error) {
	w.Scratch, err = Create(w.Dir)
	return err
}

func after(w *sweep.World) error { return os.Remove(w.Scratch) }

// on makes a Victim of a function on the region.
func on(f func(r *Region, v *sweep.VictimEnv) error) func(*sweep.VictimEnv) (func() error, error) {
	return func(v *sweep.VictimEnv) (func() error, error) {
		r, err := Open(v.Scratch)
		return func() error { return f(r, v) }, err
	}
}

// with makes a survivor of a function on the region.
func with(f func(r *Region, s *sweep.SurvivorEnv) error) func(*sweep.SurvivorEnv) error {
	return func(s *sweep.SurvivorEnv) error {
		r, err := Open(s.Scratch)
		if err != nil {
			return err
		}
		return f(r, s)
	}
}
