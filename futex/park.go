package futex

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// A Lot is where goroutines of this process wait at one place of shared memory without a thread each: somebody else sleeps
// for all of them. Who makes their condition ready finds WaitParked in the wait word, clears it, and calls Ring in its own
// process, which reaches whoever sleeps for them.
type Lot interface {
	// Enter lets p be woken from now on: by a Ring in any process, and by looks of the lot's own, 20 ms after the last,
	// doubling to MaxSleep, in a crowd less often. False: nobody sleeps for others here.
	Enter(p *Parked) bool
	// Leave undoes Enter. When it returns, the lot does not use p any more.
	Leave(p *Parked)
	// Ring makes those look again who are parked here, in whatever process.
	Ring()
}

// Parked is a waiter in a lot. The lot calls its methods, and keeps its own notes in Note.
type Parked struct {
	Note struct {
		Next *Parked
		Prev *Parked
		Key  uint32
		Wait time.Duration // between the last look and the next
		Due  time.Duration // the next look; what it is counted from is the lot's business
	}
	condition Condition
	awake     chan struct{} // a token: look again
}

// Wake makes the waiter look again. It never blocks.
func (p *Parked) Wake() {
	select {
	case p.awake <- struct{}{}:
	default: // there is a token already
	}
}

// Look looks for the waiter, as it would itself after a bounded sleep, and wakes it if there is anything to see.
func (p *Parked) Look() {
	c := p.condition
	if c.Ready() || c.Stop() != nil {
		p.Wake()
		return
	}
	c.Recheck()
}

// mostDirect is how many waiters of a process sleep on their own word, a thread each: half the way for a wake-up.
const mostDirect = 4

var direct atomic.Int32

// takeThread tells whether the caller may be one of them; it gives the place back with giveThread.
func takeThread() bool {
	if direct.Add(1) <= mostDirect {
		return true
	}
	direct.Add(-1)
	return false
}

func giveThread() { direct.Add(-1) }

// park waits in the lot. done is false if that is impossible here.
func (w *Waiter) park(ctx context.Context, word *atomic.Uint32, c Condition) (done bool, err error) {
	p := &w.parked
	if p.awake == nil {
		p.awake = make(chan struct{}, 1)
	}
	p.condition = c
	if !w.Lot.Enter(p) {
		return false, nil
	}
	defer func() {
		w.Lot.Leave(p)
		p.condition = nil
		select {
		case <-p.awake: // for the wait that is over
		default:
		}
	}()
	for {
		announce(word, layout.WaitParked)
		if c.Ready() {
			retract(word)
			return true, nil
		}
		err := ctx.Err()
		if err == nil {
			err = c.Stop()
		}
		if err != nil {
			retract(word)
			return true, err
		}
		w.Slept++
		if p.sleep(ctx.Done()) && c.Ready() {
			if word.Load()&waits != 0 { // a look has woken us, no waker
				retract(word)
			}
			return true, nil
		}
	}
}

// sleep tells whether it ended with a token.
func (p *Parked) sleep(done <-chan struct{}) bool {
	if done == nil {
		<-p.awake
		return true
	}
	select {
	case <-p.awake:
		return true
	case <-done:
		return false
	}
}
