package ops

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tandem-ipc/tandem/attack/sweep"
	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/ring"
	"github.com/tandem-ipc/tandem/shm"
)

const (
	capacity = 4096
	before   = 3  // records in the ring before a push
	waiting  = 40 // and before a pop
	final    = 99 // what a successor pushes
)

// A message is its number, repeated over its length; the length follows from the number.
func message(i, size int) []byte { return bytes.Repeat([]byte{byte(i)}, size) }

func numberOf(b []byte) (int, error) {
	if len(b) == 0 || bytes.Count(b, b[:1]) != len(b) {
		return 0, fmt.Errorf("a torn message: %x", b)
	}
	return int(b[0]), nil
}

// pusher is one way to push messages from … to of the same size.
type pusher struct {
	name  string
	c     []string
	size  int
	count int
	start int  // records that went through the ring before: to be near its end
	whole bool // one burst: all of it or nothing
	push  func(p *ring.Producer, first, count, size int) error
}

func single(p *ring.Producer, first, count, size int) error {
	for i := range count {
		if err := p.TryPush(message(first+i, size)); err != nil {
			return err
		}
	}
	return nil
}

func flat(p *ring.Producer, first, count, size int) error {
	var buf []byte
	for i := range count {
		buf = append(buf, message(first+i, size)...)
	}
	_, err := p.TryPushFlat(buf, size)
	return err
}

func list(p *ring.Producer, first, count, size int) error {
	var buf []byte
	var lens []uint32
	for i := range count {
		buf = append(buf, message(first+i, size)...)
		lens = append(lens, uint32(size))
	}
	_, err := p.TryPushList(buf, lens)
	return err
}

func reserve(p *ring.Producer, first, _, size int) error {
	mem, err := p.TryReserve(size)
	if err != nil {
		return err
	}
	copy(mem, message(first, size))
	return p.Commit(size)
}

// popper is one way to take records.
type popper struct {
	name  string
	c     []string
	size  int
	count int // how many it takes
	start int
	pop   func(c *ring.Consumer, count, size int) error
}

func popSingle(c *ring.Consumer, count, size int) error {
	buf := make([]byte, size)
	for range count {
		if _, err := c.TryPop(buf); err != nil {
			return err
		}
	}
	return nil
}

func popFlat(c *ring.Consumer, count, size int) error {
	_, err := c.TryPopFlat(make([]byte, count*size), size)
	return err
}

func popList(c *ring.Consumer, count, size int) error {
	_, err := c.TryPopList(make([]byte, count*size), make([]uint32, count))
	return err
}

// inC are the functions of which every instruction is a point.
var inC = []string{"td_spsc"}

func ringOps() []sweep.Op {
	var all []sweep.Op
	for _, p := range []pusher{
		{"push", nil, 64, 1, 0, true, single},
		{"push-small", nil, 5, 1, 0, true, single},
		{"push-at-the-end", nil, 200, 1, 16, true, single}, // a pad record first
		{"push-second-lap", nil, 64, 1, 70, true, single},  // over what the first lap left
		{"push-batch", nil, 64, 7, 0, true, flat},
		{"push-batch-at-the-end", nil, 64, 7, 50, false, flat},
		{"push-batch-c", inC, 24, 5, 0, true, list},
		{"push-bulk-c", inC, 520, 2, 0, true, flat},
		{"push-batch-c-at-the-end", inC, 64, 6, 50, false, list},
		{"commit", nil, 64, 1, 0, true, reserve},
	} {
		all = append(all, pushOp(p))
	}
	for _, p := range []popper{
		{"pop", nil, 64, 1, 0, popSingle},
		{"pop-at-the-end", nil, 64, 1, 50, popSingle},
		{"pop-batch", nil, 64, 7, 0, popFlat},
		{"pop-batch-c", inC, 24, 5, 0, popList},
		{"pop-many-c", inC, 64, 12, 50, popList}, // publishes its position, and steps over a pad
	} {
		all = append(all, popOp(p))
	}
	return append(all, receiveOp(), ackOp())
}

// ringWorld is a ring in the data of an object; behind it are notes of the survivors.
func ringWorld(start, size, fill int) func(*sweep.World) error {
	return func(w *sweep.World) error {
		quiet()
		sp, err := shm.OpenSpace(name)
		if err != nil {
			return err
		}
		o, err := sp.NewObject(spec(int64(ring.Size(capacity)) + 64))
		if err != nil {
			return err
		}
		w.Keep = o
		r, err := ring.New(o.Data, capacity)
		if err != nil {
			return err
		}
		p, err := r.Producer(futex.Block)
		if err != nil {
			return err
		}
		c, err := r.Consumer(futex.Block)
		if err != nil {
			return err
		}
		buf := make([]byte, size)
		for range start {
			if err := p.TryPush(buf); err != nil {
				return err
			}
			if _, err := c.TryPop(buf); err != nil {
				return err
			}
		}
		c.TryPop(buf) // publishes the position
		if err := single(p, 1, fill, size); err != nil {
			return err
		}
		return note(w, sp, notes{Handles: []string{o.Handle().String()}})
	}
}

// openRing opens the ring as a role sees it.
func openRing(env sweep.Env) (*shm.Object, *ring.SPSC, error) {
	quiet()
	n, err := read(env)
	if err != nil {
		return nil, nil, err
	}
	h, err := handle(n, 0)
	if err != nil {
		return nil, nil, err
	}
	o, err := h.Open(layout.KindProcess)
	if err != nil {
		return nil, nil, err
	}
	r, err := ring.Open(o.Data)
	return o, r, err
}

// tally is where a survivor notes how many messages it has taken, for the next one.
func tally(o *shm.Object) []byte { return o.Data[ring.Size(capacity):] }

// drain takes all that is there, as the next consumer, and returns the numbers and which of them were marked.
func drain(r *ring.SPSC) (all []int, marked []int, err error) {
	c, err := r.Consumer(futex.Block)
	if err != nil {
		return nil, nil, err
	}
	for {
		m, err := c.TryReceive()
		if err == ring.ErrEmpty {
			return all, marked, nil
		}
		if err != nil {
			return all, marked, err
		}
		n, err := numberOf(m.Data)
		if err != nil {
			return all, marked, err
		}
		all = append(all, n)
		if m.Redelivered {
			marked = append(marked, n)
		}
		if err := c.Ack(); err != nil {
			return all, marked, err
		}
	}
}

// upTo checks that numbers count from first, and returns the last one; first-1 if there are none.
func upTo(first int, numbers []int) (last int, err error) {
	for i, n := range numbers {
		if n != first+i {
			return 0, fmt.Errorf("messages %v, they should count from %d", numbers, first)
		}
	}
	return first + len(numbers) - 1, nil
}

func pushOp(p pusher) sweep.Op {
	return sweep.Op{
		Name:  "ring/" + p.name,
		C:     p.c,
		World: ringWorld(p.start, p.size, before),
		Victim: func(v *sweep.VictimEnv) (func() error, error) {
			o, r, err := openRing(v.Env)
			if err != nil {
				return nil, err
			}
			v.Defer(func() { o.Close(); exit() })
			producer, err := r.Producer(futex.Block)
			return func() error { return p.push(producer, before+1, p.count, p.size) }, err
		},
		// The consumer takes what is committed, wherever the producer stands.
		Others: func(s *sweep.SurvivorEnv) error {
			o, r, err := openRing(s.Env)
			if err != nil {
				return err
			}
			all, _, err := drain(r)
			if err != nil {
				return err
			}
			last, err := upTo(1, all)
			tally(o)[0] = byte(last)
			return leave(errors.Join(err, o.Close()))
		},
		Recover: func(s *sweep.SurvivorEnv) error {
			o, r, err := openRing(s.Env)
			if err != nil {
				return err
			}
			// A successor goes on behind the last committed record.
			producer, err := r.Producer(futex.Block)
			if err == nil {
				err = producer.TryPush(message(final, p.size))
			}
			if err != nil {
				return fmt.Errorf("the successor: %w", err)
			}
			all, _, err := drain(r)
			if err != nil {
				return err
			}
			if len(all) == 0 || all[len(all)-1] != final {
				return fmt.Errorf("messages %v, the successor's is missing", all)
			}
			last, err := upTo(1+int(tally(o)[0]), all[:len(all)-1])
			switch {
			case err != nil:
				return err
			case last < before, last > before+p.count:
				return fmt.Errorf("the last message is %d", last)
			case s.Journal.Returned() && last != before+p.count:
				return fmt.Errorf("committed up to %d, the last message is %d", before+p.count, last)
			case p.whole && last != before && last != before+p.count:
				return fmt.Errorf("a part of a burst is there: the last message is %d", last)
			}
			return leave(o.Close())
		},
		After: tidy,
	}
}

func popOp(p popper) sweep.Op {
	return sweep.Op{
		Name:  "ring/" + p.name,
		C:     p.c,
		World: ringWorld(p.start, p.size, waiting),
		Victim: func(v *sweep.VictimEnv) (func() error, error) {
			o, r, err := openRing(v.Env)
			if err != nil {
				return nil, err
			}
			v.Defer(func() { o.Close(); exit() })
			c, err := r.Consumer(futex.Block)
			return func() error { return p.pop(c, p.count, p.size) }, err
		},
		// The producer goes on as long as there is room, wherever the consumer stands.
		Others: func(s *sweep.SurvivorEnv) error {
			o, r, err := openRing(s.Env)
			if err != nil {
				return err
			}
			producer, err := r.Producer(futex.Block)
			if err == nil {
				err = producer.TryPush(message(waiting+1, p.size))
			}
			tally(o)[0] = 1
			return leave(errors.Join(err, o.Close()))
		},
		Recover: func(s *sweep.SurvivorEnv) error {
			o, r, err := openRing(s.Env)
			if err != nil {
				return err
			}
			all, marked, err := drain(r)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return errors.New("all messages are gone")
			}
			first := all[0]
			last, err := upTo(first, all)
			switch {
			case err != nil:
				return err
			case last != waiting+int(tally(o)[0]):
				return fmt.Errorf("messages %v, the last ones are missing", all)
			case first > 1+p.count:
				return fmt.Errorf("%d messages are gone, %d were asked for", first-1, p.count)
			case s.Journal.Returned() && first != 1+p.count:
				return fmt.Errorf("message %d comes again", first)
			case len(marked) != 0:
				return fmt.Errorf("messages %v are marked, and nobody was shown them", marked)
			}
			return leave(o.Close())
		},
		After: tidy,
	}
}

// receiveOp: what was shown and not acknowledged comes again, marked.
func receiveOp() sweep.Op {
	op := popOp(popper{name: "receive", size: 64, count: 1})
	op.Victim = func(v *sweep.VictimEnv) (func() error, error) {
		o, r, err := openRing(v.Env)
		if err != nil {
			return nil, err
		}
		v.Defer(func() { o.Close(); exit() })
		c, err := r.Consumer(futex.Block)
		return func() error { _, err := c.TryReceive(); return err }, err
	}
	op.Recover = shown(func(s *sweep.SurvivorEnv, all, marked []int) error {
		if all[0] != 1 {
			return fmt.Errorf("the first message is %d", all[0])
		}
		if s.Journal.Returned() && (len(marked) != 1 || marked[0] != 1) {
			return fmt.Errorf("message 1 was shown, marked are %v", marked)
		}
		return nil
	})
	return op
}

// ackOp: what was acknowledged does not come again.
func ackOp() sweep.Op {
	op := receiveOp()
	op.Name = "ring/ack"
	op.Victim = func(v *sweep.VictimEnv) (func() error, error) {
		o, r, err := openRing(v.Env)
		if err != nil {
			return nil, err
		}
		v.Defer(func() { o.Close(); exit() })
		c, err := r.Consumer(futex.Block)
		if err != nil {
			return nil, err
		}
		for range 2 {
			if _, err := c.TryReceive(); err != nil {
				return nil, err
			}
		}
		return c.Ack, nil
	}
	op.Recover = shown(func(s *sweep.SurvivorEnv, all, marked []int) error {
		switch {
		case all[0] == 1 && !s.Journal.Returned() && len(marked) == 2:
		case all[0] == 3 && len(marked) == 0:
		default:
			return fmt.Errorf("messages from %d on, marked are %v", all[0], marked)
		}
		return nil
	})
	return op
}

// shown drains the ring and lets check judge.
func shown(check func(s *sweep.SurvivorEnv, all, marked []int) error) func(*sweep.SurvivorEnv) error {
	return func(s *sweep.SurvivorEnv) error {
		o, r, err := openRing(s.Env)
		if err != nil {
			return err
		}
		all, marked, err := drain(r)
		if err != nil {
			return err
		}
		last, err := upTo(all[0], all)
		if err == nil && last != waiting+int(tally(o)[0]) {
			err = fmt.Errorf("messages %v, the last ones are missing", all)
		}
		if err == nil {
			err = check(s, all, marked)
		}
		if len(marked) > 2 {
			err = errors.Join(err, fmt.Errorf("messages %v are marked", marked))
		}
		return leave(errors.Join(err, o.Close()))
	}
}
