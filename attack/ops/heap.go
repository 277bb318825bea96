package ops

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tandem-ipc/tandem/attack/sweep"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/shm"
)

// Sizes of blocks: of a slab that there is, of a slab that has to be made, a unit, a run.
const (
	small = 40
	other = 700
	unit  = 3000
	run   = 14_000
)

func heapOps() []sweep.Op {
	alloc := func(name string, size int64) sweep.Op {
		return sweep.Op{
			Name:  "heap/alloc-" + name,
			World: inhabitedWithSlab,
			Victim: withObject(func(v *sweep.VictimEnv, sp *shm.Space, o *shm.Object) (func() error, error) {
				return func() error { _, err := o.NewPart(size); return err }, nil
			}),
			Others:  openAndUse,
			Recover: attachClean,
			After:   tidy,
		}
	}
	free := func(name string, size int64) sweep.Op {
		return sweep.Op{
			Name:  "heap/free-" + name,
			World: inhabitedWithSlab,
			Victim: withObject(func(v *sweep.VictimEnv, sp *shm.Space, o *shm.Object) (func() error, error) {
				b, err := o.NewPart(size)
				return func() error { o.Discard(b); return nil }, err
			}),
			Others:  openAndUse,
			Recover: attachClean,
			After:   tidy,
		}
	}
	return []sweep.Op{
		alloc("small", small), alloc("slab", other), alloc("unit", unit), alloc("run", run),
		free("small", small), free("run", run),
		{
			// Memory that nobody uses goes back to the system.
			Name:  "heap/trim",
			World: withFreeMemory,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				quiet()
				sp, err := attach()
				if err != nil {
					return nil, err
				}
				if _, err := sp.Stats(); err != nil { // maps all segments
					return nil, err
				}
				v.Defer(exit)
				return func() error { _, err := sp.Trim(); return err }, nil
			},
			Others:  useMuch,
			Recover: attachTrimmed,
			After:   tidy,
		},
		{
			// And is reserved again.
			Name:  "heap/alloc-holed",
			World: withHoles,
			Victim: withObject(func(v *sweep.VictimEnv, sp *shm.Space, o *shm.Object) (func() error, error) {
				if _, err := sp.Stats(); err != nil {
					return nil, err
				}
				return func() error { _, err := o.NewPart(much); return err }, nil
			}),
			Others:  useMuch,
			Recover: attachTrimmed,
			After:   tidy,
		},
		{
			// A block of the victim's becomes a part of World's object: it stays, or it returns, and nothing in between.
			Name:  "heap/hand-over",
			World: inhabitedWithSlab,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				o, err := theirs(v)
				if err != nil {
					return nil, err
				}
				b, err := o.NewPart(run)
				if err != nil {
					return nil, err
				}
				fill(b.Bytes, 0x33)
				v.Journal.Set(0, uint64(b.Ref))
				v.Journal.Set(1, uint64(len(b.Bytes)))
				return func() error { o.HandOver(b, 0); return nil }, nil
			},
			Others: openAndUse,
			Recover: func(s *sweep.SurvivorEnv) error {
				return partThereOrNot(s, s.Journal.Returned(), false)
			},
			After: tidy,
		},
		{
			Name:  "heap/free-part",
			World: inhabitedWithSlab,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				o, err := theirs(v)
				if err != nil {
					return nil, err
				}
				b, err := o.NewPart(run)
				if err != nil {
					return nil, err
				}
				o.HandOver(b, 0)
				v.Journal.Set(0, uint64(b.Ref))
				v.Journal.Set(1, uint64(len(b.Bytes)))
				return func() error { return o.FreePart(b.Ref, 0) }, nil
			},
			Others: openAndUse,
			Recover: func(s *sweep.SurvivorEnv) error {
				return partThereOrNot(s, false, s.Journal.Returned())
			},
			After: tidy,
		},
	}
}

// inhabitedWithSlab has a slab with free blocks.
func inhabitedWithSlab(w *sweep.World) error {
	if err := inhabited(w); err != nil {
		return err
	}
	o := w.Keep.(*shm.Object)
	b, err := o.NewPart(small)
	if err == nil {
		o.Discard(b)
	}
	return err
}

// much is what the root has no room for, and the first grown segment just so.
const much = 1020 << 10

// withFreeMemory has a grown segment that nobody uses.
func withFreeMemory(w *sweep.World) error {
	if err := inhabited(w); err != nil {
		return err
	}
	o := w.Keep.(*shm.Object)
	b, err := o.NewPart(much)
	if err == nil {
		o.Discard(b)
	}
	return err
}

// withHoles has one without memory.
func withHoles(w *sweep.World) error {
	if err := withFreeMemory(w); err != nil {
		return err
	}
	sp, err := attach()
	if err != nil {
		return err
	}
	n, err := sp.Trim()
	if err == nil && n < much {
		err = fmt.Errorf("only %d bytes were given back", n)
	}
	return errors.Join(err, sp.Close())
}

// useMuch takes memory and gives it back, beside a victim that does, too.
func useMuch(s *sweep.SurvivorEnv) error {
	sp, err := attach()
	if err != nil {
		return err
	}
	o, err := sp.NewObject(spec(100))
	if err != nil {
		return err
	}
	for i := range 3 {
		b, err := o.NewPart(much)
		if err != nil {
			return err
		}
		if bytes.Count(b.Bytes, []byte{0}) != len(b.Bytes) {
			return errors.New("a new block is not zero")
		}
		fill(b.Bytes, byte(i+1))
		if _, err := sp.Trim(); err != nil {
			return err
		}
		if bytes.Count(b.Bytes, []byte{byte(i + 1)}) != len(b.Bytes) {
			return errors.New("a block in use has changed")
		}
		o.Discard(b)
	}
	return leave(errors.Join(o.Close(), busy(sp)))
}

// attachTrimmed finds World's Space as it was, and all memory that nobody uses goes back when asked.
func attachTrimmed(s *sweep.SurvivorEnv) error {
	quiet()
	n, err := read(s.Env)
	if err != nil {
		return err
	}
	sp, err := attach()
	if err != nil {
		return err
	}
	if err := clean(sp, n, 0); err != nil {
		return err
	}
	if _, err := sp.Trim(); err != nil {
		return err
	}
	grown, err := inMemory(".g.")
	if err != nil {
		return err
	}
	st, err := sp.Stats()
	if err != nil {
		return err
	}
	if most := int64(st.Segments) * 128 << 10; grown > most {
		return fmt.Errorf("grown segments have %d bytes of memory that nobody uses", grown)
	}
	return leave(busy(sp))
}

// theirs opens World's object.
func theirs(v *sweep.VictimEnv) (*shm.Object, error) {
	quiet()
	n, err := read(v.Env)
	if err != nil {
		return nil, err
	}
	h, err := handle(n, 0)
	if err != nil {
		return nil, err
	}
	o, err := h.Open(layout.KindProcess)
	if err != nil {
		return nil, err
	}
	v.Defer(func() {
		if err := o.Close(); err != nil {
			fmt.Println(err)
		}
		exit()
	})
	return o, nil
}

// partThereOrNot checks that the block of the journal is a part, or free, and that the Space agrees.
func partThereOrNot(s *sweep.SurvivorEnv, must, mustNot bool) error {
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
	if _, err := sp.Settle(); err != nil {
		return err
	}
	more := int64(0)
	_, perr := o.Part(shm.Ref(s.Journal.Get(0)), 0)
	switch {
	case perr == nil && mustNot:
		return fmt.Errorf("the part was freed, and is there")
	case perr != nil && must:
		return fmt.Errorf("the part was handed over, and is not there: %w", perr)
	case perr == nil:
		more = int64(s.Journal.Get(1))
	}
	if err := o.Close(); err != nil {
		return err
	}
	if err := clean(sp, n, more); err != nil {
		return err
	}
	return leave(busy(sp))
}
