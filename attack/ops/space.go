package ops

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tandem-ipc/tandem/attack/sweep"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/shm"
)

func spaceOps() []sweep.Op {
	open := func(v *sweep.VictimEnv) (func() error, error) {
		return func() error {
			sp, err := shm.OpenSpace(name)
			v.Defer(func() { exit() })
			_ = sp
			return err
		}, nil
	}
	return []sweep.Op{
		{
			Name:    "space/birth",
			World:   nowhere,
			Victim:  warm(open),
			Others:  openAndUse,
			Recover: openClean,
			After:   tidy,
		},
		{
			Name:  "space/birth-without-tmpfile",
			World: nowhere,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				os.Setenv("TANDEM_DISABLE", "poller,otmpfile")
				os.Setenv(shm.EnvSweep, "off")
				return open(v)
			},
			Others:  openAndUse,
			Recover: openClean,
			After:   tidy,
		},
		{
			Name:    "space/attach",
			World:   inhabited,
			Victim:  warm(open),
			Others:  openAndUse,
			Recover: attachClean,
			After:   tidy,
		},
		{
			Name:    "space/open-leaked",
			World:   leaked,
			Helpers: helpers,
			Victim:  warm(open),
			Others:  openUnlessBusy,
			Recover: openClean,
			After:   tidy,
		},
		{
			Name:    "space/sweep",
			World:   leaked,
			Helpers: helpers,
			Victim: warm(func(*sweep.VictimEnv) (func() error, error) {
				return func() error { _, err := shm.Sweep(); return err }, nil
			}),
			Others: func(s *sweep.SurvivorEnv) error {
				_, err := shm.Sweep()
				return errors.Join(err, openUnlessBusy(s))
			},
			Recover: openClean,
			After:   tidy,
		},
		{
			// A dead member's segment holds data for the living, and nobody maps it.
			Name:    "space/sweep-beside-the-living",
			World:   grownByTheDead,
			Helpers: helpers,
			Victim: warm(func(*sweep.VictimEnv) (func() error, error) {
				return func() error { _, err := shm.Sweep(); return err }, nil
			}),
			Others: func(s *sweep.SurvivorEnv) error {
				_, err := shm.Sweep()
				return errors.Join(err, openAndUse(s))
			},
			Recover: readGrown,
			After:   tidy,
		},
		{
			Name:  "space/grow",
			World: inhabited,
			Victim: withObject(func(v *sweep.VictimEnv, sp *shm.Space, o *shm.Object) (func() error, error) {
				return func() error { _, err := o.NewPart(3 << 20); return err }, nil
			}),
			Others:  growToo,
			Recover: attachClean,
			After:   tidy,
		},
		{
			Name:  "space/unlink",
			World: inhabited,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				quiet()
				sp, err := attach()
				v.Defer(func() { exit() })
				return func() error { return sp.Unlink() }, err
			},
			Others:  unlinkToo,
			Recover: afterUnlink,
			After:   tidy,
		},
		{
			// By who is no member.
			Name:  "space/unlink-from-outside",
			World: inhabited,
			Victim: warm(func(*sweep.VictimEnv) (func() error, error) {
				return func() error {
					err := shm.Unlink(name)
					if errors.Is(err, fs.ErrNotExist) {
						return nil // others were faster, while it stood still
					}
					return err
				}, nil
			}),
			Others:  unlinkToo,
			Recover: afterUnlink,
			After:   tidy,
		},
		{
			// A sweep that tells what it removed.
			Name:    "space/clean",
			World:   leaked,
			Helpers: helpers,
			Victim: warm(func(*sweep.VictimEnv) (func() error, error) {
				return func() error { _, err := shm.Clean(false); return err }, nil
			}),
			Others:  openUnlessBusy,
			Recover: openClean,
			After:   tidy,
		},
		{
			Name:    "space/remove-leaked",
			World:   leaked,
			Helpers: helpers,
			Victim: warm(func(*sweep.VictimEnv) (func() error, error) {
				return func() error {
					err := shm.Remove(name)
					if errors.Is(err, fs.ErrNotExist) {
						return nil // others were faster, while it stood still
					}
					return err
				}, nil
			}),
			Others:  openUnlessBusy,
			Recover: openClean,
			After:   tidy,
		},
		{
			Name:  "space/leave",
			World: inhabited,
			Victim: withObject(func(v *sweep.VictimEnv, sp *shm.Space, o *shm.Object) (func() error, error) {
				// Blocks that nobody will get, and an object that goes with its last holder.
				for _, size := range []int64{50, 9000} {
					if _, err := o.NewPart(size); err != nil {
						return nil, err
					}
				}
				return func() error { return errors.Join(o.Close(), sp.Close()) }, nil
			}),
			Others:  openAndUse,
			Recover: attachClean,
			After:   tidy,
		},
		{
			Name:  "space/leave-last",
			World: nowhere,
			Victim: warm(func(v *sweep.VictimEnv) (func() error, error) {
				sp, err := shm.OpenSpace(name)
				if err != nil {
					return nil, err
				}
				o, err := sp.NewObject(spec(2 << 20)) // has grown
				return func() error { return errors.Join(o.Close(), sp.Close()) }, err
			}),
			Others:  openUnlessBusy,
			Recover: openClean,
			After:   tidy,
		},
		{
			Name:    "space/settle",
			World:   withTheDead,
			Helpers: helpers,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				quiet()
				sp, err := attach()
				v.Defer(func() { exit() })
				return func() error { _, err := sp.Settle(); return err }, err
			},
			Others:  settleToo,
			Recover: afterSettle,
			After:   tidy,
		},
		{
			Name:  "space/new-object",
			World: inhabited,
			Victim: withObject(func(v *sweep.VictimEnv, sp *shm.Space, _ *shm.Object) (func() error, error) {
				return func() error { _, err := sp.NewObject(spec(9000)); return err }, nil
			}),
			Others:  openAndUse,
			Recover: attachClean,
			After:   tidy,
		},
		{
			Name:  "space/open-object",
			World: inhabited,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				quiet()
				n, err := read(v.Env)
				if err != nil {
					return nil, err
				}
				h, err := handle(n, 0)
				if err != nil {
					return nil, err
				}
				_, err = attach()
				v.Defer(func() { exit() })
				return func() error { _, err := h.Open(layout.KindProcess); return err }, err
			},
			Others:  openAndUse,
			Recover: attachClean,
			After:   tidy,
		},
		{
			Name:  "space/close-object",
			World: inhabited,
			Victim: withObject(func(v *sweep.VictimEnv, _ *shm.Space, o *shm.Object) (func() error, error) {
				b, err := o.NewPart(9000)
				if err != nil {
					return nil, err
				}
				o.HandOver(b, 0)
				return o.Close, nil
			}),
			Others:  openAndUse,
			Recover: attachClean,
			After:   tidy,
		},
		{
			// Two processes hold an object that nobody else holds, and both let go of it.
			Name:    "space/close-shared",
			World:   withAnOrphan,
			Helpers: helpers,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				quiet()
				n, err := read(v.Env)
				if err != nil {
					return nil, err
				}
				h, err := handle(n, 1)
				if err != nil {
					return nil, err
				}
				o, err := h.Open(layout.KindProcess)
				if err != nil {
					return nil, err
				}
				v.Defer(exit)
				return o.Close, nil
			},
			Others:  openAndUse,
			Recover: attachClean,
			After:   tidy,
		},
		{
			Name:  "space/bind",
			World: inhabited,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				quiet()
				n, err := read(v.Env)
				if err != nil {
					return nil, err
				}
				h, err := handle(n, 0)
				if err != nil {
					return nil, err
				}
				sp, err := attach()
				v.Defer(func() { exit() })
				return func() error {
					err := sp.Bind("name", h)
					if errors.Is(err, fs.ErrExist) {
						return nil // others were faster, while it stood still
					}
					return err
				}, err
			},
			Others:  bindToo,
			Recover: afterBind,
			After:   tidy,
		},
	}
}

// exit is the end of a victim that lives: it leaves in order.
func exit() {
	if err := shm.Exit(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// warm does what a process does once, before the operation: the first use starts the notice thread and asks the kernel
// what it can.
func warm(f func(*sweep.VictimEnv) (func() error, error)) func(*sweep.VictimEnv) (func() error, error) {
	return func(v *sweep.VictimEnv) (func() error, error) {
		quiet()
		sp, err := shm.OpenSpace("warm")
		if err != nil {
			return nil, err
		}
		if err := sp.Close(); err != nil {
			return nil, err
		}
		return f(v)
	}
}

// withObject is a victim that has attached and made an object of its own.
func withObject(f func(*sweep.VictimEnv, *shm.Space, *shm.Object) (func() error, error)) func(*sweep.VictimEnv) (func() error, error) {
	return func(v *sweep.VictimEnv) (func() error, error) {
		quiet()
		sp, err := attach()
		if err != nil {
			return nil, err
		}
		o, err := sp.NewObject(spec(500))
		if err != nil {
			return nil, err
		}
		v.Defer(func() {
			if err := o.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			exit()
		})
		return f(v, sp, o)
	}
}

// nowhere is a world without a Space.
func nowhere(w *sweep.World) error {
	notes{}.write(w)
	return nil
}

// inhabited is a Space with a living member that holds an object.
func inhabited(w *sweep.World) error {
	quiet()
	sp, err := shm.OpenSpace(name)
	if err != nil {
		return err
	}
	o, err := sp.NewObject(spec(4096))
	if err != nil {
		return err
	}
	w.Keep = o
	return note(w, sp, notes{Handles: []string{o.Handle().String()}})
}

// helpers are the bystanders.
var helpers = map[string]func(*sweep.HelperEnv) error{
	// grower makes a Space, or attaches to World's, and grows it.
	"grower": func(h *sweep.HelperEnv) error {
		quiet()
		sp, err := shm.OpenSpace(name)
		if err != nil {
			return err
		}
		n, err := read(h.Env)
		if err != nil {
			return err
		}
		o, err := sp.NewObject(spec(100))
		if err != nil {
			return err
		}
		if len(n.Handles) > 0 {
			theirs, err := handle(n, 0)
			if err != nil {
				return err
			}
			if o, err = theirs.Open(layout.KindProcess); err != nil {
				return err
			}
		}
		b, err := o.NewPart(2 << 20)
		if err != nil {
			return err
		}
		fill(b.Bytes, 0x77)
		o.HandOver(b, 0)
		binary.LittleEndian.PutUint64(o.Data, uint64(b.Ref))
		h.Ready()
		select {}
	},
	// maker makes an object for others, and tells where it is by World's object.
	"maker": func(h *sweep.HelperEnv) error {
		quiet()
		sp, err := attach()
		if err != nil {
			return err
		}
		o, err := sp.NewObject(spec(6000))
		if err != nil {
			return err
		}
		n, err := read(h.Env)
		if err != nil {
			return err
		}
		theirs, err := handle(n, 0)
		if err != nil {
			return err
		}
		note, err := theirs.Open(layout.KindProcess)
		if err != nil {
			return err
		}
		copy(note.Data, o.Handle().String())
		h.Ready()
		select {}
	},
	// holder has something of everything that can be left behind.
	"holder": func(h *sweep.HelperEnv) error {
		quiet()
		sp, err := attach()
		if err != nil {
			return err
		}
		o, err := sp.NewObject(spec(6000))
		if err != nil {
			return err
		}
		for _, size := range []int64{40, 40, 1500, 9000, 70_000} {
			if _, err := o.NewPart(size); err != nil {
				return err
			}
		}
		part, err := o.NewPart(20_000)
		if err != nil {
			return err
		}
		o.HandOver(part, 0)
		n, err := read(h.Env)
		if err != nil {
			return err
		}
		theirs, err := handle(n, 0)
		if err != nil {
			return err
		}
		if _, err := theirs.Open(layout.KindProcess); err != nil {
			return err
		}
		h.Ready()
		select {}
	},
}

// leaked is a Space with a grown segment whose only member was killed.
func leaked(w *sweep.World) error {
	quiet()
	notes{}.write(w)
	h, err := w.Start("grower")
	if err == nil {
		h.Kill()
	}
	return err
}

// grownByTheDead is a living Space with a segment that only a dead member had mapped.
func grownByTheDead(w *sweep.World) error {
	if err := inhabited(w); err != nil {
		return err
	}
	h, err := w.Start("grower")
	if err != nil {
		return err
	}
	h.Kill()
	return nil
}

// withTheDead is a living Space with a member that was killed holding much, and that nobody has settled.
func withTheDead(w *sweep.World) error {
	if err := inhabited(w); err != nil {
		return err
	}
	h, err := w.Start("holder")
	if err != nil {
		return err
	}
	h.Kill()
	return nil
}

// withAnOrphan is a living Space with an object whose maker was killed and not settled: it lives until somebody looks.
func withAnOrphan(w *sweep.World) error {
	if err := inhabited(w); err != nil {
		return err
	}
	n, err := read(w.Env)
	if err != nil {
		return err
	}
	h, err := w.Start("maker")
	if err != nil {
		return err
	}
	h.Kill()
	o := w.Keep.(*shm.Object)
	text, _, _ := bytes.Cut(o.Data, []byte{0})
	n.Handles = append(n.Handles, string(text))
	clear(o.Data)
	n.write(w)
	return nil
}

// tidy ends the world: World's own process leaves, and what is then in the directory is a leak.
func tidy(w *sweep.World) error {
	var err error
	if o, ok := w.Keep.(*shm.Object); ok {
		err = o.Close()
	}
	_, serr := shm.Sweep()
	return errors.Join(leave(err), serr)
}

// openAndUse is what everybody else must be able to do.
func openAndUse(s *sweep.SurvivorEnv) error {
	sp, err := shm.OpenSpace(name)
	if err != nil {
		return err
	}
	return leave(busy(sp))
}

// openUnlessBusy is that for the one exception: a cleaner stopped in the middle.
func openUnlessBusy(s *sweep.SurvivorEnv) error {
	sp, err := shm.OpenSpace(name)
	if errors.Is(err, shm.ErrBusy) {
		// That one name is delayed, with an error; nothing else is.
		if sp, err = shm.OpenSpace("another"); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return leave(busy(sp))
}

// openClean finds a Space that works and in which nobody is but us. What else was left is for a sweep, as the first use in
// a process does it.
func openClean(s *sweep.SurvivorEnv) error {
	quiet()
	if _, err := shm.Sweep(); err != nil {
		return err
	}
	sp, err := shm.OpenSpace(name)
	if err != nil {
		return err
	}
	return leave(errors.Join(clean(sp, notes{}, 0), busy(sp)))
}

// attachClean finds World's Space as it was.
func attachClean(s *sweep.SurvivorEnv) error {
	quiet()
	n, err := read(s.Env)
	if err != nil {
		return err
	}
	sp, err := attach()
	if err != nil {
		return err
	}
	return leave(errors.Join(clean(sp, n, 0), busy(sp)))
}

// readGrown reads what the dead member had left in its segment.
func readGrown(s *sweep.SurvivorEnv) error {
	quiet()
	n, err := read(s.Env)
	if err != nil {
		return err
	}
	h, err := handle(n, 0)
	if err != nil {
		return err
	}
	o, err := h.Open(layout.KindProcess)
	if err != nil {
		return err
	}
	b, err := o.Part(shm.Ref(binary.LittleEndian.Uint64(o.Data)), 0)
	if err == nil && bytes.Count(b, []byte{0x77}) != len(b) {
		err = errors.New("the dead member's data has changed")
	}
	return leave(errors.Join(err, o.Close()))
}

// growToo grows the Space while the victim stands somewhere in growing it.
func growToo(s *sweep.SurvivorEnv) error {
	sp, err := attach()
	if err != nil {
		return err
	}
	o, err := sp.NewObject(spec(100))
	if err != nil {
		return err
	}
	for range 2 {
		b, err := o.NewPart(3 << 20)
		if err != nil {
			return err
		}
		fill(b.Bytes, 1)
	}
	return leave(errors.Join(o.Close(), busy(sp)))
}

// unlinkToo gives up the same name, and makes a new Space of it.
func unlinkToo(s *sweep.SurvivorEnv) error {
	n, err := read(s.Env)
	if err != nil {
		return err
	}
	h, err := handle(n, 0)
	if err != nil {
		return err
	}
	o, err := h.Open(layout.KindProcess) // by whatever name the Space has now
	if err != nil {
		return err
	}
	if err := o.Close(); err != nil {
		return err
	}
	sp, err := shm.OpenSpace(name)
	if err != nil {
		return err
	}
	if err := sp.Unlink(); err != nil && !errors.Is(err, shm.ErrBusy) {
		return err
	}
	return leave(busy(sp))
}

func afterUnlink(s *sweep.SurvivorEnv) error {
	quiet()
	n, err := read(s.Env)
	if err != nil {
		return err
	}
	h, err := handle(n, 0)
	if err != nil {
		return err
	}
	o, err := h.Open(layout.KindProcess)
	if err != nil {
		return fmt.Errorf("the old Space cannot be found any more: %w", err)
	}
	err = o.Close()
	if s.Journal.Returned() {
		fresh, cerr := shm.OpenSpace(name, shm.Create())
		if cerr != nil {
			return fmt.Errorf("the name was given up, and is taken: %w", cerr)
		}
		err = errors.Join(err, busy(fresh))
	}
	return leave(err)
}

// settleToo settles the dead to the end, uses what came back, and leaves it with World's object: while the victim stands in
// the middle of settling the same.
func settleToo(s *sweep.SurvivorEnv) error {
	n, err := read(s.Env)
	if err != nil {
		return err
	}
	sp, err := attach()
	if err != nil {
		return err
	}
	if _, err := sp.Settle(); err != nil {
		return err
	}
	st, err := sp.Stats()
	if err != nil {
		return err
	}
	if st.Used != n.Used {
		return fmt.Errorf("%d bytes in use after all dead were settled, want %d", st.Used, n.Used)
	}
	h, err := handle(n, 0)
	if err != nil {
		return err
	}
	o, err := h.Open(layout.KindProcess)
	if err != nil {
		return err
	}
	if err := squat(o); err != nil {
		return err
	}
	return leave(o.Close())
}

// afterSettle checks that what was given out meanwhile still is whose it is.
func afterSettle(s *sweep.SurvivorEnv) error {
	quiet()
	n, err := read(s.Env)
	if err != nil {
		return err
	}
	sp, err := attach()
	if err != nil {
		return err
	}
	h, err := handle(n, 0)
	if err != nil {
		return err
	}
	o, err := h.Open(layout.KindProcess)
	if err != nil {
		return err
	}
	more, err := undisturbed(o)
	if err := errors.Join(err, o.Close()); err != nil {
		return err
	}
	return leave(errors.Join(clean(sp, n, more), busy(sp)))
}

// bindToo binds the same name.
func bindToo(s *sweep.SurvivorEnv) error {
	n, err := read(s.Env)
	if err != nil {
		return err
	}
	h, err := handle(n, 0)
	if err != nil {
		return err
	}
	sp, err := attach()
	if err != nil {
		return err
	}
	if err := sp.Bind("name", h); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	got, err := sp.Lookup("name")
	if err == nil && got != h {
		err = fmt.Errorf("the name leads to %v", got)
	}
	return leave(err)
}

func afterBind(s *sweep.SurvivorEnv) error {
	quiet()
	n, err := read(s.Env)
	if err != nil {
		return err
	}
	h, err := handle(n, 0)
	if err != nil {
		return err
	}
	sp, err := attach()
	if err != nil {
		return err
	}
	if _, err := sp.Settle(); err != nil {
		return err
	}
	all, err := sp.Names()
	if err != nil {
		return err
	}
	if len(all) > 1 || s.Journal.Returned() && len(all) != 1 {
		return fmt.Errorf("the directory has %q", all)
	}
	err = sp.Bind("name", h)
	if bound := len(all) == 1; errors.Is(err, fs.ErrExist) != bound {
		return fmt.Errorf("bound: %v, binding again says %v", bound, err)
	}
	if all, err = sp.Names(); err != nil || len(all) != 1 {
		return fmt.Errorf("the directory has %q, %v", all, err)
	}
	return leave(nil)
}
