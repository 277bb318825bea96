package pipe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tandem-ipc/tandem/csrc"
	"github.com/tandem-ipc/tandem/internal/fence"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/ring"
	"github.com/tandem-ipc/tandem/shm"
)

// sender is the sending direction of an end. All methods but drop are called in turn.
type sender struct {
	lane
	p   *ring.Producer // nil until this process has the role
	buf []byte         // to encode into
	big [layout.Bigs]bigBlock

	// Of a reservation:
	block  int // the big block that it is in; -1: it is in the ring
	size   int
	record []byte // where the record goes that names the block
}

// bigBlock is a block for messages larger than the ring takes. Its Ref is in the lane; here is what only we need.
type bigBlock struct {
	mem   []byte
	until uint64 // the ring's position behind the last record that named it: free when the consumer is there
}

// ready takes the role, if this process has not got it yet.
func (s *sender) ready() error {
	if s.p != nil {
		return nil
	}
	if err := s.end.claim(&s.lane.lane.Producer); err != nil {
		return err
	}
	p, err := s.ring.Producer(s.end.mode)
	if err != nil {
		return corrupt(err)
	}
	if err := s.findBlocks(); err != nil {
		return err // the role stays ours, to try again
	}
	s.p = p
	return nil
}

// findBlocks learns what blocks the lane has, and which of them are under way, from the lane and the ring: they may be a
// predecessor's. A place that names no part of this lane is what a predecessor left that was killed in newBlock.
func (s *sender) findBlocks() error {
	s.big = [layout.Bigs]bigBlock{}
	for k := range s.big {
		r := shm.Ref(s.lane.lane.Big[k].Load())
		if r == 0 {
			continue
		}
		mem, err := s.end.obj.Part(r, s.off)
		switch {
		case err == nil:
			s.big[k].mem = mem
		case errors.Is(err, shm.ErrNoPart):
			s.lane.lane.Big[k].Store(0)
		default:
			return err // it cannot be mapped, say: a message under way may lie in it
		}
	}
	return corrupt(s.ring.Pending(func(after uint64, m ring.Message) {
		for k := range s.big {
			if m.Big && len(m.Data) == layout.SizeBig && binary.LittleEndian.Uint64(m.Data) == s.lane.lane.Big[k].Load() {
				s.big[k].until = after
			}
		}
	}))
}

// drop gives the role up.
func (s *sender) drop() {
	if s.lane.lane == nil {
		return // this end has no such direction
	}
	if s.p != nil {
		s.p.Close()
		s.p = nil
	}
	s.lane.lane.Producer.CompareAndSwap(uint64(s.end.obj.Self()), 0)
}

// deliver commits one message of any size.
func (s *sender) deliver(ctx context.Context, b []byte, wait bool) error {
	if !s.fits(len(b)) {
		return s.sendBig(ctx, b, wait)
	}
	for {
		err := s.tryPush(b)
		if err != ErrFull || !wait {
			return err
		}
		if err := s.p.Wait(ctx, len(b), s.end); err != nil && err != errEnded {
			return err
		}
	}
}

// tryPush commits one message that fits into the ring, if there is room.
func (s *sender) tryPush(b []byte) error {
	if s.end.peerOver() {
		return s.end.ended(ErrPeerClosed)
	}
	s.shadow.Release()
	switch err := s.p.TryPush(b); err {
	case nil:
		fence.StoreRelease(&s.count, s.count+1)
		return nil
	case ring.ErrFull:
		return ErrFull
	default:
		return corrupt(err)
	}
}

// fits tells whether a message of n bytes goes through the ring itself.
func (s *sender) fits(n int) bool { return n <= s.ring.MaxRecord() }

// sendBig commits a message that lies in a block of its own. It may wait for a block and for room in the ring.
func (s *sender) sendBig(ctx context.Context, b []byte, wait bool) error {
	mem, err := s.reserve(ctx, len(b), wait)
	if err != nil {
		return err
	}
	csrc.Copy(mem, b)
	return s.commit(len(b))
}

const (
	bigBudget = 8 << 20 // memory for big blocks that a lane keeps, but at least two blocks
	bigSpare  = 8       // beyond that, a free block this many times too large goes back
)

// findBlock finds a block for n bytes that the consumer is done with: one that is large enough, else a new one in an unused
// or too small place. With all places under way it waits for the oldest, and if it sleeps, for half of them: as for room in
// the ring.
func (s *sender) findBlock(ctx context.Context, n int, wait bool) (int, error) {
	if int64(n) > s.end.obj.Limit() {
		return 0, &TooLargeError{Size: int64(n), Limit: s.end.obj.Limit()}
	}
	places := min(max(bigBudget/n, 2), layout.Bigs)
	total := 0
	for k := range s.big {
		total += len(s.big[k].mem)
	}
	for {
		fit, spare, busy := -1, -1, make([]uint64, 0, layout.Bigs)
		for k := range s.big {
			b := &s.big[k]
			switch {
			case b.mem != nil && !s.p.Taken(b.until):
				busy = append(busy, b.until)
			case total > bigBudget && len(b.mem) > bigSpare*n:
				total -= len(b.mem)
				if err := s.freeBlock(k); err != nil {
					return 0, err
				}
				spare = k
			case b.mem != nil && len(b.mem) >= n:
				if fit < 0 || b.until > s.big[fit].until { // the one used last: the warmest
					fit = k
				}
			case k < places || b.mem != nil:
				spare = k
			}
		}
		switch {
		case fit >= 0:
			return fit, nil
		case spare >= 0:
			return spare, s.newBlock(spare, n)
		case !wait:
			return 0, ErrFull
		}
		slices.Sort(busy)
		err := s.p.WaitTaken(ctx, busy[0], busy[(len(busy)-1)/2], s.end)
		if err == errEnded {
			return 0, s.end.ended(ErrPeerClosed)
		}
		if err != nil {
			return 0, err
		}
	}
}

// newBlock puts a block of n bytes into place k. The old one is given back before the lane stops naming it, and the lane
// names the new one before it is handed over: a part of the lane is named at every instant. Killed in between, what was
// not handed over returns, and a successor finds a name without a block.
func (s *sender) newBlock(k, n int) error {
	if err := s.freeBlock(k); err != nil {
		return err
	}
	b, err := s.end.obj.NewPart(int64(n))
	if err != nil {
		return err
	}
	s.lane.lane.Big[k].Store(uint64(b.Ref))
	s.end.obj.HandOver(b, s.off)
	s.big[k] = bigBlock{mem: b.Bytes}
	return nil
}

// freeBlock gives the block in place k back.
func (s *sender) freeBlock(k int) error {
	if s.big[k].mem == nil {
		return nil
	}
	if err := s.end.obj.FreePart(shm.Ref(s.lane.lane.Big[k].Load()), s.off); err != nil {
		return err
	}
	s.lane.lane.Big[k].Store(0)
	s.big[k] = bigBlock{}
	return nil
}

// sendMany commits n messages of size bytes each, back to back in b, and returns how many.
func (s *sender) sendMany(ctx context.Context, b []byte, size int) (int, error) {
	for done := 0; ; {
		if s.end.peerOver() {
			return done, s.end.ended(ErrPeerClosed)
		}
		s.shadow.Release()
		k, err := s.p.TryPushFlat(b[done*size:], size)
		done += k
		fence.StoreRelease(&s.count, s.count+uint64(k))
		switch {
		case err == nil:
			return done, nil
		case err != ring.ErrFull:
			return done, corrupt(err)
		}
		if err := s.p.Wait(ctx, size, s.end); err != nil && err != errEnded {
			return done, err
		}
	}
}

// reserve returns memory for a message of n bytes. A place in the ring is reserved in any case, so that commit never
// waits.
func (s *sender) reserve(ctx context.Context, n int, wait bool) (mem []byte, err error) {
	s.block, s.size = -1, n
	record := n
	if !s.fits(n) {
		if s.block, err = s.findBlock(ctx, n, wait); err != nil {
			return nil, err
		}
		record = layout.SizeBig
	}
	for {
		if s.end.peerOver() {
			return nil, s.end.ended(ErrPeerClosed)
		}
		mem, err = s.p.TryReserve(record)
		switch {
		case err == nil && s.block >= 0:
			s.record = mem
			return s.big[s.block].mem[:n:n], nil
		case err == nil:
			return mem, nil
		case err != ring.ErrFull:
			return nil, corrupt(err)
		case !wait:
			return nil, ErrFull
		}
		if err := s.p.Wait(ctx, record, s.end); err != nil && err != errEnded {
			return nil, err
		}
	}
}

// commit publishes the first n bytes of what was reserved.
func (s *sender) commit(n int) error {
	if n < 0 || n > s.size {
		return ErrOrder
	}
	s.shadow.Release()
	var err error
	if k := s.block; k >= 0 {
		binary.LittleEndian.PutUint64(s.record, s.lane.lane.Big[k].Load())
		binary.LittleEndian.PutUint64(s.record[8:], uint64(n))
		err = s.p.CommitBig(layout.SizeBig)
		s.big[k].until = s.p.Position()
	} else {
		err = s.p.Commit(n)
	}
	if err != nil {
		return corrupt(err)
	}
	fence.StoreRelease(&s.count, s.count+1)
	return nil
}

func (s *sender) abort() { s.p.Abort() }

// corrupt gives errors of package ring a name of ours.
func corrupt(err error) error {
	switch err {
	case nil:
		return nil
	case ring.ErrCorrupt:
		return fmt.Errorf("%w: %w", shm.ErrCorrupt, err)
	case ring.ErrState:
		return ErrOrder
	}
	return err
}
