package pipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"

	"github.com/tandem-ipc/tandem/codec"
	"github.com/tandem-ipc/tandem/csrc"
	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/policy"
	"github.com/tandem-ipc/tandem/ring"
	"github.com/tandem-ipc/tandem/shm"
)

// A Conn is one end of a connection that carries values of type T. It is made by New or NewSimplex, or comes out of its
// encoded form: as an argument of a process, in a message, from the environment.
type Conn[T any] struct {
	_     noCopy
	end   *end
	codec *codec.Codec[T]
}

type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// An Option changes what New makes.
type Option func(*options)

type options struct {
	space    *shm.Space
	capacity int
	given    bool // the capacity
	simplex  bool
	mode     futex.Mode
}

// In puts the connection into a named Space instead of the private one.
func In(sp *shm.Space) Option { return func(o *options) { o.space = sp } }

// Capacity sets the size of each direction's ring in bytes, rounded up to a power of two from 4 KiB to 1 GiB. If it is
// not set: what TANDEM_RING says, else 64 to 256 KiB by the processor's cache, less in a small Space. A message takes 8 bytes
// more than its size; one of more than a quarter of the ring goes through a block of its own.
func Capacity(bytes int) Option { return func(o *options) { o.capacity, o.given = bytes, true } }

// Wait says how this process waits at the ends that New makes, or at the one that Open opens: futex.Auto unless set, or
// what TANDEM_WAIT says.
func Wait(m futex.Mode) Option { return func(o *options) { o.mode = m } }

// New makes a connection and returns both ends; each sends and receives.
func New[T any](opts ...Option) (a, b *Conn[T], err error) { return create[T](opts, false) }

// NewSimplex makes a connection of one direction.
func NewSimplex[T any](opts ...Option) (receive, send *Conn[T], err error) {
	s, r, err := create[T](opts, true)
	return r, s, err
}

func create[T any](opts []Option, simplex bool) (a, b *Conn[T], err error) {
	o := options{mode: futex.DefaultMode(), simplex: simplex}
	for _, opt := range opts {
		opt(&o)
	}
	fail := func(err error) (*Conn[T], *Conn[T], error) {
		return nil, nil, fmt.Errorf("pipe: new connection: %w", err)
	}
	c, err := codec.For[T]()
	if err != nil {
		return fail(err)
	}
	if o.given && (o.capacity < 1 || o.capacity > layout.RingMax) {
		return fail(fmt.Errorf("a capacity of %d bytes, the limit is 1 to %d", o.capacity, layout.RingMax))
	}
	if o.space == nil {
		if o.space, err = shm.Private(); err != nil {
			return fail(err)
		}
		defer o.space.Close() // the objects keep it
	}
	if !o.given {
		o.capacity = policy.Current().RingIn(o.space.Limit())
	}
	ends, err := build(o, c.Type())
	if err != nil {
		return fail(err)
	}
	return &Conn[T]{end: ends[0], codec: c}, &Conn[T]{end: ends[1], codec: c}, nil
}

// build makes the object and wires its ends.
func build(o options, t codec.Type) (ends [2]*end, err error) {
	capacity := ring.Capacity(o.capacity)
	each := (int64(ring.Size(capacity)) + layout.Line - 1) &^ (layout.Line - 1)
	lanes, flags := 2, uint32(0)
	if o.simplex {
		lanes, flags = 1, layout.ConnSimplex
	}
	var made error
	obj, err := o.space.NewObject(shm.Spec{
		Kind: layout.KindConn, Header: layout.SizeConn, Sets: 2, Data: each * int64(lanes), Type: t, Flags: flags,
		Init: func(obj *shm.Object) {
			h := overlay(obj.Header)
			for i := range lanes {
				h.Lane[i].Ring = uint64(int64(i) * each)
				if _, err := ring.New(obj.Data[int64(i)*each:], capacity); err != nil {
					made = errors.Join(made, err)
				}
			}
		},
	})
	if err != nil {
		return ends, err
	}
	objs := [2]*shm.Object{obj, obj.At(1)}
	for i := range ends {
		if made == nil {
			ends[i], made = newEnd(objs[i], i, o.mode)
		}
	}
	if made != nil {
		return ends, errors.Join(made, objs[0].Close(), objs[1].Close())
	}
	for i := range ends {
		objs[i].Keep(ends[i])
	}
	return ends, nil
}

// fail names the operation, except for what callers compare with ==.
func fail(op string, err error) error {
	if err == nil || err == io.EOF || err == ErrEmpty || err == ErrFull {
		return err
	}
	return fmt.Errorf("pipe: %s: %w", op, err)
}

func (c *Conn[T]) sender() (*sender, error) {
	if c.end == nil {
		return nil, ErrClosed
	}
	return &c.end.tx, nil
}

func (c *Conn[T]) receiver() (*receiver, error) {
	if c.end == nil {
		return nil, ErrClosed
	}
	return &c.end.rx, nil
}

// Send sends v. When it returns nil, v is in shared memory: committed, and safe from this process's death. It waits while
// there is no room. Errors: that of ctx, ErrClosed, ErrPeerClosed, *PeerDied, ErrBusy, ErrDirection; what cannot be
// encoded, *TooLargeError and shm.ErrNoSpace leave the connection as it was.
func (c *Conn[T]) Send(ctx context.Context, v T) error {
	s, err := c.sender()
	if err != nil {
		return fail("send", err)
	}
	if err := s.enter(ctx); err != nil {
		return fail("send", err)
	}
	return c.send(ctx, s, v, true)
}

// TrySend is Send without waiting: ErrFull if there is no room, or another goroutine is sending.
func (c *Conn[T]) TrySend(v T) error {
	s, err := c.sender()
	if err != nil {
		return fail("send", err)
	}
	if err := s.tryEnter(ErrFull); err != nil {
		return fail("send", err)
	}
	return c.send(context.Background(), s, v, false)
}

// send sends in turn, and gives the turn back.
func (c *Conn[T]) send(ctx context.Context, s *sender, v T, wait bool) error {
	if !c.codec.InOnePiece() {
		defer s.leave() // a method of T's may panic
		err := s.ready()
		if err == nil {
			err = c.sendEncoded(ctx, s, v, wait)
		}
		return fail("send", err)
	}
	err := s.ready()
	if err == nil {
		err = c.sendMemory(ctx, s, v, wait)
	}
	s.leave()
	return fail("send", err)
}

// sendMemory sends v as it lies in memory. It is apart from sendEncoded so that v does not escape to the heap.
func (c *Conn[T]) sendMemory(ctx context.Context, s *sender, v T, wait bool) error {
	return s.deliver(ctx, c.codec.Bytes(&v), wait)
}

func (c *Conn[T]) sendEncoded(ctx context.Context, s *sender, v T, wait bool) error {
	b, err := c.codec.Append(s.buf[:0], &v)
	if err != nil {
		return err
	}
	if cap(b) <= keepBuffer {
		s.buf = b
	}
	return s.deliver(ctx, b, wait)
}

// keepBuffer is how large a buffer for encoding an end keeps.
const keepBuffer = 64 << 10

// SendMany sends all of vs, and returns how many: fewer only with an error. Plain values travel in bursts of up to 32,
// which become visible together.
func (c *Conn[T]) SendMany(ctx context.Context, vs []T) (int, error) {
	s, err := c.sender()
	if err != nil {
		return 0, fail("send", err)
	}
	if err := s.enter(ctx); err != nil {
		return 0, fail("send", err)
	}
	defer s.leave()
	if err := s.ready(); err != nil {
		return 0, fail("send", err)
	}
	if size := c.codec.Size(); c.codec.Plain() && size > 0 && s.fits(size) {
		n, err := s.sendMany(ctx, memoryOf(vs), size)
		return n, fail("send", err)
	}
	for i := range vs {
		if c.codec.InOnePiece() {
			err = c.sendMemory(ctx, s, vs[i], true)
		} else {
			err = c.sendEncoded(ctx, s, vs[i], true)
		}
		if err != nil {
			return i, fail("send", err)
		}
	}
	return len(vs), nil
}

// Recv receives the next value. It waits while there is none. After the end of the other side it returns what that had
// committed, then io.EOF if the other end was closed, or *PeerDied if its last holder died. Other errors: that of ctx,
// ErrClosed, ErrBusy, ErrDirection, shm.ErrCorrupt; a message that is no T is taken and reported.
func (c *Conn[T]) Recv(ctx context.Context) (T, error) {
	r, err := c.receiver()
	if err == nil {
		err = r.enter(ctx)
	}
	if err != nil {
		var none T
		return none, fail("receive", err)
	}
	return c.receive(ctx, r, true)
}

// TryRecv is Recv without waiting: ErrEmpty if there is nothing, or another goroutine is receiving.
func (c *Conn[T]) TryRecv() (T, error) {
	r, err := c.receiver()
	if err == nil {
		err = r.tryEnter(ErrEmpty)
	}
	if err != nil {
		var none T
		return none, fail("receive", err)
	}
	return c.receive(context.Background(), r, false)
}

// receive receives in turn, and gives the turn back.
func (c *Conn[T]) receive(ctx context.Context, r *receiver, wait bool) (v T, err error) {
	if err = r.ready(); err == nil {
		err = ring.ErrLength
		if c.codec.Total() {
			v, err = c.recvPlain(ctx, r, wait)
		}
	}
	if err != ring.ErrLength {
		r.leave()
		return v, fail("receive", err)
	}
	defer r.leave() // a method of T's may panic
	v, err = c.recvEncoded(ctx, r, wait)
	return v, fail("receive", err)
}

// recvPlain receives into v's memory. ring.ErrLength: not with this message. It is apart so that v does not escape.
func (c *Conn[T]) recvPlain(ctx context.Context, r *receiver, wait bool) (v T, err error) {
	err = r.popInto(ctx, c.codec.Bytes(&v), wait)
	return v, err
}

func (c *Conn[T]) recvEncoded(ctx context.Context, r *receiver, wait bool) (v T, err error) {
	m, err := r.peek(ctx, wait)
	if err != nil {
		return v, err
	}
	// Also what cannot be decoded, or makes T's method panic: it always will.
	defer func() {
		if terr := r.c.Take(); err == nil {
			err = corrupt(terr)
		}
	}()
	err = c.codec.Decode(m.Data, &v)
	return v, err
}

// RecvMany receives into vs as many values as are there, at least one, and returns how many. It waits only for the first.
// Errors as Recv; some values may come with one.
func (c *Conn[T]) RecvMany(ctx context.Context, vs []T) (int, error) {
	if len(vs) == 0 {
		return 0, nil
	}
	r, err := c.receiver()
	if err == nil {
		err = r.enter(ctx)
	}
	if err != nil {
		return 0, fail("receive", err)
	}
	defer r.leave()
	if err := r.ready(); err != nil {
		return 0, fail("receive", err)
	}
	if size := c.codec.Size(); c.codec.Total() && size > 0 {
		n, err := r.popMany(ctx, memoryOf(vs), size)
		if err != ring.ErrLength {
			return n, fail("receive", err)
		}
	}
	for i := range vs {
		v, err := c.recvEncoded(ctx, r, i == 0)
		if err != nil {
			if i > 0 && isEnd(err) {
				return i, nil // the next call tells
			}
			return i, fail("receive", err)
		}
		vs[i] = v
	}
	return len(vs), nil
}

// isEnd tells whether err says that there is nothing to receive, now or ever.
func isEnd(err error) bool {
	var died *PeerDied
	return err == ErrEmpty || err == io.EOF || errors.As(err, &died)
}

// All receives until the other end is closed. The last pair carries the error, if it ended otherwise.
func (c *Conn[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			v, err := c.Recv(ctx)
			if err == io.EOF || !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// A Message is a message in place: Data is shared memory, valid until Ack.
type Message struct {
	Data        []byte
	Redelivered bool // a process that died, or closed this end, was shown it before and did not acknowledge it
}

// CopyTo copies as much of the message as fits into dst, and returns how much: as copy does, and for large messages faster.
func (m Message) CopyTo(dst []byte) int { return csrc.Copy(dst, m.Data) }

// Reserve returns n bytes of shared memory to write a message into, zero-copy; Commit sends it. Until Commit or Abort the
// sending direction of this end belongs to the reservation: other sends wait. For a plain T the bytes are those of a T. It
// waits while there is no room. Errors as Send.
func (c *Conn[T]) Reserve(ctx context.Context, n int) ([]byte, error) {
	s, err := c.sender()
	if err == nil {
		err = s.enter(ctx)
	}
	if err != nil {
		return nil, fail("reserve", err)
	}
	return c.reserved(ctx, s, n, true)
}

// TryReserve is Reserve without waiting: ErrFull if there is no room, or another goroutine is sending.
func (c *Conn[T]) TryReserve(n int) ([]byte, error) {
	s, err := c.sender()
	if err == nil {
		err = s.tryEnter(ErrFull)
	}
	if err != nil {
		return nil, fail("reserve", err)
	}
	return c.reserved(context.Background(), s, n, false)
}

// reserved makes a reservation in turn, which it keeps, or gives back if there is none.
func (c *Conn[T]) reserved(ctx context.Context, s *sender, n int, wait bool) ([]byte, error) {
	mem, err := c.reserve(ctx, s, n, wait)
	if err == nil && !s.lend() {
		s.abort()
		err = s.end.closedErr()
	}
	if err != nil {
		s.leave()
		return nil, fail("reserve", err)
	}
	return mem, nil
}

func (c *Conn[T]) reserve(ctx context.Context, s *sender, n int, wait bool) ([]byte, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	if size := c.codec.Size(); n < 0 || size >= 0 && n != size {
		return nil, fmt.Errorf("%d bytes for a message of %v, which has %d", n, c.codec.Type().Name, size)
	}
	return s.reserve(ctx, n, wait)
}

// Commit sends the first n bytes of what was reserved. It does not wait. The memory must not be touched any more.
// ErrOrder if nothing was reserved, or less, or if n is not the size of a plain T; then the reservation stays.
func (c *Conn[T]) Commit(n int) error {
	s, err := c.sender()
	if err != nil {
		return fail("commit", err)
	}
	if s.lane.lane == nil || !s.out.Load() {
		return fail("commit", ErrOrder)
	}
	if size := c.codec.Size(); size >= 0 && n != size {
		return fail("commit", fmt.Errorf("%d bytes of a %s, which has %d: %w", n, c.codec.Type().Name, size, ErrOrder))
	}
	if s.end.closed.Load() {
		s.abort()
		err = s.end.closedErr()
	} else if err = s.commit(n); err == ErrOrder {
		return fail("commit", err)
	}
	s.out.Store(false)
	s.leave()
	return fail("commit", err)
}

// Abort gives a reservation up.
func (c *Conn[T]) Abort() error {
	s, err := c.sender()
	if err != nil {
		return fail("abort", err)
	}
	if s.lane.lane == nil || !s.out.Load() {
		return fail("abort", ErrOrder)
	}
	s.abort()
	s.out.Store(false)
	s.leave()
	return nil
}

// Receive shows the next message in place, zero-copy. Until Ack the receiving direction of this end belongs to it: other
// receives wait. If this process dies before Ack, its successor is shown the message again, marked. Errors as Recv.
func (c *Conn[T]) Receive(ctx context.Context) (Message, error) {
	r, err := c.receiver()
	if err == nil {
		err = r.enter(ctx)
	}
	if err != nil {
		return Message{}, fail("receive", err)
	}
	return c.shown(ctx, r, true)
}

// TryReceive is Receive without waiting: ErrEmpty if there is nothing, or another goroutine is receiving.
func (c *Conn[T]) TryReceive() (Message, error) {
	r, err := c.receiver()
	if err == nil {
		err = r.tryEnter(ErrEmpty)
	}
	if err != nil {
		return Message{}, fail("receive", err)
	}
	return c.shown(context.Background(), r, false)
}

// shown shows a message in turn, which it keeps, or gives back if there is none.
func (c *Conn[T]) shown(ctx context.Context, r *receiver, wait bool) (m Message, err error) {
	if err = r.ready(); err == nil {
		m, err = r.show(ctx, wait)
	}
	if err == nil && !r.lend() {
		err = r.end.closedErr() // not acknowledged: it comes again
	}
	if err != nil {
		r.leave()
		return Message{}, fail("receive", err)
	}
	return m, nil
}

// Ack takes the message that Receive has shown. Its memory must not be touched any more. ErrOrder if there is none.
func (c *Conn[T]) Ack() error {
	r, err := c.receiver()
	if err != nil {
		return fail("ack", err)
	}
	if r.lane.lane == nil || !r.out.Load() {
		return fail("ack", ErrOrder)
	}
	err = corrupt(r.c.Ack())
	r.out.Store(false)
	r.leave()
	return fail("ack", err)
}

// Close gives up this end for this process: it ends every call that is under way here, and once no other process holds
// the end either, the other side gets io.EOF after what was sent. It is idempotent. While a Reserve or Receive is not
// given back, the end stays held.
func (c *Conn[T]) Close() error {
	if c.end == nil {
		return nil
	}
	return fail("close", c.end.Close())
}

// Stats counts what this process has sent and received at this end.
type Stats struct {
	Sent, Received uint64 // messages
	Capacity       int    // bytes of each ring
}

// Stats never waits.
func (c *Conn[T]) Stats() Stats {
	if c.end == nil {
		return Stats{}
	}
	st := Stats{Sent: atomic.LoadUint64(&c.end.tx.count), Received: atomic.LoadUint64(&c.end.rx.count)}
	for _, l := range c.end.lanes() {
		if l.lane != nil {
			st.Capacity = l.ring.Capacity()
		}
	}
	return st
}

// String describes the end.
func (c *Conn[T]) String() string {
	if c.end == nil {
		return "pipe.Conn(closed)"
	}
	state := "open"
	if c.end.closed.Load() {
		state = "closed"
	}
	return fmt.Sprintf("pipe.Conn[%s](end %d of %v, %s)", c.codec.Type().Name, c.end.set, c.end.obj.Handle().Ref, state)
}
