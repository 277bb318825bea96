package futex

import (
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// A Result says why a sleep ended.
type Result int

const (
	Woken    Result = iota // by Wake, by a signal, or for no reason
	Changed                // the word had another value, so there was no sleep
	TimedOut               // the deadline has passed
)

func (r Result) String() string {
	switch r {
	case Woken:
		return "woken"
	case Changed:
		return "changed"
	}
	return "timed out"
}

// MaxSleep bounds every sleep.
const MaxSleep = time.Second

// A Word is a place to sleep on together with others.
type Word struct {
	Word  *atomic.Uint32
	Value uint32
}

// Wait sleeps while *w is value, until Wake or the deadline, at most MaxSleep; a zero deadline is MaxSleep from now. The
// word may lie in memory shared with other processes. The error is for systems that cannot do it, and for memory that is
// not there.
func Wait(w *atomic.Uint32, value uint32, deadline time.Time) (Result, error) {
	return wait(w, value, bound(deadline))
}

// WaitAny sleeps while every word has its value. Look at all words afterwards: more than one may have changed, and the
// kernel tells of one at most. Up to 128 words; on kernels without futex_waitv (before 5.16) only the first one wakes at
// once, the others are looked at every 20 ms.
func WaitAny(words []Word, deadline time.Time) (Result, error) {
	return waitAny(words, bound(deadline))
}

// WaitAnyLong is WaitAny with a deadline of a minute: for who has somebody else look every now and then, and wake it by a
// change of a word.
func WaitAnyLong(words []Word) (Result, error) { return waitAny(words, time.Now().Add(time.Minute)) }

// Wake wakes up to n sleepers of w, in whatever process, and tells how many there were.
func Wake(w *atomic.Uint32, n int) (int, error) { return wake(w, n) }

// Rouse wakes who waits on a wait word, if anyone does: without a waiter it costs one load. lot is where its waiters park;
// nil if they never do.
//
// The caller has changed the condition before, with a full fence in between.
func Rouse(w *atomic.Uint32, lot Lot) {
	if w.Load()&waits == 0 {
		return
	}
	// Take the flag down first: were we killed between the two, the sleeper would find it down at its next look and raise
	// it again; the other way round it could sleep with nobody knowing.
	was := w.And(^uint32(waits))
	if was&layout.WaitSleeps != 0 {
		wake(w, maxSleepers)
	}
	if was&layout.WaitParked != 0 && lot != nil {
		lot.Ring()
	}
}

// RouseAll wakes everyone on a wait word whether or not its flag is up: for reapers, who pay for the dead.
func RouseAll(w *atomic.Uint32, lot Lot) {
	w.And(^uint32(waits))
	wake(w, maxSleepers)
	if lot != nil {
		lot.Ring()
	}
}

const maxSleepers = 1<<31 - 1

func bound(deadline time.Time) time.Time {
	last := time.Now().Add(MaxSleep)
	if deadline.IsZero() || deadline.After(last) {
		return last
	}
	return deadline
}
