package ops

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/tandem-ipc/tandem/attack/sweep"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/shm"
)

// Mailboxes: Spaces that outlive their users, and names that hold objects.

const letter = 0x4b // what the data of a mailbox's object is full of

func keepOps() []sweep.Op {
	return []sweep.Op{
		{
			// The next one who attaches settles what the last one left, who was killed.
			Name:    "keep/attach",
			World:   mailboxWithTheDead,
			Helpers: helpers,
			Victim: warm(func(v *sweep.VictimEnv) (func() error, error) {
				v.Defer(exit)
				return func() error { _, err := attach(); return err }, nil
			}),
			Others:  openAndUse,
			Recover: mailClean,
			After:   tidyMailbox,
		},
		{
			Name:  "keep/leave-last",
			World: mailbox,
			Victim: warm(func(v *sweep.VictimEnv) (func() error, error) {
				n, err := read(v.Env)
				if err != nil {
					return nil, err
				}
				sp, err := attach()
				if err != nil {
					return nil, err
				}
				h, err := handle(n, 0)
				if err != nil {
					return nil, err
				}
				o, err := h.Open(layout.KindProcess)
				return func() error { return errors.Join(o.Close(), sp.Close()) }, err
			}),
			Others:  openAndUse,
			Recover: mailClean,
			After:   tidyMailbox,
		},
		{
			// A name becomes the only holder of the victim's object.
			Name:  "keep/bind",
			World: mailbox,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				quiet()
				sp, err := attach()
				if err != nil {
					return nil, err
				}
				o, err := sp.NewObject(spec(4096))
				v.Defer(exit)
				return func() error { return errors.Join(sp.Bind("second", o.Handle()), o.Close()) }, err
			},
			Others:  openAndUse,
			Recover: func(s *sweep.SurvivorEnv) error { return mailNames(s, "second", s.Journal.Returned(), false) },
			After:   tidyMailbox,
		},
		{
			// A name is the only holder, and gone.
			Name:  "keep/unbind",
			World: mailbox,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				quiet()
				sp, err := attach()
				v.Defer(exit)
				return func() error { return sp.Unbind("first") }, err
			},
			Others:  openAndUse,
			Recover: func(s *sweep.SurvivorEnv) error { return mailNames(s, "first", false, s.Journal.Returned()) },
			After:   tidyMailbox,
		},
		{
			Name:  "keep/unlink",
			World: mailbox,
			Victim: warm(func(v *sweep.VictimEnv) (func() error, error) {
				return func() error { return shm.Unlink(name) }, nil
			}),
			Others:  openUnlessBusy,
			Recover: mailGone,
			After:   tidyMailbox,
		},
		{
			// Removed in one step: half a mailbox is revived by nobody.
			Name:  "keep/remove",
			World: largeMailbox,
			Victim: warm(func(v *sweep.VictimEnv) (func() error, error) {
				return func() error { return shm.Remove(name) }, nil
			}),
			Others:  openUnlessBusy,
			Recover: mailGone,
			After:   tidyMailbox,
		},
	}
}

// mailbox is a Space without members, and an object in it that only its name holds.
func mailbox(w *sweep.World) error { return mailboxWith(w, 4096) }

// largeMailbox has its object in a segment that it grew.
func largeMailbox(w *sweep.World) error { return mailboxWith(w, 3<<20) }

func mailboxWith(w *sweep.World, data int64) error {
	quiet()
	sp, err := shm.OpenSpace(name, shm.Keep())
	if err != nil {
		return err
	}
	o, err := sp.NewObject(spec(data))
	if err != nil {
		return err
	}
	fill(o.Data, letter)
	if err := sp.Bind("first", o.Handle()); err != nil {
		return err
	}
	if err := note(w, sp, notes{Handles: []string{o.Handle().String()}}); err != nil {
		return err
	}
	n, err := read(w.Env)
	n.Members = 0
	n.write(w)
	return errors.Join(err, o.Close(), sp.Close())
}

// mailboxWithTheDead was last used by a member that was killed holding much, and that nobody has settled.
func mailboxWithTheDead(w *sweep.World) error {
	if err := mailbox(w); err != nil {
		return err
	}
	h, err := w.Start("holder")
	if err == nil {
		h.Kill()
	}
	return err
}

// mailClean finds the mailbox as it was, and what is in it.
func mailClean(s *sweep.SurvivorEnv) error {
	quiet()
	n, err := read(s.Env)
	if err != nil {
		return err
	}
	if removed, err := shm.Sweep(); err != nil || len(removed) > 0 {
		return fmt.Errorf("a sweep removed %v of a mailbox, %w", removed, err)
	}
	sp, err := attach()
	if err != nil {
		return err
	}
	if err := clean(sp, n, 0); err != nil {
		return err
	}
	return leave(errors.Join(readLetter(sp), busy(sp)))
}

func readLetter(sp *shm.Space) error {
	h, err := sp.Lookup("first")
	if err != nil {
		return err
	}
	o, err := h.Open(layout.KindProcess)
	if err != nil {
		return err
	}
	if bytes.Count(o.Data, []byte{letter}) != len(o.Data) {
		err = errors.New("what was kept has changed")
	}
	return errors.Join(err, o.Close())
}

// mailNames checks that an object is there exactly if its name is, once the dead are settled.
func mailNames(s *sweep.SurvivorEnv, what string, must, mustNot bool) error {
	quiet()
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
	h, err := sp.Lookup(what)
	bound := err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case bound && mustNot:
		return fmt.Errorf("%q was unbound, and is there", what)
	case !bound && must:
		return fmt.Errorf("%q was bound, and is not there", what)
	case bound:
		o, err := h.Open(layout.KindProcess)
		if err == nil {
			err = o.Close()
		}
		if err != nil {
			return fmt.Errorf("%q leads to nothing: %w", what, err)
		}
	}
	objects := n.Objects // with "first"
	switch {
	case what == "second" && bound:
		objects++
	case what == "first" && !bound:
		objects--
	}
	st, err := sp.Stats()
	if err == nil && st.Objects != objects {
		err = fmt.Errorf("%d objects, want %d: %q is bound: %v", st.Objects, objects, what, bound)
	}
	return leave(errors.Join(err, sp.Check(), busy(sp)))
}

// mailGone finds the name free if it was given up, and nothing left behind it; else the mailbox is as it was.
func mailGone(s *sweep.SurvivorEnv) error {
	quiet()
	if _, err := shm.Sweep(); err != nil {
		return err
	}
	sp, err := attach()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if files := count("."); files != 0 {
			return fmt.Errorf("the mailbox was removed, and %d files are there", files)
		}
		return leave(nil)
	case err != nil:
		return err
	}
	if _, err := sp.Lookup("first"); errors.Is(err, fs.ErrNotExist) {
		return leave(busy(sp)) // others have made a new one meanwhile
	} else if err != nil {
		return err
	}
	if s.Journal.Returned() {
		return errors.New("the mailbox was removed, and is there")
	}
	return leave(errors.Join(readLetter(sp), busy(sp)))
}

// tidyMailbox ends the world and its mailbox.
func tidyMailbox(w *sweep.World) error {
	err := shm.Unlink(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, tidy(w))
}
