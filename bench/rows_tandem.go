package main

import (
	"context"
	"errors"
	"io"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/ring"
	"github.com/tandem-ipc/tandem/shm"
)

// tandemRows are ours: the ring as it is, in memory that the harness shares, and connections, made by one process and
// opened by the other through their handle.
func tandemRows(s Slot) []*Row {
	row := Row{Bench: s.Bench, Impl: "tandem", Case: s.Case, Size: s.Size, Batch: s.Batch, Wait: s.Wait, Cores: s.Cores,
		Metric: Throughput, Unit: MessagesPerSecond, Chunk: cChunk(s.Size)}
	switch s.Bench {
	case "spsc":
		mode := futex.Spin
		if s.Cores == 1 {
			mode = futex.Auto
		}
		row.A, row.B = ringSend(mode), ringReceive(mode)
		row.Note = "tandem: package ring from Go"
		return []*Row{&row}
	case "conn":
		row.Wait = "auto"
		row.Chunk = max(row.Chunk, row.Batch)
		connCase(&row)
		return []*Row{&row}
	case "rtt":
		row.Metric, row.Unit, row.Chunk = RoundTrip, Nanoseconds, 64
		if s.Wait == "block" {
			row.Chunk = 8
		}
		row.A, row.B = connPing(row.Wait), connPong(row.Wait)
		row.Note = "tandem: pipe.Conn[[64]byte]; block sleeps at once, auto is the default policy; tandem-free: placed by the kernel, as pipe and unix are"
		rows := []*Row{&row}
		if s.Wait == "block" {
			auto := row
			auto.Wait, auto.Chunk = "auto", 64
			auto.A, auto.B = connPing("auto"), connPong("auto")
			free, freeAuto := row, auto
			free.Impl, free.Free = "tandem-free", true
			freeAuto.Impl, freeAuto.Free = "tandem-free", true
			rows = append(rows, &auto, &free, &freeAuto)
		}
		return rows
	}
	return nil
}

// waits ends no wait: the harness ends the processes.
type waits struct{}

func (waits) Stop() error { return nil }
func (waits) Recheck()    {}

// ringOf is the ring that both sides use, made by A.
func ringOf(r *Role) (*ring.SPSC, error) {
	capacity := ringBytes(r.Size)
	mem := r.Mem(ring.Size(capacity))
	if r.Side == SideA {
		q, err := ring.New(mem, capacity)
		if err != nil {
			return nil, err
		}
		return q, r.Tell([]byte{1})
	}
	if _, _, err := r.Hear(); err != nil {
		return nil, err
	}
	return ring.Open(mem)
}

// The loops below are written out for each case, as a user's own would be.

func ringSend(mode futex.Mode) func(*Role) error {
	return func(r *Role) error {
		q, err := ringOf(r)
		if err != nil {
			return err
		}
		p, err := q.Producer(mode)
		if err != nil {
			return err
		}
		ctx, msgs, size, chunk := context.Background(), r.Messages(), r.Size, r.Chunk
		if err := r.Go(); err != nil {
			return err
		}
		at := 0
		switch {
		case r.Case == "zerocopy":
			for r.More() {
				for sent := 0; sent < chunk; {
					mem, err := p.TryReserve(size)
					if err == nil {
						*(*[8]byte)(mem) = [8]byte(msgs[at:])
						if err = p.Commit(size); err == nil {
							sent++
							if at += size; at == len(msgs) {
								at = 0
							}
							continue
						}
					}
					if err = full(ctx, p, size, err); err != nil {
						return err
					}
				}
			}
		case r.Batch > 1:
			step := size * r.Batch
			for r.More() {
				for sent := 0; sent < chunk; {
					b := msgs[at : at+step]
					if at += step; at == len(msgs) {
						at = 0
					}
					for len(b) > 0 {
						n, err := p.TryPushFlat(b, size)
						sent += n
						b = b[n*size:]
						if err != nil {
							if err = full(ctx, p, size, err); err != nil {
								return err
							}
						}
					}
				}
			}
		default:
			for r.More() {
				for sent := 0; sent < chunk; {
					if err := p.TryPush(msgs[at : at+size]); err != nil {
						if err = full(ctx, p, size, err); err != nil {
							return err
						}
						continue
					}
					sent++
					if at += size; at == len(msgs) {
						at = 0
					}
				}
			}
		}
		return nil
	}
}

// full waits for room, if that is what err is about.
func full(ctx context.Context, p *ring.Producer, size int, err error) error {
	if err != ring.ErrFull {
		return err
	}
	return p.Wait(ctx, size, waits{})
}

// empty waits for a record, if that is what err is about.
func empty(ctx context.Context, c *ring.Consumer, err error) error {
	if err != ring.ErrEmpty {
		return err
	}
	return c.Wait(ctx, waits{})
}

func ringReceive(mode futex.Mode) func(*Role) error {
	return func(r *Role) error {
		q, err := ringOf(r)
		if err != nil {
			return err
		}
		c, err := q.Consumer(mode)
		if err != nil {
			return err
		}
		ctx, out, size, chunk := context.Background(), r.Out(), r.Size, r.Chunk
		if err := r.Go(); err != nil {
			return err
		}
		switch {
		case r.Case == "zerocopy":
			for r.Left() {
				for got := 0; got < chunk; {
					m, err := c.TryReceive()
					if err == nil {
						r.Read(m.Data[:8])
						if err = c.Ack(); err == nil {
							got++
							continue
						}
					}
					if err = empty(ctx, c, err); err != nil {
						return err
					}
				}
			}
		case r.Batch > 1:
			for r.Left() {
				for got := 0; got < chunk; {
					n, err := c.TryPopFlat(out[:min(r.Batch, chunk-got)*size], size)
					r.Read(out[:n*size])
					got += n
					if err != nil {
						if err = empty(ctx, c, err); err != nil {
							return err
						}
					}
				}
			}
		default:
			for r.Left() {
				for got := 0; got < chunk; {
					if _, err := c.TryPop(out); err != nil {
						if err = empty(ctx, c, err); err != nil {
							return err
						}
						continue
					}
					r.Read(out)
					got++
				}
			}
		}
		return nil
	}
}

// connCase chooses what a connection carries: a plain T up to 1 KiB, []byte beyond.
func connCase(row *Row) {
	row.Note = "tandem: pipe.Conn[T] with the ring and the waiting that the policy chooses; T is [n]byte up to 1 KiB, beyond that " +
		"[]byte by Send, and Receive with CopyTo"
	switch {
	case row.Case == "zerocopy":
		row.A, row.B = connReserve, connReceive
	case row.Size == 8:
		row.A, row.B = connSend[[8]byte], connRecv[[8]byte]
	case row.Size == 64:
		row.A, row.B = connSend[[64]byte], connRecv[[64]byte]
	case row.Size == 1024:
		row.A, row.B = connSend[[1024]byte], connRecv[[1024]byte]
	default:
		row.A, row.B = connSendBytes, connRecvBytes
	}
}

// connOf makes a connection in A and opens its other end in B.
func connOf[T any](r *Role, mode string) (*pipe.Conn[T], error) {
	m, err := futex.ParseMode(mode)
	if err != nil {
		return nil, err
	}
	if r.Side == SideA {
		a, b, err := pipe.New[T](pipe.Wait(m))
		if err != nil {
			return nil, err
		}
		if err := r.Tell([]byte(b.Handle().String())); err != nil {
			return nil, err
		}
		if _, _, err := r.Hear(); err != nil { // the other side holds it now
			return nil, err
		}
		return a, b.Close()
	}
	text, _, err := r.Hear()
	if err != nil {
		return nil, err
	}
	var h shm.Handle
	if err := h.UnmarshalText(text); err != nil {
		return nil, err
	}
	c, err := pipe.Open[T](h, pipe.Wait(m))
	if err != nil {
		return nil, err
	}
	return c, r.Tell([]byte{1})
}

func connSend[T value](r *Role) error {
	c, err := connOf[T](r, r.Wait)
	if err != nil {
		return err
	}
	defer c.Close()
	var values []T
	for msgs := r.Messages(); len(msgs) >= r.Size; msgs = msgs[r.Size:] {
		values = append(values, arrayOf[T](msgs))
	}
	ctx, at := context.Background(), 0
	if err := r.Go(); err != nil {
		return err
	}
	for r.More() {
		for sent := 0; sent < r.Chunk; sent += r.Batch {
			if r.Batch == 1 {
				err = c.Send(ctx, values[at])
			} else {
				_, err = c.SendMany(ctx, values[at:at+r.Batch])
			}
			if err != nil {
				return err
			}
			if at += r.Batch; at == len(values) {
				at = 0
			}
		}
	}
	return nil
}

func connRecv[T value](r *Role) error {
	c, err := connOf[T](r, r.Wait)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, vs := context.Background(), make([]T, r.Batch)
	if err := r.Go(); err != nil {
		return err
	}
	for r.Left() {
		for got := 0; got < r.Chunk; {
			if r.Batch == 1 {
				v, err := c.Recv(ctx)
				if err != nil {
					return err
				}
				readArray(r, &v)
				got++
				continue
			}
			n, err := c.RecvMany(ctx, vs[:min(r.Batch, r.Chunk-got)])
			if err != nil {
				return err
			}
			for i := range vs[:n] {
				readArray(r, &vs[i])
			}
			got += n
		}
	}
	return nil
}

func connSendBytes(r *Role) error {
	c, err := connOf[[]byte](r, r.Wait)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, msgs, at := context.Background(), r.Messages(), 0
	if err := r.Go(); err != nil {
		return err
	}
	for r.More() {
		for range r.Chunk {
			if err := c.Send(ctx, msgs[at:at+r.Size]); err != nil {
				return err
			}
			if at += r.Size; at == len(msgs) {
				at = 0
			}
		}
	}
	return nil
}

func connRecvBytes(r *Role) error {
	c, err := connOf[[]byte](r, r.Wait)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, out := context.Background(), r.Out()
	if err := r.Go(); err != nil {
		return err
	}
	for r.Left() {
		for range r.Chunk {
			m, err := c.Receive(ctx)
			if err != nil {
				return err
			}
			n := m.CopyTo(out)
			if err := c.Ack(); err != nil {
				return err
			}
			r.Read(out[:n])
		}
	}
	return nil
}

func connReserve(r *Role) error {
	c, err := connOf[[]byte](r, r.Wait)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, msgs, at := context.Background(), r.Messages(), 0
	if err := r.Go(); err != nil {
		return err
	}
	for r.More() {
		for range r.Chunk {
			mem, err := c.Reserve(ctx, r.Size)
			if err != nil {
				return err
			}
			copy(mem[:8], msgs[at:])
			if err := c.Commit(r.Size); err != nil {
				return err
			}
			if at += r.Size; at == len(msgs) {
				at = 0
			}
		}
	}
	return nil
}

func connReceive(r *Role) error {
	c, err := connOf[[]byte](r, r.Wait)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx := context.Background()
	if err := r.Go(); err != nil {
		return err
	}
	for r.Left() {
		for range r.Chunk {
			m, err := c.Receive(ctx)
			if err != nil {
				return err
			}
			r.Read(m.Data[:8])
			if err := c.Ack(); err != nil {
				return err
			}
		}
	}
	return nil
}

func connPing(mode string) func(*Role) error {
	return func(r *Role) error {
		c, err := connOf[[64]byte](r, mode)
		if err != nil {
			return err
		}
		defer c.Close()
		ctx, msg := context.Background(), arrayOf[[64]byte](r.Messages())
		if err := r.Go(); err != nil {
			return err
		}
		return r.Trips(16, func() error {
			if err := c.Send(ctx, msg); err != nil {
				return err
			}
			_, err := c.Recv(ctx)
			return err
		})
	}
}

func connPong(mode string) func(*Role) error {
	return func(r *Role) error {
		c, err := connOf[[64]byte](r, mode)
		if err != nil {
			return err
		}
		defer c.Close()
		ctx := context.Background()
		if err := r.Go(); err != nil {
			return err
		}
		for r.Left() {
			for range r.Chunk {
				v, err := c.Recv(ctx)
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if err := c.Send(ctx, v); err != nil {
					return err
				}
			}
		}
		return nil
	}
}
