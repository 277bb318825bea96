package pipe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/race"
	"github.com/tandem-ipc/tandem/ring"
	"github.com/tandem-ipc/tandem/shm"
)

// An end is one end of a connection as this process holds it: once per process, however many Conns lead to it.
type end struct {
	obj  *shm.Object
	conn *layout.Conn
	set  int // which end; also the lane that it sends on
	mode futex.Mode

	tx sender
	rx receiver

	closed  atomic.Bool
	closing chan struct{} // closed with it
	over    chan struct{} // closed when the end has been left

	mu      sync.Mutex // guards what follows, and keeps apart those who finish a close
	why     error      // what ErrClosed says more; not changed once closed
	pins    int        // how many children it is on the way to; it is not left before
	passed  bool       // one of them gets our own hold
	given   bool       // a child has it: how the end ends is not for us to say
	left    bool
	leftErr error
	unwatch func()
}

// lane is what the two directions of an end have in common.
type lane struct {
	end    *end
	turn   turn
	out    atomic.Bool  // a view is out: the turn comes back with it
	lane   *layout.Lane // nil: this end has no such direction
	off    int64        // of lane in the header
	ring   *ring.SPSC
	shadow race.Word
	count  uint64 // messages; written in turn, read by Stats
}

// newEnd wires the object, of which this process holds the set o.
func newEnd(o *shm.Object, set int, mode futex.Mode) (*end, error) {
	e := &end{obj: o, conn: overlay(o.Header), set: set, mode: mode, closing: make(chan struct{}), over: make(chan struct{})}
	simplex := e.conn.Obj.Flags&layout.ConnSimplex != 0
	for i, l := range e.lanes() {
		n := set ^ i // the lane it sends on, then the one it receives from
		l.end, l.turn = e, newTurn()
		if simplex && n == 1 {
			continue
		}
		l.lane, l.off = &e.conn.Lane[n], laneOffset(n)
		at := l.lane.Ring
		if at > uint64(len(o.Data)) {
			return nil, fmt.Errorf("ring at %d of %d bytes: %w", at, len(o.Data), shm.ErrCorrupt)
		}
		var err error
		if l.ring, err = ring.Open(o.Data[at:]); err != nil {
			return nil, fmt.Errorf("%w: %w", shm.ErrCorrupt, err)
		}
		l.ring.Park(o.Lot(l.off+layout.LaneConsumer), o.Lot(l.off+layout.LaneProducer))
		h := o.Handle()
		l.shadow = race.For(race.Key{h.Nonce, uint64(h.Ref) + uint64(l.off)})
	}
	return e, nil
}

func (e *end) lanes() [2]*lane { return [2]*lane{&e.tx.lane, &e.rx.lane} }

func laneOffset(i int) int64 { return layout.SizeObject + 2*layout.SizeSet + int64(i)*layout.SizeLane }

// errEnded: nobody holds the other end any more.
var errEnded = errors.New("the other end is over")

// Stop is asked by those who wait: is there a reason not to go on?
func (e *end) Stop() error {
	if e.closed.Load() {
		return e.closedErr()
	}
	if e.peerOver() {
		return errEnded
	}
	return nil
}

// peerOver tells whether nobody holds the other end any more.
func (e *end) peerOver() bool {
	return layout.SetState(e.conn.End[1-e.set].State.Load()).Phase() != layout.SetOpen
}

// ended says how the other end ended; closed is what to say if it was closed.
func (e *end) ended(closed error) error {
	st := e.obj.SetState(1 - e.set)
	if st.Phase() != layout.SetDied {
		return closed
	}
	d := e.obj.Who(st.Member())
	return &PeerDied{PID: d.PID, Command: d.Command}
}

// Recheck is called by those who wait when nobody has woken them for a while.
func (e *end) Recheck() {
	_ = e.obj.Recheck(1 - e.set) // what cannot be settled now is tried again at the next look
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.unwatch == nil && !e.left {
		e.unwatch = e.obj.Watch(1 - e.set)
	}
}

func (e *end) closedErr() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why != nil {
		return fmt.Errorf("%w: %w", ErrClosed, e.why)
	}
	return ErrClosed
}

// enter takes the turn of a direction. With a context that is over it does not, even where nothing would have to wait.
func (l *lane) enter(ctx context.Context) error {
	if l.lane == nil {
		return ErrDirection
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !l.turn.try() {
		if l.end.closed.Load() {
			return l.end.closedErr()
		}
		if err := l.turn.take(ctx, l.end.closing); err != nil {
			return err
		}
	}
	if l.end.closed.Load() {
		l.leave()
		return l.end.closedErr()
	}
	return nil
}

// tryEnter is enter for who does not wait: busy is what to say if another goroutine has the turn.
func (l *lane) tryEnter(busy error) error {
	if l.lane == nil {
		return ErrDirection
	}
	if !l.turn.try() {
		if l.end.closed.Load() {
			return l.end.closedErr()
		}
		return busy
	}
	if l.end.closed.Load() {
		l.leave()
		return l.end.closedErr()
	}
	return nil
}

// leave gives the turn back, and finishes a close that waits for it.
func (l *lane) leave() {
	l.turn.give()
	if l.end.closed.Load() {
		l.end.finish()
	}
}

// lend keeps the turn with a view that goes out. False: the end was closed meanwhile, and does not wait for the view.
func (l *lane) lend() bool {
	l.out.Store(true)
	// Pairs with close, which sets closed and then looks at out.
	if l.end.closed.Load() {
		l.out.Store(false)
		return false
	}
	return true
}

// claim makes this process the one that has a role of a lane, unless a living one has it.
func (e *end) claim(role *atomic.Uint64) error {
	me := uint64(e.obj.Self())
	for {
		w := role.Load()
		if w != 0 && w != me && !e.obj.Dead(shm.Member(w)) {
			d := e.obj.Who(shm.Member(w))
			return fmt.Errorf("%w: %d (%s)", ErrBusy, d.PID, d.Command)
		}
		// Who has the role is in the word that gives it, by one CAS. What a dead one left half-done is invisible, or found
		// by its successor in the ring.
		if role.CompareAndSwap(w, me) {
			return nil
		}
	}
}

// Close implements shm.Local.
func (e *end) Close() error { return e.close(nil) }

// GiveUp implements shm.Local.
func (e *end) GiveUp() error {
	e.mu.Lock()
	e.given = true
	e.mu.Unlock()
	return e.close(errPassed)
}

// Pass implements shm.Local.
func (e *end) Pass(keep bool) (arrived func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed.Load() && e.why != nil:
		return nil, fmt.Errorf("%w: %w", ErrClosed, e.why)
	case e.closed.Load():
		return nil, ErrClosed
	case e.passed:
		return nil, fmt.Errorf("%w: %w", ErrClosed, errPassed)
	}
	if e.passed = !keep; e.passed {
		// The child shall find the roles free.
		if e.tx.turn.try() {
			e.tx.drop()
			e.tx.turn.give()
		}
		if e.rx.turn.try() {
			e.rx.drop()
			e.rx.turn.give()
		}
	}
	e.pins++
	return sync.OnceFunc(func() {
		e.mu.Lock()
		if !keep {
			e.passed = false
		}
		e.pins--
		closed := e.closed.Load()
		e.mu.Unlock()
		if closed {
			e.finish()
		}
	}), nil
}

var errPassed = errors.New("it was passed on to a child process")

// close ends this process's use of the end. Calls that are under way return; with a view out, the end is left when the
// view comes back.
func (e *end) close(why error) error {
	e.mu.Lock()
	if !e.closed.Load() {
		e.why = why
		e.closed.Store(true)
		close(e.closing)
		for _, l := range e.lanes() {
			if l.lane != nil {
				l.ring.RouseAll() // our own waiters have something to look at; the peer's look in vain
			}
		}
	}
	pinned := e.pins > 0
	e.mu.Unlock()
	e.finish()
	if !e.tx.out.Load() && !e.rx.out.Load() && !pinned {
		<-e.over
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.leftErr
}

// lingers tells whether the end, which is closed, stays held because of a view or a child.
func (e *end) lingers() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.left && (e.pins > 0 || e.tx.out.Load() || e.rx.out.Load())
}

// finish leaves the end, once it is closed and nobody in this process uses it any more. Who still does calls it later.
func (e *end) finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.left || e.pins > 0 {
		return
	}
	for i, l := range e.lanes() {
		if !l.turn.try() {
			if i == 1 {
				e.tx.turn.give()
			}
			return
		}
	}
	e.left = true
	e.tx.drop()
	e.rx.drop()
	if e.unwatch != nil {
		e.unwatch()
	}
	e.obj.Forget() // not before: until now the roles are ours, and another end here would think that they were its own
	if e.given {
		e.leftErr = e.obj.GiveUp()
	} else {
		e.leftErr = e.obj.Close()
	}
	close(e.over)
	// For those who were about to take a turn: they find the end closed.
	e.tx.turn.give()
	e.rx.turn.give()
}
