package ops

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tandem-ipc/tandem/attack/sweep"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/shm"
)

type conn = pipe.Conn[[]byte]

// A connection's messages: as those of the ring, and some too large for it.
const (
	little = 64
	large  = 3000
)

func connOps() []sweep.Op {
	ctx := context.Background()
	send := func(name string, sent, size int, f func(c *conn) error) sweep.Op {
		return sweep.Op{
			Name:    "conn/" + name,
			World:   connWorld(sent, size),
			Helpers: connHelpers,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				a, err := openEnd(v.Env, 0)
				v.Defer(exit)
				return func() error { return f(a) }, err
			},
			Others:  receiveBeside,
			Recover: afterSend(sent, size),
			After:   tidyConn,
		}
	}
	receive := func(name string, size int, prepare, f func(c *conn) error, took func(returned bool, first, marked int) error) sweep.Op {
		return sweep.Op{
			Name:    "conn/" + name,
			World:   connWorld(before, size),
			Helpers: connHelpers,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				b, err := openEnd(v.Env, 1)
				v.Defer(exit)
				if err == nil && prepare != nil {
					err = prepare(b)
				}
				return func() error { return f(b) }, err
			},
			Others:  sendBeside,
			Recover: afterReceive(size, took),
			After:   tidyConn,
		}
	}
	sendOne := func(n, size int) func(*conn) error {
		return func(c *conn) error { return c.Send(ctx, message(n, size)) }
	}
	recvOne := func(c *conn) error { _, err := c.Recv(ctx); return err }
	receiveOne := func(c *conn) error { _, err := c.Receive(ctx); return err }
	// A plain receive: taken or not, and not shown.
	plain := func(returned bool, first, marked int) error {
		if first > 2 || returned && first != 2 || marked != 0 {
			return fmt.Errorf("the first message is %d, %d are marked", first, marked)
		}
		return nil
	}
	return []sweep.Op{
		send("send", before, little, sendOne(before+1, little)),
		send("send-first", 0, little, sendOne(1, little)), // takes the role
		send("send-big", 0, large, sendOne(1, large)),
		send("send-big-again", before, large, sendOne(before+1, large)),
		send("commit", before, little, func(c *conn) error {
			mem, err := c.Reserve(ctx, little)
			if err != nil {
				return err
			}
			copy(mem, message(before+1, little))
			return c.Commit(little)
		}),
		receive("recv", little, nil, recvOne, plain),
		receive("recv-big", large, nil, recvOne, plain),
		receive("receive", large, nil, receiveOne, func(returned bool, first, marked int) error {
			if first != 1 || returned && marked != 1 || marked > 1 {
				return fmt.Errorf("the first message is %d, %d are marked", first, marked)
			}
			return nil
		}),
		receive("ack", large, receiveOne, (*conn).Ack, func(returned bool, first, marked int) error {
			if !(first == 1 && marked == 1 && !returned || first == 2 && marked == 0) {
				return fmt.Errorf("the first message is %d, %d are marked", first, marked)
			}
			return nil
		}),
		receive("close", little, nil, (*conn).Close, func(_ bool, first, marked int) error {
			if first != 1 || marked != 0 {
				return fmt.Errorf("the first message is %d, %d are marked", first, marked)
			}
			return nil
		}),
		{
			Name:    "conn/new",
			World:   inhabited,
			Victim:  withObject(newConn),
			Others:  connBeside,
			Recover: attachClean,
			After:   tidy,
		},
		{
			Name:    "conn/open",
			World:   connWorld(before, little),
			Helpers: connHelpers,
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				quiet()
				n, err := read(v.Env)
				if err != nil {
					return nil, err
				}
				h, err := handle(n, 1)
				if err != nil {
					return nil, err
				}
				_, err = attach()
				v.Defer(exit)
				return func() error { _, err := pipe.Open[[]byte](h); return err }, err
			},
			Others: sendBeside,
			Recover: afterReceive(little, func(_ bool, first, marked int) error {
				if first != 1 || marked != 0 {
					return fmt.Errorf("the first message is %d, %d are marked", first, marked)
				}
				return nil
			}),
			After: tidyConn,
		},
	}
}

func newConn(v *sweep.VictimEnv, sp *shm.Space, _ *shm.Object) (func() error, error) {
	return func() error { _, _, err := pipe.New[int](pipe.In(sp), pipe.Capacity(capacity)); return err }, nil
}

// connKeep is what World holds: both ends, and an object for the survivors' notes.
type connKeep struct {
	a, b  *conn
	tally *shm.Object
}

// connWorld is a connection with messages under way. World holds both ends and uses neither; a helper has sent, and left;
// others may live there.
func connWorld(sent, size int, others ...string) func(*sweep.World) error {
	return func(w *sweep.World) error {
		quiet()
		sp, err := shm.OpenSpace(name)
		if err != nil {
			return err
		}
		a, b, err := pipe.New[[]byte](pipe.In(sp), pipe.Capacity(capacity))
		if err != nil {
			return err
		}
		o, err := sp.NewObject(spec(512))
		if err != nil {
			return err
		}
		w.Keep = connKeep{a, b, o}
		n := notes{Handles: []string{a.Handle().String(), b.Handle().String(), o.Handle().String(), fmt.Sprint(sent), fmt.Sprint(size)}}
		n.write(w)
		h, err := w.Start("sender")
		if err != nil {
			return err
		}
		h.Kill()
		if _, err := sp.Settle(); err != nil {
			return err
		}
		for _, name := range others {
			if _, err := w.Start(name); err != nil {
				return err
			}
		}
		if err := note(w, sp, n); err != nil {
			return err
		}
		// One more dead member, for others to settle in the middle of the operation.
		if h, err = w.Start("passer-by"); err == nil {
			h.Kill()
		}
		return err
	}
}

var connHelpers = map[string]func(*sweep.HelperEnv) error{
	"passer-by": func(h *sweep.HelperEnv) error {
		quiet()
		if _, err := attach(); err != nil {
			return err
		}
		h.Ready()
		select {}
	},
	"sender": func(h *sweep.HelperEnv) error {
		a, err := openEnd(h.Env, 0)
		if err != nil {
			return err
		}
		n, err := read(h.Env)
		if err != nil {
			return err
		}
		var sent, size int
		fmt.Sscan(n.Handles[3], &sent)
		fmt.Sscan(n.Handles[4], &size)
		for i := range sent {
			if err := a.Send(context.Background(), message(i+1, size)); err != nil {
				return err
			}
		}
		if err := a.Close(); err != nil {
			return err
		}
		h.Ready()
		select {}
	},
}

func tidyConn(w *sweep.World) error {
	var err error
	if k, ok := w.Keep.(connKeep); ok {
		err = errors.Join(k.a.Close(), k.b.Close(), k.tally.Close())
	}
	_, serr := shm.Sweep()
	return errors.Join(leave(err), serr)
}

// openEnd opens one end.
func openEnd(env sweep.Env, end int) (*conn, error) {
	quiet()
	return openAwake(env, end)
}

// openTally opens the notes of the survivors: one byte.
func openTally(env sweep.Env) (*shm.Object, error) {
	n, err := read(env)
	if err != nil {
		return nil, err
	}
	h, err := handle(n, 2)
	if err != nil {
		return nil, err
	}
	return h.Open(layout.KindProcess)
}

// drainEnd takes all that is there, and counts what is marked.
func drainEnd(c *conn) (all []int, marked int, err error) {
	for {
		m, err := c.TryReceive()
		if errors.Is(err, pipe.ErrEmpty) {
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
			marked++
		}
		if err := c.Ack(); err != nil {
			return all, marked, err
		}
	}
}

// connBeside makes a connection of its own and uses it.
func connBeside(s *sweep.SurvivorEnv) error {
	sp, err := attach()
	if err != nil {
		return err
	}
	return leave(exchange(sp))
}

// settleBeside settles the passer-by and uses the memory there is.
func settleBeside(s *sweep.SurvivorEnv, o *shm.Object) error {
	sp, err := attach()
	if err != nil {
		return err
	}
	_, err = sp.Settle()
	return errors.Join(err, squat(o), sp.Close())
}

func exchange(sp *shm.Space) error {
	a, b, err := pipe.New[[]byte](pipe.In(sp), pipe.Capacity(capacity))
	if err != nil {
		return err
	}
	for _, size := range []int{little, large} {
		want := message(7, size)
		if err := a.TrySend(want); err != nil {
			return err
		}
		if got, err := b.TryRecv(); err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("a connection beside: %d bytes, %v", len(got), err)
		}
	}
	return errors.Join(a.Close(), b.Close())
}

// receiveBeside receives what a sender has committed that stands somewhere in the middle.
func receiveBeside(s *sweep.SurvivorEnv) error {
	b, err := openEnd(s.Env, 1)
	if err != nil {
		return err
	}
	all, _, err := drainEnd(b)
	if err != nil {
		return err
	}
	last, err := upTo(1, all)
	if err != nil {
		return err
	}
	o, err := openTally(s.Env)
	if err != nil {
		return err
	}
	o.Data[0] = byte(last)
	return errors.Join(settleBeside(s, o), b.Close(), o.Close(), connBeside(s))
}

// sendBeside sends to a receiver that stands somewhere in the middle.
func sendBeside(s *sweep.SurvivorEnv) error {
	a, err := openEnd(s.Env, 0)
	if err != nil {
		return err
	}
	if err := a.TrySend(message(before+1, little)); err != nil {
		return err
	}
	o, err := openTally(s.Env)
	if err != nil {
		return err
	}
	o.Data[0] = 1
	return errors.Join(settleBeside(s, o), a.Close(), o.Close(), connBeside(s))
}

// afterSend: what was committed is there, in order, and a successor goes on.
func afterSend(sent, size int) func(*sweep.SurvivorEnv) error {
	return func(s *sweep.SurvivorEnv) error {
		a, err := openEnd(s.Env, 0)
		if err != nil {
			return err
		}
		b, err := openEnd(s.Env, 1)
		if err != nil {
			return err
		}
		o, err := openTally(s.Env)
		if err != nil {
			return err
		}
		if err := errors.Join(a.TrySend(message(final, large)), a.TrySend(message(final+1, little))); err != nil {
			return fmt.Errorf("the successor: %w", err)
		}
		all, marked, err := drainEnd(b)
		if err != nil {
			return err
		}
		n := len(all) - 2
		if n < 0 || all[n] != final || all[n+1] != final+1 || marked != 0 {
			return fmt.Errorf("messages %v (%d marked), the successor's are missing", all, marked)
		}
		last, err := upTo(1+int(o.Data[0]), all[:n])
		switch {
		case err != nil:
			return err
		case last != sent && last != sent+1, s.Journal.Returned() && last != sent+1:
			return fmt.Errorf("the last message is %d of %d (returned: %v)", last, sent+1, s.Journal.Returned())
		}
		more, err := undisturbed(o)
		return afterConn(s, more, errors.Join(err, a.Close(), b.Close(), o.Close()))
	}
}

// afterReceive: what was not taken is there, in order, and marked if it was shown.
func afterReceive(size int, took func(returned bool, first, marked int) error) func(*sweep.SurvivorEnv) error {
	return func(s *sweep.SurvivorEnv) error {
		b, err := openEnd(s.Env, 1)
		if err != nil {
			return err
		}
		o, err := openTally(s.Env)
		if err != nil {
			return err
		}
		all, marked, err := drainEnd(b)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return errors.New("all messages are gone")
		}
		last, err := upTo(all[0], all)
		if err == nil && last != before+int(o.Data[0]) {
			err = fmt.Errorf("messages %v, the last ones are missing", all)
		}
		if err == nil {
			err = took(s.Journal.Returned(), all[0], marked)
		}
		more, uerr := undisturbed(o)
		return afterConn(s, more, errors.Join(err, uerr, b.Close(), o.Close()))
	}
}

// afterConn checks what the dead have left in the Space. A direction keeps its blocks for large messages: up to eight.
func afterConn(s *sweep.SurvivorEnv, more int64, err error) error {
	if err != nil {
		return err
	}
	sp, err := attach()
	if err != nil {
		return err
	}
	n, err := read(s.Env)
	if err != nil {
		return err
	}
	if _, err := sp.Settle(); err != nil {
		return err
	}
	st, err := sp.Stats()
	if err != nil {
		return err
	}
	if kept := st.Used - n.Used - more; kept < 0 || kept > layout.Bigs*4096 {
		return fmt.Errorf("%d bytes more than before are in use", kept)
	}
	n.Used = st.Used
	return leave(errors.Join(clean(sp, n, 0), exchange(sp)))
}
