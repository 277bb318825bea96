package futex

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/internal/fence"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/pause"
)

// A Condition is what a Waiter waits for.
type Condition interface {
	// Ready tells whether there is nothing to wait for any more. It is polled: a load or two.
	Ready() bool
	// Stop is asked before every sleep and after it; an error ends the wait. Whoever makes it return one calls Rouse
	// afterwards.
	Stop() error
	// Recheck is called when a bounded sleep has passed without a wake-up: the time to ask whether those who would wake
	// us are still alive.
	Recheck()
}

// A Waiter waits for conditions, one at a time. The zero Waiter is ready for use with Mode Auto.
type Waiter struct {
	Mode Mode

	// Lead is how long to leave the condition alone at first, after it was found not ready; 0 is LeastLead.
	Lead time.Duration

	// Lot is where the waiter goes when it has no thread to sleep on: because as many of this process sleep on their own word
	// as may, or because it has done so for a second in vain. Nil: it always sleeps on the word.
	Lot Lot

	// Long says that it goes there at once: for who waits long, and need not be fast.
	Long bool

	cancel canceller
	parked Parked

	// How often polling did not help in a row, and how many waits are to go by without it.
	failed uint
	skip   uint
	asked  uint
	yield  yielder
	crowd  bool // the last wait was parked, and the next one will be no shorter: no polling, no yielding

	Polled uint64 // waits that ended while polling
	Slept  uint64 // sleeps, in the kernel or in the lot
}

// LeastLead is how long a waiter at least leaves a line alone after it found nothing there. The line is about to be written
// by the other side; asking for it again at once takes it away in the middle of a store. It is about half a round trip
// between cores: an answer cannot come sooner.
const LeastLead = 100 * time.Nanosecond

const (
	firstSleep = 20 * time.Millisecond
	pollEach   = 25 * time.Nanosecond
	giveUp     = 3 // polls in vain before polling is skipped
	skipMost   = 6 // … at most 1 << skipMost waits
	lookEvery  = 64
	askAgain   = 64 // limits, for the policy: processors come and go
)

// Await returns nil when c is ready, or the error of ctx or of c.Stop. word is where the waker will call Rouse.
func (w *Waiter) Await(ctx context.Context, word *atomic.Uint32, c Condition) error {
	if w.poll(ctx, c) {
		return nil
	}
	return w.sleep(ctx, word, c)
}

// Close lets go of the last context. Not needed if all contexts end.
func (w *Waiter) Close() { w.cancel.close() }

// poll tells whether c became ready while polling.
func (w *Waiter) poll(ctx context.Context, c Condition) bool {
	if c.Ready() {
		return true
	}
	most := time.Duration(0) // for ever
	if w.Mode == Auto {
		most = w.limit()
	}
	if w.Mode == Block || w.Mode == Auto && most == 0 {
		return false
	}
	pause.Spin(uint32(max(1, max(w.Lead, LeastLead)/pauseTime())))
	if c.Ready() {
		w.learn()
		return true
	}
	if w.Mode == Auto {
		// Not before: what comes after the first pause takes no place among the pollers.
		if !takePoll() {
			return false
		}
		defer givePoll()
	}
	return w.spin(ctx, c, most)
}

// spin polls until c is ready, the wait has to end, or most is over, unless that is 0. Polls are counted, not timed: a hint's
// length is known, and reading the clock costs more than a poll.
func (w *Waiter) spin(ctx context.Context, c Condition, most time.Duration) bool {
	hint := pauseTime()
	each := max(1, pollEach/hint)
	for i := time.Duration(1); ; i++ {
		pause.Spin(uint32(each))
		if c.Ready() {
			w.learn()
			return true
		}
		if i%lookEvery == 0 {
			if most != 0 && i*each*hint >= most {
				w.failed++
				return false
			}
			if ctx.Err() != nil || c.Stop() != nil {
				return false // sleep asks again and tells
			}
		}
	}
}

// limit is how long to poll this time.
func (w *Waiter) limit() time.Duration {
	if w.crowd {
		return 0
	}
	if w.skip > 0 {
		w.skip--
		return 0
	}
	w.asked++
	most := worthPolling(w.asked%askAgain == 1)
	if w.failed >= giveUp {
		// Polling has been in vain: leave it for a while, then try again at full length.
		w.skip = 1<<min(w.failed-giveUp+1, skipMost) - 1
	}
	return most
}

func (w *Waiter) learn() {
	w.Polled++
	w.failed = 0
}

func (w *Waiter) sleep(ctx context.Context, word *atomic.Uint32, c Condition) error {
	now := time.Time{}
	if !w.crowd {
		var ready bool
		if now, ready = w.yield.do(c); ready {
			return nil
		}
	}
	w.crowd = false
	if w.Lot == nil {
		return w.block(ctx, word, c, now, 0)
	}
	if !w.Long && takeThread() {
		err := w.block(ctx, word, c, now, MaxSleep)
		giveThread()
		if err != errLong {
			return err
		}
	}
	if done, err := w.park(ctx, word, c); done {
		w.crowd = true
		return err
	}
	return w.block(ctx, word, c, time.Time{}, 0)
}

// errLong: the wait has lasted long enough for a thread.
var errLong = errors.New("a long wait")

// block sleeps on the word, until errLong if most is not 0: once it would be for as long as that.
func (w *Waiter) block(ctx context.Context, word *atomic.Uint32, c Condition, now time.Time, most time.Duration) error {
	w.cancel.watch(ctx, word)
	for bounded := firstSleep; ; {
		if now.IsZero() {
			now = time.Now()
		}
		announce(word, layout.WaitSleeps)
		if c.Ready() {
			retract(word)
			return nil
		}
		err := ctx.Err()
		if err == nil {
			err = c.Stop()
		}
		if err != nil {
			retract(word)
			return err
		}
		w.Slept++
		result, err := w.cancel.sleep(ctx, word, now.Add(bounded))
		if err != nil {
			return err
		}
		now = time.Time{}
		if c.Ready() {
			retract(word)
			return nil
		}
		if result == TimedOut {
			c.Recheck()
			if bounded = min(2*bounded, MaxSleep); bounded == most {
				retract(word)
				return errLong
			}
		}
	}
}

// A yielder lets goroutines that are ready run before a sleep: one of them may be who makes the condition ready, and our
// processor (P) is not handed on at once when we block in the kernel. Where yielding is expensive it is done now and then
// only: on a locked thread (runtime.LockOSThread) it costs two switches between threads, more than the sleep itself; and
// where others are busy for long, the runtime looks for blocked processors often enough.
type yielder struct {
	failed, skip uint
}

const (
	yieldCheap = time.Microsecond
	yieldTries = 3
	yieldSkips = 8 // at most 1 << yieldSkips sleeps
)

// do tells the time, and whether c is ready, afterwards.
func (y *yielder) do(c Condition) (now time.Time, ready bool) {
	start := time.Now()
	if y.skip > 0 {
		y.skip--
		return start, false
	}
	runtime.Gosched()
	now = time.Now()
	if now.Sub(start) < yieldCheap {
		y.failed = 0
	} else if y.failed++; y.failed >= yieldTries {
		y.skip = 1 << min(y.failed-yieldTries, yieldSkips)
	}
	return now, c.Ready()
}

// announce raises the flag, WaitSleeps or WaitParked, and makes sure that who changes the condition from now on sees it, or
// that we see the change. Pairs with the publisher's store and its look at the word. It also withdraws WaitRelaxed: who sleeps often pays less if
// the publisher fences.
func announce(word *atomic.Uint32, flag uint32) {
	if word.Swap(flag)&layout.WaitRelaxed != 0 {
		fence.Heavy() // where the promise was another's, and it is impossible here, the first sleep is a short one
	}
}

func retract(word *atomic.Uint32) { word.And(^uint32(waits)) }

// waits is what a wait word says if anyone waits.
const waits = layout.WaitSleeps | layout.WaitParked

// Relax tells publishers that they need no fence before they look at word, because this process will make their stores
// visible before it sleeps there. Only the one who sleeps on the word may call it.
func Relax(word *atomic.Uint32) {
	if fence.CanHeavy() {
		word.Or(layout.WaitRelaxed)
	}
}
