package ring

import (
	"context"
	"time"

	"github.com/tandem-ipc/tandem/csrc"
	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/fence"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/policy"
)

// A Consumer is the receiving side of a ring in this process.
type Consumer struct {
	*SPSC
	own    csrc.Consumer
	again  uint64 // records below this position were shown to a user before
	leased uint64 // behind the records that were received and not acknowledged; 0: none
	popped uint64
	last   uint64 // length of the last record
	peeked uint64 // behind the position that TryPeek has shown; 0: none
	mark   uint64 // popped, at the last wait
	streak uint32 // publications since the last sleep
	waiter futex.Waiter
	cond   recordAt // of waiter; here so that waiting does not allocate
}

// A Message is a record in place, in the ring's memory, until Ack.
type Message struct {
	Data        []byte
	Redelivered bool // a consumer that is gone was shown it, and may or may not have acted on it
	Big         bool // Data is a layout.Big
}

// Consumer takes the receiving side. It may have been another's before: it goes on with the first record that was not
// taken; those that were shown to the other's user come marked.
func (r *SPSC) Consumer(mode futex.Mode) (*Consumer, error) {
	c := &Consumer{SPSC: r}
	c.waiter.Mode, c.waiter.Lot = mode, r.readers
	c.own.Mask, c.own.Trust = r.mask, noTrust
	c.own.Lag = (r.mask + 1) / uint64(policy.Current().Publish.Value)
	c.own.Pos = r.ring.Cursor.Load()
	c.own.Published = r.ring.Head.Load()
	c.again = r.ring.Leased.Load()
	capacity := r.mask + 1
	if c.own.Pos%8 != 0 || c.own.Pos-c.own.Published > capacity || c.again > c.own.Pos && c.again-c.own.Pos > capacity {
		return nil, ErrCorrupt
	}
	return c, nil
}

// next finds the next record that is no pad.
func (c *Consumer) next() (record, error) {
	for range 2 {
		h := c.header(c.own.Pos & c.own.Mask).Load()
		if h == 0 {
			return record{}, c.empty()
		}
		rec, ok := c.parse(c.own.Pos, h)
		if !ok {
			return rec, ErrCorrupt
		}
		if rec.flags&layout.RecPad == 0 {
			return rec, nil
		}
		c.own.Pos = c.after(c.own.Pos, rec)
	}
	return record{}, ErrCorrupt // two pads in a row
}

// empty publishes the position: the producer may have been waiting for less than it lags by.
func (c *Consumer) empty() error {
	if c.own.Published != c.own.Pos {
		c.advance(c.own.Pos)
		c.publish()
	}
	return ErrEmpty
}

// TryPop copies the next record into dst and takes it. ErrEmpty; *ShortBufferError, or ErrLength for a Big: the record
// stays.
func (c *Consumer) TryPop(dst []byte) (int, error) {
	if c.leased != 0 {
		return 0, ErrState
	}
	// As long as the one before? Then nothing needs to be taken apart, and the processor need not wait for the header to
	// know where the next one is.
	n, pos := c.last, c.own.Pos
	off, rec := pos&c.own.Mask, recordSize(n)
	if n > uint64(len(dst)) || off+rec > c.own.Mask+1 || c.header(off).Load() != headerOf(pos, n, layout.RecCommit) {
		return c.popSlowly(dst)
	}
	if n == 64 {
		move64(pointer(dst), c.at(off+layout.RecHeader))
	} else {
		move(pointer(dst), c.at(off+layout.RecHeader), n)
	}
	pos += rec
	c.own.Pos = pos
	c.popped++
	fence.StoreRelease(word(&c.ring.Cursor), pos)
	if c.ring.WWait.Load() != c.own.Trust {
		c.wake()
	}
	if pos-c.own.Published >= (c.own.Mask+1)/8 {
		c.lag()
	}
	return int(n), nil
}

// popSlowly is for a record of another length than the last one.
func (c *Consumer) popSlowly(dst []byte) (int, error) {
	rec, err := c.next()
	if err != nil {
		return 0, err
	}
	if rec.flags != layout.RecCommit {
		return 0, ErrLength
	}
	if rec.n > uint64(len(dst)) {
		return 0, &ShortBufferError{Need: int(rec.n), Have: len(dst)}
	}
	move(pointer(dst), c.at(rec.off+layout.RecHeader), rec.n)
	c.last = rec.n
	c.take(rec.n)
	return int(rec.n), nil
}

// take is the receipt for a record of n bytes: the position is one store (in advance), after which it is not delivered
// again.
func (c *Consumer) take(n uint64) {
	c.popped++
	c.advance(c.own.Pos + recordSize(n))
	c.lag()
}

// lag publishes the position if what is published lags by as much as the policy lets it.
func (c *Consumer) lag() {
	if c.own.Pos-c.own.Published >= c.own.Lag {
		c.publish()
		c.stream()
	}
}

// advance stores the exact position, and sees to a producer that waits for room. It mirrors Producer.publish.
func (c *Consumer) advance(pos uint64) {
	c.own.Pos = pos
	fence.StoreRelease(word(&c.ring.Cursor), pos)
	if c.ring.WWait.Load() != c.own.Trust {
		c.wake()
	}
}

// wake wakes the producer if it sleeps, and we have come as far as it wants.
func (c *Consumer) wake() {
	fence.Full()
	if c.ring.WWait.Load()&(layout.WaitSleeps|layout.WaitParked) != 0 && c.own.Pos >= c.ring.Want.Load() {
		c.publish()
		futex.Rouse(&c.ring.WWait, c.writers)
	}
}

// publish tells the producer how far we are.
func (c *Consumer) publish() {
	if c.own.Published != c.own.Pos {
		fence.StoreRelease(word(&c.ring.Head), c.own.Pos)
		c.own.Published = c.own.Pos
	}
}

// stream notices that the ring is in steady use, as the producer's.
func (c *Consumer) stream() {
	if c.streak++; c.streak%(2*streakToRelax) == 0 {
		fence.Register()
		futex.Relax(&c.ring.RWait)
	}
	c.own.Trust = trust()
}

// TryPeek shows the next record in place to who copies it before anyone else sees it, and then calls Take: killed in
// between, it comes again as if nothing had been.
func (c *Consumer) TryPeek() (Message, error) {
	if c.leased != 0 {
		return Message{}, ErrState
	}
	rec, err := c.next()
	if err != nil {
		return Message{}, err
	}
	c.last, c.peeked = rec.n, c.own.Pos+1
	return Message{Data: c.payload(rec.off, rec.n)[:rec.n:rec.n], Redelivered: c.own.Pos < c.again, Big: rec.flags&layout.RecBig != 0}, nil
}

// Return takes back what TryReceive has shown and Ack has not taken, for who cannot use it: it comes again.
func (c *Consumer) Return() { c.leased = 0 }

// Take takes the record that TryPeek has shown. ErrState if it has shown none, or it was taken.
func (c *Consumer) Take() error {
	if c.peeked != c.own.Pos+1 {
		return ErrState
	}
	c.take(c.last)
	return nil
}

// TryReceive shows the next record in place. It stays the next one, also for a successor, until Ack; several can be
// received and are acknowledged together. The memory must not be used after Ack.
func (c *Consumer) TryReceive() (Message, error) {
	if c.leased == 0 {
		if _, err := c.next(); err != nil { // steps over a pad
			return Message{}, err
		}
		c.leased = c.own.Pos
	}
	pos := c.leased
	for {
		h := c.header(pos & c.own.Mask).Load()
		if h == 0 {
			return Message{}, ErrEmpty
		}
		rec, ok := c.parse(pos, h)
		if !ok || pos-c.own.Pos > c.own.Mask+1 {
			return Message{}, ErrCorrupt
		}
		at := pos
		pos = c.after(pos, rec)
		if rec.flags&layout.RecPad != 0 {
			continue
		}
		c.leased = pos
		// Before the user sees it: from now on a successor must mark it. Never back: who was here before us may have been
		// shown more.
		if pos > c.again {
			fence.StoreRelease(word(&c.ring.Leased), pos)
		}
		c.popped++
		return Message{Data: c.payload(rec.off, rec.n)[:rec.n:rec.n], Redelivered: at < c.again, Big: rec.flags&layout.RecBig != 0}, nil
	}
}

// Ack takes everything that was received. ErrState if nothing was.
func (c *Consumer) Ack() error {
	if c.leased == 0 {
		return ErrState
	}
	pos := c.leased
	c.leased = 0
	c.advance(pos)
	c.lag()
	return nil
}

// TryPopFlat takes records of exactly size bytes, back to back into dst, and returns how many: as many as fit and are
// there. ErrEmpty if none is; ErrLength if the next one has another size.
func (c *Consumer) TryPopFlat(dst []byte, size int) (int, error) {
	if c.leased != 0 || size <= 0 {
		return 0, ErrState
	}
	n := len(dst) / size
	if csrc.Available && size >= bulk && n > 1 {
		k, st := csrc.PopFlat(c.ring, c.data, &c.own, dst, size, n)
		return k, c.account(k, st)
	}
	done := 0
	for done < n {
		h := headerOf(c.own.Pos, uint64(size), layout.RecCommit)
		k := c.getBurst(c.own.Pos&c.own.Mask, h, uint64(size), pointer(dst[done*size:]), min(n-done, maxBurst))
		if k > 0 {
			c.popped += uint64(k)
			c.advance(c.own.Pos + uint64(k)*recordSize(uint64(size)))
			c.lag()
			done += k
			continue
		}
		// The end of the lap, or of the records, or another length.
		rec, err := c.next()
		if err == nil && (rec.n != uint64(size) || rec.flags != layout.RecCommit) {
			err = ErrLength
		}
		if err != nil {
			return done, someIsEnough(done, err)
		}
	}
	return done, nil
}

// TryPopList takes records of any length, back to back into dst, and their lengths into lens; it returns how many.
// ErrEmpty if there is none, ErrLength if the next one is a Big, *ShortBufferError if it does not fit.
func (c *Consumer) TryPopList(dst []byte, lens []uint32) (int, error) {
	if c.leased != 0 {
		return 0, ErrState
	}
	if csrc.Available && len(lens) > 1 {
		k, st := csrc.PopList(c.ring, c.data, &c.own, dst, lens)
		if st == csrc.Length && k == 0 {
			rec, err := c.next()
			if err != nil {
				return 0, err
			}
			return 0, &ShortBufferError{Need: int(rec.n), Have: len(dst)}
		}
		return k, c.account(k, st)
	}
	k, at := 0, 0
	for ; k < len(lens); k++ {
		rec, err := c.next()
		switch {
		case err != nil:
		case rec.flags != layout.RecCommit:
			err = ErrLength
		case int(rec.n) > len(dst)-at:
			err = &ShortBufferError{Need: int(rec.n), Have: len(dst) - at}
		}
		if err != nil {
			return k, someIsEnough(k, err)
		}
		at += copy(dst[at:], c.payload(rec.off, rec.n))
		lens[k] = uint32(rec.n)
		c.take(rec.n)
	}
	return k, nil
}

// someIsEnough hides why a batch ended if it has something, unless the ring is damaged: the next call will tell.
func someIsEnough(k int, err error) error {
	if k > 0 && err != ErrCorrupt {
		return nil
	}
	return err
}

// account accounts for a batch that C has popped.
func (c *Consumer) account(k int, st csrc.Status) error {
	c.popped += uint64(k)
	if c.own.Wake != 0 {
		c.wake()
	}
	if c.own.Published == c.own.Pos { // C has published
		c.stream()
	}
	switch st {
	case csrc.OK:
		return nil
	case csrc.Empty:
		return someIsEnough(k, ErrEmpty)
	case csrc.Length, csrc.Other:
		return someIsEnough(k, ErrLength)
	}
	return ErrCorrupt
}

// Wait waits until there is a record to take, or, after Receive, another one to receive.
func (c *Consumer) Wait(ctx context.Context, stop Stopper) error {
	slept := c.waiter.Slept
	pos := c.own.Pos
	if c.leased != 0 {
		pos = c.leased
	}
	c.pace()
	c.cond = recordAt{c, pos, orNever(stop)}
	err := c.waiter.Await(ctx, &c.ring.RWait, &c.cond)
	if c.waiter.Slept != slept {
		c.streak = 0
	}
	return err
}

// mostLead is the longest pause before a consumer looks again for records that come in a stream.
const mostLead = 1600 * time.Nanosecond

// pace chooses how long to leave the ring alone. Records that come one at a time, like answers, are looked for at once;
// where the last pause has brought many, a longer one brings more: the producer keeps its lines, and the consumer gets a
// stretch of them. Two nanoseconds for each record that fits is what a ring takes to fill.
func (c *Consumer) pace() {
	burst := c.popped - c.mark
	c.mark = c.popped
	switch {
	case burst >= 16:
		fits := time.Duration((c.own.Mask + 1) / recordSize(c.last))
		c.waiter.Lead = min(max(2*c.waiter.Lead, 2*futex.LeastLead), mostLead, 2*fits*time.Nanosecond)
	case burst <= 2:
		c.waiter.Lead = futex.LeastLead
	}
}

// recordAt is the condition of a consumer that waits.
type recordAt struct {
	c   *Consumer
	pos uint64
	Stopper
}

// Ready tells whether there is a record, or a pad before one.
func (c *Consumer) Ready() bool { return c.header(c.own.Pos&c.own.Mask).Load() != 0 }

func (w *recordAt) Ready() bool { return w.c.header(w.pos&w.c.own.Mask).Load() != 0 }

// Close ends the use of the ring's receiving side.
func (c *Consumer) Close() { c.waiter.Close() }
