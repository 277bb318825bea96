package shm

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/futex"
)

// Looks: what is done when nobody has told us anything for a while, so that a hint that gets lost costs time only. One alarm
// of the process serves its pollers and all parked waiters.

const (
	firstLook = 20 * time.Millisecond
	lastLook  = futex.MaxSleep
)

// looks says when to look.
var looks struct {
	running sync.Mutex // held while looking

	mu      sync.Mutex // guards what follows
	pollers map[*poller]bool
	alarm   *alarm
	next    time.Duration // when the alarm rings; the largest while it is being served
	soonest atomic.Int64  // the same, to be read without the lock
}

// began is what looks are counted from. All Spaces share it, so that their looks come together.
var began = time.Now()

func now() time.Duration { return time.Since(began) }

// dueAfter is when to look, at most wait from now, and together with all others who wait as long.
func dueAfter(now, wait time.Duration) time.Duration { return (now + wait) / wait * wait }

// startLooking lets p look from now on.
func startLooking(p *poller) {
	looks.mu.Lock()
	if looks.pollers == nil {
		looks.pollers = map[*poller]bool{}
	}
	if len(looks.pollers) == 0 {
		setNext(math.MaxInt64)
		looks.alarm = newAlarm(lookAll)
	}
	looks.pollers[p] = true
	looks.mu.Unlock()
	p.lookSoon()
}

// stopLooking ends that; a look that has begun comes to its end first.
func stopLooking(p *poller) {
	looks.mu.Lock()
	delete(looks.pollers, p)
	if len(looks.pollers) == 0 {
		looks.alarm.stop()
		looks.alarm = nil
	}
	looks.mu.Unlock()
	looks.running.Lock() // held until that look is over
	defer looks.running.Unlock()
}

func setNext(at time.Duration) {
	looks.next = at
	looks.soonest.Store(int64(at))
}

// lookBy makes the alarm ring in time for a look at due.
func lookBy(due time.Duration) {
	if int64(due) >= looks.soonest.Load() {
		return
	}
	looks.mu.Lock()
	defer looks.mu.Unlock()
	if due < looks.next && looks.alarm != nil {
		setNext(due)
		looks.alarm.set(max(due-now(), 1))
	}
}

// lookAll is what the alarm calls.
func lookAll() {
	looks.running.Lock()
	defer looks.running.Unlock()
	looks.mu.Lock()
	setNext(math.MaxInt64) // who wants to be looked for earlier than we are going to says so meanwhile
	all := make([]*poller, 0, 4)
	for p := range looks.pollers {
		all = append(all, p)
	}
	looks.mu.Unlock()
	next, at := time.Duration(math.MaxInt64), now()
	for _, p := range all {
		next = min(next, p.look(at))
	}
	lookBy(next)
}

// look looks for what is due, and returns when there will be more. A poller that has stopped meanwhile waits for us.
func (p *poller) look(now time.Duration) (next time.Duration) {
	if p.over.Load() {
		return math.MaxInt64
	}
	p.mu.Lock()
	due := p.lookAt <= now
	if due {
		p.lookWait = min(2*p.lookWait, lastLook)
		p.lookAt = dueAfter(now, p.lookWait)
	}
	next = p.lookAt
	p.mu.Unlock()
	if due {
		p.lookAtOthers()
		p.giveBackIdle(now)
	}
	return min(next, p.lookForParked(now))
}

// lookSoon makes the next looks at others come quickly: something has happened, and more may have.
func (p *poller) lookSoon() {
	p.mu.Lock()
	p.lookWait = firstLook
	p.lookAt = dueAfter(now(), firstLook)
	at := p.lookAt
	p.mu.Unlock()
	lookBy(at)
}

// lookAtOthers asks for ourselves whether those whom we watch live, and whether our bell was rung, or somebody died, without
// a wake-up.
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
