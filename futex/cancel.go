package futex

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// A canceller gets one sleeper out of the kernel when its context ends. Its registration is kept from wait to wait while
// the context stays the same, so that waiting again costs no allocation.
type canceller struct {
	registered *registration
	asleep     atomic.Bool
}

type registration struct {
	of   *canceller
	done <-chan struct{} // identifies the context
	word *atomic.Uint32
	stop func() bool

	mu   sync.Mutex // over is not set while fire is about to touch word: it may be unmapped then
	over bool       // the sleeper has moved on to another context, or for good
}

func (c *canceller) watch(ctx context.Context, word *atomic.Uint32) {
	done := ctx.Done()
	if r := c.registered; r != nil && r.done == done && r.word == word {
		return
	}
	c.close()
	if done != nil {
		r := &registration{of: c, done: done, word: word}
		r.stop = context.AfterFunc(ctx, r.fire)
		c.registered = r
	}
}

func (c *canceller) close() {
	if r := c.registered; r != nil {
		r.mu.Lock()
		r.over = true
		r.mu.Unlock()
		r.stop()
		c.registered = nil
	}
}

// fire wakes the sleeper until it says that it is up: a wake-up between its last look at the context and its sleep would
// be lost.
func (r *registration) fire() {
	for pause := 50 * time.Microsecond; r.rouse(); pause = min(2*pause, 5*time.Millisecond) {
		time.Sleep(pause)
	}
}

// rouse tells whether the sleeper was still to be woken.
func (r *registration) rouse() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || !r.of.asleep.Load() {
		return false
	}
	RouseAll(r.word, nil) // a parked waiter looks at its context itself
	return true
}

// sleep is one bounded sleep with the flag raised. fire looks at asleep after the context has ended; we look at the
// context after setting asleep: one of us sees the other.
func (c *canceller) sleep(ctx context.Context, word *atomic.Uint32, deadline time.Time) (Result, error) {
	c.asleep.Store(true)
	defer c.asleep.Store(false)
	if ctx.Err() != nil {
		return Woken, nil
	}
	return wait(word, layout.WaitSleeps, deadline)
}
