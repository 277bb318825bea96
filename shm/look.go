package shm

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/futex"
)

// Looks: what is done when nobody has told us anything for a while, so that a hint that gets lost costs time only. One timer
// per attachment serves its poller and all parked waiters. A kernel sleep that ends every second would do as well, but its
// return wakes half of Go's runtime; a timer costs one switch of threads.

const (
	firstLook = 20 * time.Millisecond
	lastLook  = futex.MaxSleep
)

// looks says when to look.
type looks struct {
	timer   *time.Timer // nil: nobody looks
	began   time.Time
	running sync.Mutex // held while the timer's function runs

	mu      sync.Mutex // guards what follows
	over    bool
	next    time.Duration // when the timer fires, since began; the largest while its function runs
	soonest atomic.Int64  // the same, to be read without the lock
	others  time.Duration // when to look at other members, and
	wait    time.Duration // how long that is after the last time
}

func (l *looks) start(look func()) {
	l.mu.Lock() // look may come before we are done
	defer l.mu.Unlock()
	l.began, l.wait, l.others, l.next = time.Now(), firstLook, firstLook, firstLook
	l.soonest.Store(int64(firstLook))
	l.timer = time.AfterFunc(firstLook, look)
}

// stop ends the looks; one that has begun comes to its end first.
func (l *looks) stop() {
	if l.timer == nil {
		return
	}
	l.mu.Lock()
	l.over = true
	l.timer.Stop()
	l.mu.Unlock()
	l.running.Lock() // held until a look that has begun is over
	defer l.running.Unlock()
}

func (l *looks) now() time.Duration { return time.Since(l.began) }

// by makes the timer fire in time for a look at due.
func (l *looks) by(due time.Duration) {
	if int64(due) >= l.soonest.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if due < l.next && !l.over {
		l.set(due)
		l.timer.Reset(due - l.now())
	}
}

func (l *looks) set(next time.Duration) {
	l.next = next
	l.soonest.Store(int64(next))
}

// soon makes the next looks at others come quickly: something has happened, and more may have.
func (l *looks) soon() {
	l.mu.Lock()
	l.wait = firstLook
	l.others = dueAfter(l.now(), firstLook)
	at := l.others
	l.mu.Unlock()
	l.by(at)
}

// dueAfter is when to look, at most wait from now, and together with all others who wait as long.
func dueAfter(now, wait time.Duration) time.Duration { return (now + wait) / wait * wait }

// look is the timer's function.
func (p *poller) look() {
	l := &p.looks
	l.running.Lock()
	defer l.running.Unlock()
	now := l.now()
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return
	}
	l.set(math.MaxInt64) // who wants to be looked for earlier than we are going to says so meanwhile
	others := l.others <= now
	if others {
		l.wait = min(2*l.wait, lastLook)
		l.others = dueAfter(now, l.wait)
	}
	next := l.others
	l.mu.Unlock()
	if others {
		p.lookAtOthers()
	}
	l.by(min(next, p.lookForParked(now)))
}

// lookAtOthers asks for ourselves whether those whom we watch live, and whether our bell was rung, or
// somebody died, without a wake-up.
func (p *poller) lookAtOthers() {
	for _, w := range p.watch() {
		if w.value&ownerDied != 0 || p.s.Dead(w.m) {
			p.bury(w.m)
		}
	}
	p.helpUnfinished()
	if p.s.page.Doorbell.Load() != p.slept.bell.Load() || p.s.root.Deaths.Load() != p.slept.deaths.Load() {
		futex.Wake(&p.s.page.Doorbell, 1)
	}
}
