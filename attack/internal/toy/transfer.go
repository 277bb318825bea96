//go:build unix

package toy

import (
	"fmt"

	"github.com/tandem-ipc/tandem/attack/sweep"
)

// Two accounts, and a log of the transfer under way that recovery does again.
const (
	wordA = 8 + iota
	wordB
	wordNewA
	wordNewB
	wordIntent
)

func transfer(r *Region, amount uint64) {
	r.Words[wordNewA].Store(r.Words[wordA].Load() - amount)
	r.Words[wordNewB].Store(r.Words[wordB].Load() + amount)
	r.Words[wordIntent].Store(1)
	redo(r)
}

// redo finishes a transfer. Anybody may, any number of times.
func redo(r *Region) {
	if r.Words[wordIntent].Load() == 1 {
		r.Words[wordA].Store(r.Words[wordNewA].Load())
		r.Words[wordB].Store(r.Words[wordNewB].Load())
		r.Words[wordIntent].Store(0)
	}
}

func conserved(r *Region, s *sweep.SurvivorEnv) error {
	redo(r)
	a, b := r.Words[wordA].Load(), r.Words[wordB].Load()
	if a+b != 100 {
		return fmt.Errorf("accounts hold %d and %d, together not 100", a, b)
	}
	if s.Journal.Returned() && a == 100 {
		return fmt.Errorf("the transfer is lost")
	}
	return nil
}

func accounts(w *sweep.World) error {
	if err := world(w); err != nil {
		return err
	}
	r, err := Open(w.Scratch)
	if err != nil {
		return err
	}
	defer r.Close()
	r.Words[wordA].Store(100)
	return nil
}

// transfers: the operation, and its recovery as an operation.
func transfers() []sweep.Op {
	return []sweep.Op{
		{
			Name: "toy/transfer", World: accounts, After: after,
			Victim: on(func(r *Region, v *sweep.VictimEnv) error {
				transfer(r, 30)
				return nil
			}),
			Others:  with(conserved),
			Recover: with(conserved),
		},
		{
			Name: "toy/recover", After: after, Recover: with(conserved),
			World: func(w *sweep.World) error {
				if err := accounts(w); err != nil {
					return err
				}
				h, err := w.Start("dies in the middle")
				if err == nil {
					h.Kill()
				}
				return err
			},
			Helpers: map[string]func(*sweep.HelperEnv) error{
				"dies in the middle": func(h *sweep.HelperEnv) error {
					r, err := Open(h.Scratch)
					if err != nil {
						return err
					}
					r.Words[wordNewA].Store(70)
					r.Words[wordNewB].Store(30)
					r.Words[wordIntent].Store(1)
					r.Words[wordA].Store(70)
					h.Ready()
					select {}
				},
			},
			Victim: on(func(r *Region, v *sweep.VictimEnv) error {
				redo(r)
				return nil
			}),
		},
	}
}
