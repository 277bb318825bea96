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
// number that it had. Each process looks at what it has freed itself, and at everything when its neighbour
// has left or died: one member does so for each who goes. One that is stopped while it gives back keeps what it has claimed, a
// megabyte at most, from the others; who needs memory that is claimed makes those who give back stop, and looks again.

const (
	leastPunch = int64(64 << 10) // smaller runs are not worth a system call, and will be used soon
	mostPunch  = int64(1 << 20)  // what one claim has at once, and keeps where its process is stopped
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
		r.punch() // what it cannot take back is doubtful, as all of the run
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

// punch gives back the memory of a run that we have claimed: its whole pages, and says how much that is. Not ok: the system
// has refused it, after it had taken a part perhaps.
func (r run) punch() (n int64, ok bool) {
	page := int64(os.Getpagesize())
	from, end := (r.g.unit(r.first)+page-1)&^(page-1), r.g.unit(r.first+r.n)&^(page-1)
	if from >= end {
		return 0, true
	}
	if err := release(r.g.mem[from:end]); err != nil {
		r.g.whole.Store(true) // the file system cannot do it, or the memory is locked: not again
		return 0, false
	}
	return end - from, true
}

// giveBackFree punches all runs of free units that have memory, or may have, or only those whose words are as they were in
// idle, and returns the number of bytes. It ends early when stop says so, or when somebody who needs memory has met a claim.
func (s *space) giveBackFree(g *segment, idle []uint64, stop func() bool) (total int64, ended bool) {
	most := max(1, min(g.units/8, int(mostPunch>>g.shift))) // who needs memory meanwhile finds the rest
	wanted := s.root.Wanted.Load()
	for i := 0; i < g.units && !g.whole.Load(); {
		if stop() || s.root.Wanted.Load() != wanted {
			return total, false
		}
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
				total += s.giveBackRun(r)
			}
		}
		i += max(n, 1)
	}
	return total, true
}

// giveBackRun punches a run that we have claimed, and ends the claim.
func (s *space) giveBackRun(r run) int64 {
	n, ok := r.punch()
	if !ok {
		r.holes = s.refill(r) != nil
		r.abandon()
		return 0
	}
	r.g.giveBackAs(r.first, r.claimed, layout.Holed)
	return n
}

// Trim gives the memory that no block uses back to the system now, and returns how many bytes that is. Otherwise it goes
// when it has been unused for one to two seconds. The first megabyte of a Space, and what runs of less than 64 KiB have,
// stays; and the rest of a segment in which somebody needs memory meanwhile.
func (sp *Space) Trim() (int64, error) {
	s, err := sp.enter()
	if err != nil {
		return 0, err
	}
	defer s.release()
	total := int64(0)
	err = s.segments(func(g *segment) error {
		if g.index > 0 {
			n, _ := s.giveBackFree(g, nil, func() bool { return false })
			total += n
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
				if _, ended := p.s.giveBackFree(g, idle, p.over.Load); !ended {
					return nil // the next look goes on
				}
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
