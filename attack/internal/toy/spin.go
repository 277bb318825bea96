//go:build unix

package toy

import (
	"fmt"

	"github.com/tandem-ipc/tandem/attack/sweep"
)

const (
	wordLock  = 2
	wordCount = 3
)

func lock(r *Region) {
	for !r.Words[wordLock].CompareAndSwap(0, 1) {
	}
}

func unlock(r *Region) { r.Words[wordLock].Store(0) }

// countLocked blocks everybody while it is stopped between lock and unlock: in two of its three points.
func countLocked(r *Region, _ *sweep.VictimEnv) error {
	lock(r)
	r.Words[wordCount].Store(r.Words[wordCount].Load() + 1)
	unlock(r)
	return nil
}

// countLate loads and stores without a lock: somebody's increment between is lost, if the process runs on.
func countLate(r *Region, _ *sweep.VictimEnv) error {
	n := r.Words[wordCount].Load()
	r.Words[wordLock].Store(n + 7) // something to be stopped at
	r.Words[wordCount].Store(n + 1)
	return nil
}

func counters() []sweep.Op {
	return []sweep.Op{
		{
			Name: "toy/spin", World: world, After: after,
			Victim: on(countLocked),
			Others: with(func(r *Region, _ *sweep.SurvivorEnv) error {
				lock(r)
				unlock(r)
				return nil
			}),
			Recover: with(func(r *Region, s *sweep.SurvivorEnv) error {
				if n := r.Words[wordCount].Load(); s.Journal.Returned() && n != 1 {
					return fmt.Errorf("count is %d", n)
				}
				return nil
			}),
		},
		{
			Name: "toy/late", World: world, After: after,
			Victim: on(countLate),
			Others: with(func(r *Region, _ *sweep.SurvivorEnv) error {
				r.Words[wordCount].Add(1)
				return nil
			}),
			Recover: with(func(r *Region, s *sweep.SurvivorEnv) error {
				want := uint64(0)
				if s.OthersRan {
					want++
				}
				if s.Journal.Returned() {
					want++
				}
				if n := r.Words[wordCount].Load(); n < want {
					return fmt.Errorf("count is %d, should be %d", n, want)
				}
				return nil
			}),
		},
	}
}
