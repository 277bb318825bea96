package ring

import (
	"context"

	"github.com/tandem-ipc/tandem/csrc"
	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/fence"
	"github.com/tandem-ipc/tandem/internal/layout"
)

// A Producer is the sending side of a ring in this process.
type Producer struct {
	*SPSC
	own      csrc.Producer
	max      uint64 // MaxRecord
	reserved int64  // bytes reserved and not committed; -1: none
	streak   uint32 // refreshes since the last sleep
	waiter   futex.Waiter
	cond     roomFor // of waiter, like taken; here so that waiting does not allocate
	taken    takenTo
}

// streakToRelax is after how many rounds without a sleep a side offers to fence for both, and asks to be allowed to
// publish without a fence itself.
const streakToRelax = 4

// Producer takes the sending side. It may have been another's before: it goes on behind the last committed record.
func (r *SPSC) Producer(mode futex.Mode) (*Producer, error) {
	p := &Producer{SPSC: r, max: uint64(r.MaxRecord()), reserved: -1}
	p.waiter.Mode, p.waiter.Lot = mode, r.writers
	p.own.Mask, p.own.Trust = r.mask, noTrust
	// The consumer may be moving; whatever lies behind a position it once had stays until a producer overwrites it.
	cursor := r.ring.Cursor.Load()
	end, err := r.walk(cursor, nil)
	if err != nil || cursor%8 != 0 {
		return nil, ErrCorrupt
	}
	p.own.Pos, p.own.Limit = end, cursor+r.mask+1
	return p, nil
}

// TryPush copies msg into the ring as one record. nil: it is committed, safe from our death. ErrFull, *TooLargeError.
func (p *Producer) TryPush(msg []byte) error {
	n := uint64(len(msg))
	rec, pos := recordSize(n), p.own.Pos
	off := pos & p.own.Mask
	if pos+rec+layout.RecHeader > p.own.Limit || off+rec > p.own.Mask+1 || n > p.max || p.reserved >= 0 {
		return p.pushSlowly(msg, layout.RecCommit)
	}
	p.setPlain((off+rec)&p.own.Mask, 0)
	if n == 64 {
		move64(p.at(off+layout.RecHeader), pointer(msg))
	} else {
		move(p.at(off+layout.RecHeader), pointer(msg), n)
	}
	p.own.Pos = pos + rec
	fence.StoreRelease(word(p.header(off)), headerOf(pos, n, layout.RecCommit)) // publish
	if p.ring.RWait.Load() != p.own.Trust {
		p.wake()
	}
	return nil
}

// TryPushBig pushes a record that stands for a message elsewhere: its payload is a layout.Big.
func (p *Producer) TryPushBig(ref []byte) error {
	return p.pushSlowly(ref, layout.RecCommit|layout.RecBig)
}

// pushSlowly is for a record that may need room to be made for it.
func (p *Producer) pushSlowly(msg []byte, flags uint64) error {
	n := uint64(len(msg))
	off, err := p.room(n)
	if err != nil {
		return err
	}
	rec := recordSize(n)
	p.setPlain((off+rec)&p.own.Mask, 0)
	move(p.at(off+layout.RecHeader), pointer(msg), n)
	p.publish(off, headerOf(p.own.Pos, n, flags))
	p.own.Pos += rec
	return nil
}

// room makes room for a payload of n bytes and returns its offset. If the lap ends before it would, a pad record is
// published.
func (p *Producer) room(n uint64) (uint64, error) {
	if p.reserved >= 0 {
		return 0, ErrState
	}
	if n > p.max {
		return 0, &TooLargeError{Size: int(n), Limit: p.MaxRecord()}
	}
	rec, off, capacity := recordSize(n), p.own.Pos&p.own.Mask, p.own.Mask+1
	pad := uint64(0)
	if off+rec > capacity {
		pad = capacity - off
	}
	need := pad + rec + layout.RecHeader // the next header must be ours to zero
	if p.own.Pos+need > p.own.Limit {
		if err := p.refresh(need); err != nil {
			return 0, err
		}
	}
	if pad > 0 {
		p.setPlain(0, 0)
		p.publish(off, headerOf(p.own.Pos, 0, layout.RecCommit|layout.RecPad))
		p.own.Pos += pad
	}
	return p.own.Pos & p.own.Mask, nil
}

// refresh looks how far the consumer is. Its exact position is in a line that it writes for every record, so it is read
// only where what it published has not moved since we last looked.
func (p *Producer) refresh(need uint64) error {
	capacity := p.own.Mask + 1
	head := p.ring.Head.Load()
	if p.own.Pos+need > head+capacity && head+capacity <= p.own.Limit {
		head = max(head, p.ring.Cursor.Load())
	}
	used := p.own.Pos - head
	if used > capacity || head%8 != 0 {
		return ErrCorrupt
	}
	p.own.Limit = head + capacity
	p.stream()
	if need > capacity-used { // as roomFor asks, or a damaged position that overflows would be full here, and room there
		return ErrFull
	}
	return nil
}

// stream notices that the ring is in steady use: then it is worth a system call to get rid of fences.
func (p *Producer) stream() {
	if p.streak++; p.streak%streakToRelax == 0 {
		fence.Register()
		futex.Relax(&p.ring.WWait)
	}
	p.own.Trust = trust()
}

// publish is the commit. Either the consumer sees the header before it sleeps, or we see that it sleeps. While RWait says
// what we trust, that is the consumer's business: it fences for both before it sleeps (package fence). Else it takes a
// fence here between the store and the look.
func (p *Producer) publish(off, header uint64) {
	fence.StoreRelease(word(p.header(off)), header)
	if p.ring.RWait.Load() != p.own.Trust {
		p.wake()
	}
}

// wake wakes the consumer if it sleeps.
func (p *Producer) wake() {
	fence.Full()
	futex.Rouse(&p.ring.RWait, p.readers)
}

// trust is the value of a wait word that needs nothing to be done: the sleeper's promise, if it holds for this process.
func trust() uint32 {
	if fence.Registered() {
		return layout.WaitRelaxed
	}
	return noTrust
}

const noTrust = 1 << 31 // what no wait word says

// TryReserve returns n bytes of the ring to write a record into, for Commit. Until then nothing else can be pushed.
func (p *Producer) TryReserve(n int) ([]byte, error) {
	off, err := p.room(uint64(n))
	if err != nil {
		return nil, err
	}
	p.reserved = int64(n)
	return p.payload(off, uint64(n))[:n:n], nil
}

// Commit publishes the first n bytes of what was reserved. ErrState if nothing was, or less than n.
func (p *Producer) Commit(n int) error { return p.commit(n, layout.RecCommit) }

// CommitBig is Commit for a layout.Big.
func (p *Producer) CommitBig(n int) error { return p.commit(n, layout.RecCommit|layout.RecBig) }

func (p *Producer) commit(n int, flags uint64) error {
	if p.reserved < 0 || int64(n) > p.reserved || n < 0 {
		return ErrState
	}
	rec, off := recordSize(uint64(n)), p.own.Pos&p.own.Mask
	p.setPlain((off+rec)&p.own.Mask, 0)
	p.publish(off, headerOf(p.own.Pos, uint64(n), flags))
	p.own.Pos += rec
	p.reserved = -1
	return nil
}

// Abort gives up what was reserved.
func (p *Producer) Abort() { p.reserved = -1 }

// maxBurst is how many records one store publishes at most.
const maxBurst = 32

// bulk is from how many bytes on a record is worth a call into C, which has the faster copy.
const bulk = 128

// TryPushFlat pushes records of size bytes each, back to back in buf, and returns how many: the error tells why not all.
// They appear in bursts of up to 32, each by one store.
func (p *Producer) TryPushFlat(buf []byte, size int) (int, error) {
	switch {
	case p.reserved >= 0, size <= 0:
		return 0, ErrState
	case uint64(size) > p.max:
		return 0, &TooLargeError{Size: size, Limit: p.MaxRecord()}
	}
	n := len(buf) / size
	if csrc.Available && size >= bulk && n > 1 {
		k, st := csrc.PushFlat(p.ring, p.data, &p.own, buf, size, n)
		return k, p.account(k, st)
	}
	rec := recordSize(uint64(size))
	for done := 0; done < n; {
		k := min(n-done, maxBurst)
		off, all := p.own.Pos&p.own.Mask, uint64(k)*rec
		if p.own.Pos+all+layout.RecHeader > p.own.Limit || off+all > p.own.Mask+1 {
			// Near the end of the lap, or of the room that we know of: one by one, for once.
			k = min(k, 4)
			m, err := p.pushBatch(k, func(i int) []byte { return buf[(done+i)*size : (done+i+1)*size] })
			done += m
			if err != nil {
				return done, err
			}
			continue
		}
		h := headerOf(p.own.Pos, uint64(size), layout.RecCommit)
		p.setBurst(off, h, uint64(size), pointer(buf[done*size:]), k)
		p.publish(off, h)
		p.own.Pos += all
		done += k
	}
	return n, nil
}

// TryPushList pushes records of any lengths, back to back in buf.
func (p *Producer) TryPushList(buf []byte, lens []uint32) (int, error) {
	if p.reserved >= 0 {
		return 0, ErrState
	}
	total := uint64(0)
	for _, n := range lens {
		total += uint64(n)
	}
	if total > uint64(len(buf)) {
		return 0, ErrState
	}
	if !csrc.Available || len(lens) == 1 {
		at := 0
		return p.pushBatch(len(lens), func(i int) []byte {
			b := buf[at : at+int(lens[i])]
			at += int(lens[i])
			return b
		})
	}
	k, st := csrc.PushList(p.ring, p.data, &p.own, buf, lens)
	if st == csrc.Length {
		p.account(k, csrc.OK)
		return k, &TooLargeError{Size: int(lens[k]), Limit: p.MaxRecord()}
	}
	return k, p.account(k, st)
}

// account accounts for a batch that C has pushed.
func (p *Producer) account(n int, st csrc.Status) error {
	if p.own.Wake != 0 {
		p.wake()
	}
	switch st {
	case csrc.OK:
		return nil
	case csrc.Full:
		p.stream()
		return ErrFull
	}
	return ErrCorrupt
}

// pushBatch pushes n messages in bursts: headers 2 … k first, header 1 last.
func (p *Producer) pushBatch(n int, msg func(int) []byte) (int, error) {
	for done := 0; ; {
		first, header, k := uint64(0), uint64(0), 0
		var err error
		for ; k < maxBurst && done+k < n; k++ {
			b := msg(done + k)
			size := uint64(len(b))
			rec, off := recordSize(size), p.own.Pos&p.own.Mask
			if k > 0 && off+rec > p.own.Mask+1 {
				break // the pad record is published on its own, so the burst ends here
			}
			if off, err = p.room(size); err != nil {
				break
			}
			p.setPlain((off+rec)&p.own.Mask, 0)
			copy(p.payload(off, size), b)
			h := headerOf(p.own.Pos, size, layout.RecCommit)
			if k == 0 {
				first, header = off, h
			} else {
				p.setPlain(off, h)
			}
			p.own.Pos += rec
		}
		if k > 0 {
			p.publish(first, header)
			done += k
		}
		if err != nil || done == n {
			return done, err
		}
	}
}

// A Stopper ends waits; see futex.Condition. Nil never does.
type Stopper interface {
	Stop() error
	Recheck()
}

type never struct{}

func (never) Stop() error { return nil }
func (never) Recheck()    {}

func orNever(s Stopper) Stopper {
	if s == nil {
		return never{}
	}
	return s
}

// Wait waits until there is room for a record of n bytes.
func (p *Producer) Wait(ctx context.Context, n int, stop Stopper) error {
	slept := p.waiter.Slept
	p.cond = roomFor{p, uint64(n), orNever(stop)}
	p.want(p.own.Pos - min(p.own.Pos, (p.own.Mask+1)/2))
	err := p.waiter.Await(ctx, &p.ring.WWait, &p.cond)
	if p.waiter.Slept != slept {
		p.streak = 0
	}
	return err
}

// want asks to be woken once the consumer has come to a position, if we sleep. For room that is half a ring: were we woken
// for each record that is taken, we would fill its place and sleep again, at the price of two system calls. It is a hint:
// a sleeper looks for room itself, in the end.
func (p *Producer) want(pos uint64) {
	if p.ring.Want.Load() != pos {
		fence.StoreRelease(word(&p.ring.Want), pos)
	}
}

// roomFor is the condition of a producer that waits.
type roomFor struct {
	p *Producer
	n uint64
	Stopper
}

// Ready looks at the exact position only once the flag is up, before a sleep, or where the published one is known to be
// late: while polling it would take the line from the consumer, who publishes its position soon enough. It leaves the
// producer's state alone.
func (c *roomFor) Ready() bool {
	p := c.p
	rec, off, capacity := recordSize(c.n), p.own.Pos&p.own.Mask, p.own.Mask+1
	need := rec + layout.RecHeader
	if off+rec > capacity {
		need += capacity - off
	}
	head := p.ring.Head.Load()
	late := p.own.Pos-head > capacity
	if late || p.own.Pos+need > head+capacity && p.ring.WWait.Load()&(layout.WaitSleeps|layout.WaitParked) != 0 {
		head = max(head, p.ring.Cursor.Load())
	}
	used := p.own.Pos - head
	return used > capacity || need <= capacity-used // damaged: let the push say so
}

// WaitTaken waits until the consumer has taken everything below a position; if it sleeps, it is woken at want, which is
// not below. That is a hint, as in Wait.
func (p *Producer) WaitTaken(ctx context.Context, pos, want uint64, stop Stopper) error {
	p.taken = takenTo{p, pos, orNever(stop)}
	p.want(want)
	return p.waiter.Await(ctx, &p.ring.WWait, &p.taken)
}

// Taken tells whether the consumer has taken everything below a position.
func (p *Producer) Taken(pos uint64) bool {
	return max(p.ring.Head.Load(), p.ring.Cursor.Load()) >= pos
}

// takenTo is the condition of a producer that waits for its records to be taken.
type takenTo struct {
	p   *Producer
	pos uint64
	Stopper
}

func (c *takenTo) Ready() bool { return c.p.Taken(c.pos) }

// Close ends the use of the ring's sending side.
func (p *Producer) Close() { p.waiter.Close() }

// Position is where the next record goes: bytes since the ring was made.
func (p *Producer) Position() uint64 { return p.own.Pos }
