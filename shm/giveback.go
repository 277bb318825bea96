package shm

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// Giving memory back to the system. What a burst has used is punched out of the files (MADV_REMOVE) once it has been free
// for a while, and reserved again before it is used: a full file system is an error of the allocation then, and never a
// fault. Only units of grown segments are; the tables that say whose they are lie elsewhere. See the heap for the protocol.
//
// Whether a unit has been free for a while is seen without another shared word: its entry word says FREE with the sequence
// number that it had. Each process looks at what it has freed itself, and at everything when somebody has left or died.

const (
	leastPunch = int64(64 << 10) // smaller runs are not worth a system call, and will be used soon
	idleFor    = time.Second     // how long a unit is free before its memory goes
)

// refill reserves the memory of a run that we have claimed. If there is none, what there was goes as well.
func (s *space) refill(r run) error {
	from, end := r.g.pagesAround(r.g.unit(r.first), r.g.unit(r.first+r.n))
	err := populate(r.g.mem[from:end])
	if errors.Is(err, errors.ErrUnsupported) {
		err = s.reserveByName(r.g, from, end-from)
	}
	if err != nil {
		r.punch()
	}
	return full(err, s.dir)
}

// pagesAround widens a range to whole pages.
func (g *segment) pagesAround(from, end int64) (int64, int64) {
	page := int64(os.Getpagesize())
	return from &^ (page - 1), min((end+page-1)&^(page-1), int64(len(g.mem)))
}

// reserveByName reserves memory of a segment whose descriptor is closed.
func (s *space) reserveByName(g *segment, off, n int64) error {
	if g.index == 0 {
		return reserve(s.probe, off, n)
	}
	w := s.table[g.index].Load()
	f, err := openSegment(inDir(s.dir, growthFile(s.nonce, g.index, grower(w))))
	if err != nil {
		return err
	}
	defer f.Close()
	if h, err := readHeader(f, layout.SegGrowth); err != nil {
		return err
	} else if h.Nonce != s.nonce || h.Self != w {
		return fmt.Errorf("%s is not the segment that we have mapped: %w", f.Name(), ErrCorrupt)
	}
	return reserve(f, off, n)
}

// punch gives back the memory of a run that we have claimed: its whole pages, and says how much that is.
func (r run) punch() int64 {
	page := int64(os.Getpagesize())
	from, end := (r.g.unit(r.first)+page-1)&^(page-1), r.g.unit(r.first+r.n)&^(page-1)
	if from >= end {
		return 0
	}
	if err := release(r.g.mem[from:end]); err != nil {
		r.g.whole.Store(true) // the file system cannot do it: not again
		return 0
	}
	return end - from
}

// giveBackFree punches all runs of free units that have memory, or may have, or only those whose words are as they were in idle; it ends early
// when stop says so. It returns the number of bytes.
func (s *space) giveBackFree(g *segment, idle []uint64, stop func() bool) (total int64) {
	most := max(1, g.units/8) // who needs memory meanwhile finds the rest
	for i := 0; i < g.units && !g.whole.Load() && !stop(); {
		n := 0
		for ; n < most && i+n < g.units; n++ {
			w := layout.Word(g.entries[i+n].Word.Load())
			doubtful := w.State() == layout.Holed && w.A() == layout.HoledDoubtful
			if w.State() != layout.Free && !doubtful || idle != nil && uint64(w) != idle[i+n] {
				break
			}
		}
		if int64(n)<<g.shift >= leastPunch {
			if r, ok := g.take(i, n, s.self, false); ok {
				total += r.punch()
				g.giveBackAs(i, r.claimed, layout.Holed)
			}
		}
		i += max(n, 1)
	}
	return total
}

// Trim gives the memory that no block uses back to the system now, and returns how many bytes that is. Otherwise it goes
// when it has been unused for one to two seconds. The first megabyte of a Space, and what runs of less than 64 KiB have,
// stays.
func (sp *Space) Trim() (int64, error) {
	s, err := sp.enter()
	if err != nil {
		return 0, err
	}
	defer s.release()
	total := int64(0)
	err = s.segments(func(g *segment) error {
		if g.index > 0 {
			total += s.giveBackFree(g, nil, func() bool { return false })
		}
		return nil
	})
	return total, err
}

// giver is what a process remembers between two looks for idle units; one goroutine at a time has it.
type giver struct {
	next time.Duration
	all  bool             // look at all segments, not only those that we have freed units of
	seen map[int][]uint64 // the entry words of a segment at the last look
}

// giveBackIdle looks for idle units, at most every idleFor; p.look calls it.
func (p *poller) giveBackIdle(now time.Duration) {
	v := &p.giver
	if now < v.next || !p.giving.CompareAndSwap(false, true) {
		return
	}
	v.all = p.freedByOthers.Swap(false) || v.all
	if !v.all && len(v.seen) == 0 && !p.s.hasFreed() {
		p.giving.Store(false)
		return
	}
	v.next = now + idleFor
	p.buriers.Go(func() {
		defer p.giving.Store(false)
		// A segment that cannot be mapped now is looked at when somebody frees something there.
		_ = p.s.segments(func(g *segment) error {
			idle := v.seen[g.index]
			if g.index == 0 || g.whole.Load() || idle == nil && !v.all && !g.freed.Load() {
				return nil
			}
			if idle != nil {
				p.s.giveBackFree(g, idle, p.over.Load)
				delete(v.seen, g.index)
			}
			// Taken down before the words are read: who frees a unit and finds it up has done so before.
			if g.freed.Swap(false) || idle == nil {
				if v.seen == nil {
					v.seen = map[int][]uint64{}
				}
				v.seen[g.index] = g.words()
			}
			return nil
		})
		v.all = false
	})
}

// words copies the entry words of all units.
func (g *segment) words() []uint64 {
	all := make([]uint64, g.units)
	for i := range all {
		all[i] = g.entries[i].Word.Load()
	}
	return all
}

// hasFreed tells whether this process has freed units of a segment since it was looked at.
func (s *space) hasFreed() bool {
	for i := 1; i < layout.Segments && s.table[i].Load() != 0; i++ {
		if g := s.segs[i].Load(); g != nil && g.freed.Load() && !g.whole.Load() {
			return true
		}
	}
	return false
}
