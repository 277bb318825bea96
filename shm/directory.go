package shm

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"slices"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// The directory: names of objects inside a Space, in a list of blocks that is only ever appended to.
//
//	bind:  an EMPTY entry -> CLAIM{me};  write it;  CLAIM -> PENDING{me};
//	       look at all other entries: the same name LIVE? withdraw. The same name PENDING? break it: PENDING -> EMPTY;
//	       PENDING{me} -> LIVE. If that fails, somebody broke ours: start over.
//
// Two binders of one name cannot both get to LIVE: each writes PENDING before it looks, so one of them sees the other. A
// binder that is stopped in the middle is broken by the next, one that is killed by its reaper.
//
// In a kept Space a LIVE entry also holds the set that it names: see the hold sets.

// Bind gives an object a name in its Space, for Lookup: 1 to 200 bytes. fs.ErrExist: the name is taken by an object that
// still exists. The name does not keep the object alive, unless the Space was made with Keep.
func (sp *Space) Bind(name string, h Handle) error {
	s, err := sp.enter()
	if err != nil {
		return err
	}
	defer s.release()
	fail := func(err error) error { return fmt.Errorf("shm: bind %q in %v: %w", name, s, err) }
	switch {
	case name == "" || len(name) > layout.NameMax:
		return fail(fmt.Errorf("%w: %d bytes, the limit is 1 to %d", ErrName, len(name), layout.NameMax))
	case h.Nonce != s.nonce:
		return fail(fmt.Errorf("the object lies in another Space: %w", fs.ErrInvalid))
	case !s.exists(h):
		return fail(ErrGone)
	}
	for {
		done, err := s.bind(name, h)
		if err != nil {
			return fail(err)
		}
		if done {
			return nil
		}
	}
}

// exists tells whether the object of a Handle is there now.
func (s *space) exists(h Handle) bool {
	f, err := s.find(h.Ref)
	if err != nil {
		return false
	}
	w := layout.Word(f.entry.Word.Load())
	return w.State() == layout.Shared && w.Seq() == h.Seq
}

func (s *space) bind(name string, h Handle) (bool, error) {
	e, w, err := s.claimName()
	if err != nil {
		return false, err
	}
	hash := hashName(name)
	e.Hash.Store(hash)
	e.Ref.Store(uint64(h.Ref))
	e.Kind.Store(uint32(h.Kind) | uint32(h.Set)<<16)
	e.Seq.Store(h.Seq)
	e.NameLen.Store(uint32(len(name)))
	copy(e.Name[:], name)
	pending := w.To(layout.DirPending, s.self)
	if !e.Word.CompareAndSwap(uint64(w), uint64(pending)) {
		return false, nil
	}
	taken := false
	err = s.names(func(o *layout.DirEntry, _ layout.Word) bool {
		taken = o != e && s.taken(o, hash, name)
		return !taken
	})
	if taken || err != nil {
		e.Word.CompareAndSwap(uint64(pending), uint64(pending.Freed()))
		if taken {
			err = fs.ErrExist
		}
		return false, err
	}
	live := pending.To(layout.DirLive, 0)
	if !e.Word.CompareAndSwap(uint64(pending), uint64(live)) {
		return false, nil
	}
	if s.kept && !s.joinByName(h) {
		e.Word.CompareAndSwap(uint64(live), uint64(live.Freed()))
		return false, ErrGone
	}
	return true, nil
}

// joinByName lets the name that was just bound hold its set: whoever is about to end the set looks again, and sees the name.
// Killed before this, the name may lead to an object that is over.
func (s *space) joinByName(h Handle) bool {
	set, ok := s.setOf(h)
	return ok && bump(set) && s.exists(h)
}

// setOf finds the hold set that a Handle names.
func (s *space) setOf(h Handle) (*layout.Set, bool) {
	f, err := s.find(h.Ref)
	at := layout.SizeObject + h.Set*layout.SizeSet
	if err != nil || !f.header || !isShared(f.entry, h.Seq) || h.Set >= int(view[layout.Object](f.bytes, 0).Sets) ||
		at+layout.SizeSet > len(f.bytes) {
		return nil, false
	}
	return view[layout.Set](f.bytes, int64(at)), true
}

// bound answers whether a name holds a set of the object at r: in a kept Space. If the directory cannot be read, it may.
func (s *space) bound(r Ref, seq uint32, set int) func() bool {
	return func() bool {
		if !s.kept {
			return false
		}
		found := false
		err := s.names(func(e *layout.DirEntry, w layout.Word) bool {
			h := entryHandle(s, e)
			found = w.State() == layout.DirLive && h.Ref == r && h.Seq == seq && h.Set == set && e.Word.Load() == uint64(w)
			return !found
		})
		return found || err != nil
	}
}

// endByName ends the set that a name held which is free now, if nobody else holds it. Killed before this, whoever settles us
// does it.
func (s *space) endByName(h Handle) error {
	set, ok := s.setOf(h)
	if !s.kept || !ok {
		return nil
	}
	f, err := s.find(h.Ref)
	if err != nil {
		return err
	}
	same := func() bool { return isShared(f.entry, h.Seq) }
	if !leaveSet(set, 0, h.Seq, left, same, s.bound(h.Ref, h.Seq, h.Set)) {
		return nil
	}
	s.rouseFor(h.Ref, f.bytes)
	return s.freeIfOver(h.Ref, f.entry, f.bytes)
}

// taken tells whether entry o keeps others from binding the name: it is bound to an object that exists. If o is about to
// bind it, or is bound to what is gone, that is undone. A word that changes meanwhile is looked at again: what was about to
// be bound may be bound now.
func (s *space) taken(o *layout.DirEntry, hash uint64, name string) bool {
	for {
		w := layout.Word(o.Word.Load())
		if w.State() != layout.DirLive && w.State() != layout.DirPending || o.Hash.Load() != hash || nameIn(o) != name {
			if o.Word.Load() == uint64(w) {
				return false
			}
			continue
		}
		if w.State() == layout.DirLive && s.exists(entryHandle(s, o)) {
			if o.Word.Load() == uint64(w) {
				return true
			}
			continue
		}
		if o.Word.CompareAndSwap(uint64(w), uint64(w.Freed())) {
			return false
		}
	}
}

// Lookup returns the Handle bound to name. fs.ErrNotExist: there is none, or its object is gone.
func (sp *Space) Lookup(name string) (Handle, error) {
	s, err := sp.enter()
	if err != nil {
		return Handle{}, err
	}
	defer s.release()
	h, _, err := s.lookup(name)
	if err != nil {
		return Handle{}, fmt.Errorf("shm: look up %q in %v: %w", name, s, err)
	}
	return h, nil
}

func (s *space) lookup(name string) (Handle, *layout.DirEntry, error) {
	hash := hashName(name)
	var found Handle
	var at *layout.DirEntry
	err := s.names(func(e *layout.DirEntry, w layout.Word) bool {
		if w.State() != layout.DirLive || e.Hash.Load() != hash || nameIn(e) != name {
			return true
		}
		h := entryHandle(s, e)
		// The entry may have become another one while we read it; its sequence number tells.
		if e.Word.Load() == uint64(w) && s.exists(h) {
			found, at = h, e
		}
		return at == nil
	})
	if err == nil && at == nil {
		err = fs.ErrNotExist
	}
	return found, at, err
}

// Unbind removes a name. fs.ErrNotExist: it was not bound.
func (sp *Space) Unbind(name string) error {
	s, err := sp.enter()
	if err != nil {
		return err
	}
	defer s.release()
	h, e, err := s.lookup(name)
	if err == nil {
		w := layout.Word(e.Word.Load())
		if w.State() != layout.DirLive || nameIn(e) != name || !e.Word.CompareAndSwap(uint64(w), uint64(w.Freed())) {
			err = fs.ErrNotExist // somebody else was faster
		}
	}
	if err == nil {
		err = s.endByName(h)
	}
	if err != nil {
		return fmt.Errorf("shm: unbind %q in %v: %w", name, s, err)
	}
	return nil
}

// Names lists what is bound, sorted.
func (sp *Space) Names() ([]string, error) {
	s, err := sp.enter()
	if err != nil {
		return nil, err
	}
	defer s.release()
	var all []string
	err = s.names(func(e *layout.DirEntry, w layout.Word) bool {
		if name := nameIn(e); w.State() == layout.DirLive && s.exists(entryHandle(s, e)) && e.Word.Load() == uint64(w) {
			all = append(all, name)
		}
		return true
	})
	slices.Sort(all)
	return all, err
}

func entryHandle(s *space, e *layout.DirEntry) Handle {
	k := e.Kind.Load()
	return Handle{file: s.file(), Nonce: s.nonce, Ref: Ref(e.Ref.Load()), Seq: e.Seq.Load(), Kind: int(k & 0xffff), Set: int(k >> 16)}
}

func nameIn(e *layout.DirEntry) string {
	return string(e.Name[:min(e.NameLen.Load(), uint32(len(e.Name)))])
}

func hashName(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// names calls f for every entry in use until it returns false.
func (s *space) names(f func(*layout.DirEntry, layout.Word) bool) error {
	return s.directories(func(d *layout.Directory) (bool, error) {
		for i := range d.Entry {
			e := &d.Entry[i]
			if w := layout.Word(e.Word.Load()); w.State() != layout.DirEmpty && !f(e, w) {
				return false, nil
			}
		}
		return true, nil
	})
}

// directories calls f for every block of names until it returns false.
func (s *space) directories(f func(*layout.Directory) (bool, error)) error {
	at := &s.root.Directory
	for range layout.Segments * layout.Units { // a damaged list must not be a circle
		r := Ref(at.Load())
		if r == 0 {
			return nil
		}
		b, err := s.find(r)
		if err != nil {
			return err
		}
		if len(b.bytes) < layout.SizeDirectory {
			return fmt.Errorf("directory block %v of %d bytes: %w", r, len(b.bytes), ErrCorrupt)
		}
		d := view[layout.Directory](b.bytes, 0)
		if more, err := f(d); err != nil || !more {
			return err
		}
		at = &d.Next
	}
	return fmt.Errorf("endless directory: %w", ErrCorrupt)
}

// claimName claims an empty entry, and appends a block of them if there is none.
func (s *space) claimName() (*layout.DirEntry, layout.Word, error) {
	for {
		var e *layout.DirEntry
		var w layout.Word
		last := &s.root.Directory
		err := s.directories(func(d *layout.Directory) (bool, error) {
			last = &d.Next
			for i := range d.Entry {
				is := layout.Word(d.Entry[i].Word.Load())
				if is.State() != layout.DirEmpty {
					continue
				}
				claimed := is.To(layout.DirClaim, s.self)
				if d.Entry[i].Word.CompareAndSwap(uint64(is), uint64(claimed)) {
					e, w = &d.Entry[i], claimed
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil || e != nil {
			return e, w, err
		}
		b, err := s.alloc(layout.SizeDirectory)
		if err != nil {
			return nil, 0, err
		}
		// Linked while it is still ours, then nobody's: killed between the two, our reaper makes it nobody's (it would
		// otherwise free a block that is linked).
		if last.CompareAndSwap(0, uint64(b.Ref)) {
			s.handOver(b, 0)
		} else {
			s.discard(b)
		}
	}
}

// linkDirectory finishes m's handing over of blocks that it had linked.
func (s *space) linkDirectory(m Member) error {
	at := &s.root.Directory
	return errors.Join(s.directories(func(d *layout.Directory) (bool, error) {
		f, err := s.find(Ref(at.Load()))
		if err != nil {
			return false, err
		}
		if w := layout.Word(f.entry.Word.Load()); w.State() == layout.Owned && w.Member() == m {
			f.entry.Aux.Store(0) // every helper stores the same
			f.entry.Word.CompareAndSwap(uint64(w), uint64(w.To(layout.Part, 0)))
		}
		at = &d.Next
		return true, nil
	}))
}

// freeNames gives back the entries that m was about to bind.
func (s *space) freeNames(m Member) error {
	return s.names(func(e *layout.DirEntry, w layout.Word) bool {
		if (w.State() == layout.DirClaim || w.State() == layout.DirPending) && w.Member() == m {
			e.Word.CompareAndSwap(uint64(w), uint64(w.Freed()))
		}
		return true
	})
}
