package pipe

import (
	"context"
	"sync/atomic"
)

// A turn lets one goroutine at a time use one direction of an end. Unlike a sync.Mutex it can be given up waiting for,
// because who has it may be waiting for another process.
type turn struct {
	taken   atomic.Bool
	waiting atomic.Int32
	free    chan struct{} // a token: look again
}

func newTurn() turn { return turn{free: make(chan struct{}, 1)} }

func (t *turn) try() bool { return !t.taken.Load() && t.taken.CompareAndSwap(false, true) }

// take waits for the turn, at most until closing is closed: ErrClosed.
func (t *turn) take(ctx context.Context, closing <-chan struct{}) error {
	if t.try() {
		return nil
	}
	// Counted first, then looked: who gives the turn back clears taken first and then looks at the count.
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	for !t.try() {
		select {
		case <-t.free:
		case <-ctx.Done():
			return ctx.Err()
		case <-closing:
			return ErrClosed
		}
	}
	return nil
}

func (t *turn) give() {
	t.taken.Store(false)
	if t.waiting.Load() > 0 {
		select {
		case t.free <- struct{}{}:
		default: // there is a token already, and one goroutine to look is enough
		}
	}
}
