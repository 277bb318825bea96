package pipe

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/tandem-ipc/tandem/internal/fence"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/ring"
	"github.com/tandem-ipc/tandem/shm"
)

// receiver is the receiving direction of an end. All methods but drop are called in turn.
type receiver struct {
	lane
	c *ring.Consumer // nil until this process has the role
}

// ready takes the role, if this process has not got it yet.
func (r *receiver) ready() error {
	if r.c != nil {
		return nil
	}
	if err := r.end.claim(&r.lane.lane.Consumer); err != nil {
		return err
	}
	c, err := r.ring.Consumer(r.end.mode)
	if err != nil {
		return corrupt(err)
	}
	r.c = c
	return nil
}

// drop gives the role up.
func (r *receiver) drop() {
	if r.lane.lane == nil {
		return // this end has no such direction
	}
	if r.c != nil {
		r.c.Close()
		r.c = nil
	}
	r.lane.lane.Consumer.CompareAndSwap(uint64(r.end.obj.Self()), 0)
}

// await waits until there is something to receive. After the end of the other side that is what it had committed, then
// io.EOF or *PeerDied.
func (r *receiver) await(ctx context.Context) error {
	err := r.c.Wait(ctx, r.end)
	if err != errEnded {
		return err
	}
	return r.endOf()
}

// endOf is called once the other end is over. What it had committed before is in the ring by now: look once more.
func (r *receiver) endOf() error {
	if r.c.Ready() {
		return nil
	}
	return r.end.ended(io.EOF)
}

// popInto receives one message of exactly len(dst) bytes into dst. ring.ErrLength: it is not such a message.
func (r *receiver) popInto(ctx context.Context, dst []byte, wait bool) error {
	for {
		n, err := r.c.TryPop(dst)
		switch {
		case err == nil && n == len(dst):
			r.shadow.Acquire()
			fence.StoreRelease(&r.count, r.count+1)
			return nil
		case err == nil:
			return fmt.Errorf("%w: a message of %d bytes, all have %d", shm.ErrCorrupt, n, len(dst))
		case err == ring.ErrLength:
			return err
		case err != ring.ErrEmpty:
			return r.refuse(err, len(dst))
		}
		if err := r.idle(ctx, wait); err != nil {
			return err
		}
	}
}

// refuse takes a message that is too long to be one of size bytes: it never will be. Other errors stay what they are.
func (r *receiver) refuse(err error, size int) error {
	short, ok := err.(*ring.ShortBufferError)
	if !ok {
		return corrupt(err)
	}
	if _, err := r.c.TryPeek(); err != nil {
		return corrupt(err)
	}
	if err := r.c.Take(); err != nil {
		return corrupt(err)
	}
	return fmt.Errorf("%w: a message of %d bytes, all have %d", shm.ErrCorrupt, short.Need, size)
}

// idle is what to do about an empty ring.
func (r *receiver) idle(ctx context.Context, wait bool) error {
	switch {
	case wait:
		return r.await(ctx)
	case r.end.peerOver():
		return r.endOf()
	}
	return ErrEmpty
}

// show receives one message in place; it is taken by Ack.
func (r *receiver) show(ctx context.Context, wait bool) (Message, error) {
	return r.inPlace(ctx, wait, r.c.TryReceive)
}

// peek is show for who decodes the message before anyone sees it, and then calls Take.
func (r *receiver) peek(ctx context.Context, wait bool) (Message, error) {
	return r.inPlace(ctx, wait, r.c.TryPeek)
}

func (r *receiver) inPlace(ctx context.Context, wait bool, next func() (ring.Message, error)) (Message, error) {
	for {
		m, err := next()
		switch err {
		case nil:
			r.shadow.Acquire()
			data := m.Data
			if m.Big {
				if data, err = r.bigData(m.Data); err != nil {
					r.c.Return()
					return Message{}, err
				}
			}
			fence.StoreRelease(&r.count, r.count+1)
			return Message{Data: data, Redelivered: m.Redelivered}, nil
		case ring.ErrEmpty:
		default:
			return Message{}, corrupt(err)
		}
		if err := r.idle(ctx, wait); err != nil {
			return Message{}, err
		}
	}
}

// bigData finds the message that a record names.
func (r *receiver) bigData(rec []byte) ([]byte, error) {
	if len(rec) != layout.SizeBig {
		return nil, fmt.Errorf("%w: a reference of %d bytes", shm.ErrCorrupt, len(rec))
	}
	ref, n := shm.Ref(binary.LittleEndian.Uint64(rec)), binary.LittleEndian.Uint64(rec[8:])
	mem, err := r.end.obj.Part(ref, r.off)
	if err != nil {
		return nil, err
	}
	if n > uint64(len(mem)) {
		return nil, fmt.Errorf("%w: a message of %d bytes in a block of %d", shm.ErrCorrupt, n, len(mem))
	}
	return mem[:n:n], nil
}

// popMany receives messages of size bytes each, as many as are there and fit, back to back into dst: at least one.
// ring.ErrLength: the next one is not such a message.
func (r *receiver) popMany(ctx context.Context, dst []byte, size int) (int, error) {
	for {
		k, err := r.c.TryPopFlat(dst, size)
		switch {
		case k > 0:
			r.shadow.Acquire()
			fence.StoreRelease(&r.count, r.count+uint64(k))
			return k, nil
		case err == ring.ErrLength:
			return 0, err
		case err != ring.ErrEmpty:
			return 0, corrupt(err)
		}
		if err := r.await(ctx); err != nil {
			return 0, err
		}
	}
}
