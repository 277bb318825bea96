package shm

import (
	"errors"
	"fmt"
	"os"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// grower is who grew a segment, as the root's table says; the upper half of the word is the file's own nonce.
func grower(w uint64) Member { return Member(w & layout.MemberMask) }

// grow adds segment i, with room for a block of size bytes. It is no error if another process adds it first.
//
// The file gets its name when it is complete and locked, and counts when the root's table says so: one CAS. Killed
// between the two, it is found by its name, which tells who made it.
func (s *space) grow(i int, size int64) error {
	s.growing.Lock()
	defer s.growing.Unlock()
	if i >= layout.Segments {
		return fmt.Errorf("%v has %d segments, the most there can be: %w", s, i, ErrNoSpace)
	}
	if s.table[i].Load() != 0 {
		return nil
	}
	used, err := s.size()
	if err != nil {
		return err
	}
	least := roundHeap(max(size, leastHeap))
	heap := max(least, min(firstGrown<<min(i-1, 16), mostGrown))
	if room := s.limit - used - layout.GrowthHeap; heap > room {
		if heap = room &^ (leastHeap - 1); heap < least {
			return fmt.Errorf("%d bytes more in %v, which has %d bytes, and %s: %w", size, s, used, s.limitText(), ErrNoSpace)
		}
	}
	f, temporary, heap, err := s.newGrowth(roundHeap(heap), least)
	if err != nil {
		return err
	}
	fail := func(err error) error {
		if temporary != "" {
			err = errors.Join(err, ignoreMissing(os.Remove(temporary)))
		}
		f.Close()
		return err
	}
	h := newHeader(layout.SegGrowth, s.nonce, i, heap)
	h.Self = uint64(s.self) | uint64(uint32(randomNonce()))<<32
	g, err := mapSegment(f, h)
	if err != nil {
		return fail(err)
	}
	if err := s.tune(g); err != nil {
		return fail(errors.Join(err, g.unmap()))
	}
	*view[layout.SegmentHeader](g.mem, 0) = h
	path := inDir(s.dir, growthFile(s.nonce, i, s.self))
	if err := nameFile(f, temporary, path); err != nil {
		return fail(errors.Join(err, g.unmap()))
	}
	g.keep(f)
	if !s.table[i].CompareAndSwap(0, h.Self) {
		return errors.Join(os.Remove(path), g.unmap()) // another one was faster; ours is known to nobody
	}
	s.segs[i].Store(g)
	return nil
}

// newGrowth makes a file with a heap as large as there is memory for, down to least.
func (s *space) newGrowth(heap, least int64) (f *os.File, temporary string, size int64, err error) {
	f, temporary, err = newBorn(s.dir, randomNonce())
	if err != nil {
		return nil, "", 0, full(err, s.dir)
	}
	fail := func(err error) (*os.File, string, int64, error) {
		if temporary != "" {
			err = errors.Join(err, ignoreMissing(os.Remove(temporary)))
		}
		f.Close()
		return nil, "", 0, err
	}
	if ok, err := tryLock(f, readLock, layout.LockMapped); err != nil || !ok {
		return fail(errors.Join(err, fmt.Errorf("lock a new file: %w", ErrBusy)))
	}
	for {
		err := errors.Join(f.Truncate(layout.GrowthHeap+heap), reserve(f, 0, growthTables),
			reserve(f, layout.GrowthHeap, heap))
		if err == nil {
			return f, temporary, heap, nil
		}
		if !noMemory(err) || heap <= least {
			return fail(full(err, s.dir))
		}
		heap = max(least, roundHeap(heap/2&^(leastHeap-1)))
		if err := f.Truncate(0); err != nil {
			return fail(err)
		}
	}
}

// openGrown maps segment i, which the root's table says w of.
func (s *space) openGrown(i int, w uint64) (*segment, error) {
	s.growing.Lock()
	defer s.growing.Unlock()
	if g := s.segs[i].Load(); g != nil {
		return g, nil
	}
	bad := func(err error) (*segment, error) {
		return nil, fmt.Errorf("segment %d of %v: %w", i, s, err)
	}
	m := grower(w)
	if !m.Valid() {
		return bad(ErrCorrupt)
	}
	path := inDir(s.dir, growthFile(s.nonce, i, m))
	f, err := openSegment(path)
	if err != nil {
		return bad(err)
	}
	h, err := readHeader(f, layout.SegGrowth)
	if err == nil && (h.Nonce != s.nonce || h.Self != w || int(h.Index) != i) {
		err = fmt.Errorf("%s is not the one that was published: %w", path, ErrCorrupt)
	}
	if err == nil {
		var ok bool
		if ok, err = tryLock(f, readLock, layout.LockMapped); err == nil && !ok {
			err = fmt.Errorf("%s is being removed: %w", path, ErrBusy)
		}
	}
	if err != nil {
		f.Close()
		return bad(err)
	}
	g, err := mapSegment(f, h)
	if err != nil {
		f.Close()
		return bad(err)
	}
	if err := s.tune(g); err != nil {
		f.Close()
		return bad(errors.Join(err, g.unmap()))
	}
	g.keep(f)
	s.segs[i].Store(g)
	return g, nil
}

// size is the memory of all segments, in bytes.
func (s *space) size() (int64, error) {
	total := int64(0)
	err := s.segments(func(g *segment) error {
		total += g.reserved()
		return nil
	})
	return total, err
}

// reserved is what a segment takes of the file system, all but the slot pages of members.
func (g *segment) reserved() int64 {
	if g.index == 0 {
		return layout.RootLives + int64(len(g.mem)) - g.heap
	}
	return growthTables + int64(len(g.mem)) - g.heap
}

// growthTables is what a grown segment has before its heap: header and table of units. The rest of the gap has no memory.
const growthTables = layout.GrowthTable + layout.Units*layout.SizeEntry
