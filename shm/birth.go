package shm

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// birth makes a new root under the name file. The file gets its name when everything is in it and our locks are on it, so
// nobody ever sees half a Space, and killed before that it has never existed. fs.ErrExist: the name is taken.
func birth(dir, file, name string, nonce uint64, o options) (*space, error) {
	limit, from, err := limitFor(dir, o)
	if err != nil {
		return nil, err
	}
	least := int64(layout.RootLives + layout.PageSize + 4096 + leastHeap)
	if limit < least {
		return nil, fmt.Errorf("%s is too small, a Space needs %d: %w", limitText(limit, from), least, ErrNoSpace)
	}
	path := inDir(dir, file)
	f, temporary, err := newBorn(dir, nonce)
	if err != nil {
		return nil, full(err, dir)
	}
	fail := func(err error) (*space, error) {
		if temporary != "" {
			err = errors.Join(err, ignoreMissing(os.Remove(temporary)))
		}
		f.Close()
		return nil, err
	}
	const slot = 1
	heap, err := reserveRoot(f, dir, slot, min(rootHeap, limit-least+leastHeap))
	if err != nil {
		return fail(err)
	}
	for at, kind := range map[int64]int16{layout.LockMapped: readLock, layout.LockSlot + slot: writeLock} {
		if ok, err := tryLock(f, kind, at); err != nil || !ok {
			return fail(errors.Join(err, fmt.Errorf("lock %d of a new file: %w", at, ErrBusy)))
		}
	}
	h := newHeader(layout.SegRoot, nonce, 0, heap)
	probe, err := reopen(f, temporary)
	if err != nil {
		return fail(err)
	}
	g, err := mapSegment(f, h)
	if err != nil {
		return fail(errors.Join(err, probe.Close()))
	}
	fail2 := func(err error) (*space, error) { return fail(errors.Join(err, g.unmap(), probe.Close())) }
	root := view[layout.Root](g.mem, 0)
	root.Seg = h
	root.Limit, root.LimitFrom = uint64(limit), from
	switch {
	case name == "":
		root.Flags = layout.RootPrivate
	case o.keep:
		root.Flags = layout.RootKeep
	}
	root.NameLen = uint32(copy(root.Name[:], name))
	info, err := fstat(f)
	if err != nil {
		return fail2(err)
	}
	s := newSpace(dir, path, h, info.id, g, probe, o)
	if err := s.tune(g); err != nil {
		return fail2(err)
	}
	s.takeSlot(slot, 0)
	if err := nameFile(f, temporary, path); err != nil {
		return fail2(err)
	}
	s.settleIn(f)
	return s, nil
}

// reserveRoot gives a root its size and its memory: what is always used, one slot, and as much heap as there is room for.
func reserveRoot(f *os.File, dir string, slot int, heap int64) (int64, error) {
	for heap = heap &^ (leastHeap - 1); ; heap = heap / 2 &^ (leastHeap - 1) {
		err := f.Truncate(layout.RootHeap + heap)
		if err == nil {
			err = reserve(f, 0, layout.RootLives)
		}
		if err == nil {
			err = reserveSlot(f, slot)
		}
		if err == nil {
			err = reserve(f, layout.RootHeap, heap)
		}
		if err == nil {
			return heap, nil
		}
		if !noMemory(err) || heap/2 < leastHeap {
			return 0, full(err, dir)
		}
		if err := f.Truncate(0); err != nil {
			return 0, err
		}
	}
}

// reserveSlot backs what a member in this slot touches and others look at.
func reserveSlot(f *os.File, slot int) error {
	if err := reserve(f, layout.RootLives+int64(slot)*layout.LifeStride, layout.LifeStride); err != nil {
		return err
	}
	return reserve(f, pageOf(slot), layout.PageSize)
}

func pageOf(slot int) int64 { return layout.RootPages + int64(slot)*layout.PageSize }

// newBorn makes a file that is about to be a segment. With a temporary name it is locked against sweepers; one that was faster
// takes it for leaked, and then another one is made, under a name that no sweeper is looking at.
func newBorn(dir string, nonce uint64) (f *os.File, temporary string, err error) {
	for range birthTries {
		f, temporary, err = newFile(dir, bornFile(nonce))
		if err != nil || temporary == "" {
			return f, temporary, err
		}
		if err = guard(f); err == nil {
			return f, temporary, nil
		}
		err = errors.Join(err, ignoreMissing(os.Remove(temporary)), f.Close())
		if !errors.Is(err, ErrBusy) {
			break
		}
		nonce = randomNonce()
	}
	return nil, "", err
}

const birthTries = 100 // a sweep has the right moment once in a thousand files

// guard locks a file that was born with a temporary name, and makes sure that no sweeper was faster.
func guard(f *os.File) error {
	ok, err := tryLock(f, readLock, layout.LockMapped)
	if err != nil {
		return err
	}
	info, err := fstat(f)
	if err != nil {
		return err
	}
	if !ok || info.links == 0 {
		return fmt.Errorf("%s was swept while it was being made: %w", f.Name(), ErrBusy)
	}
	return nil
}

// noMemory: the file system is full, or the memory that it would take is not to be had.
func noMemory(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.ENOMEM)
}

// full makes such an error say how much there was.
func full(err error, dir string) error {
	if !noMemory(err) {
		return err
	}
	total, free, serr := spaceIn(dir)
	if serr != nil {
		return errors.Join(err, serr)
	}
	return fmt.Errorf("%s has %d of %d bytes free: %w (%w)", dir, free, total, ErrNoSpace, err)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
