package storm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/shm"
)

// A note is a message of fixed size, which travels as its memory.
type note struct {
	Channel uint32
	Sender  uint32
	Seq     uint64
	Fill    [6]uint64 // a function of the others
}

func newNote(channel, sender uint32, seq uint64) (n note) {
	n = note{Channel: channel, Sender: sender, Seq: seq}
	for i := range n.Fill {
		n.Fill[i] = mix(uint64(channel)<<32 | uint64(sender) ^ seq*uint64(i+1))
	}
	return n
}

func (n note) check(channel uint32) error {
	if n.Channel != channel || n != newNote(channel, n.Sender, n.Seq) {
		return fmt.Errorf("torn or strange message on channel %08x: %x", channel, n)
	}
	return nil
}

// A text is a message of variable size: channel, sender, number, and a pattern made of them.
const textHeader = 16

func fillText(b []byte, channel, sender uint32, seq uint64) {
	binary.LittleEndian.PutUint32(b, channel)
	binary.LittleEndian.PutUint32(b[4:], sender)
	binary.LittleEndian.PutUint64(b[8:], seq)
	for i, at := uint64(0), b[textHeader:]; len(at) >= 8; i, at = i+1, at[8:] {
		binary.LittleEndian.PutUint64(at, mix(seq^i<<40^uint64(sender)))
	}
}

func checkText(b []byte, channel uint32) (sender uint32, seq uint64, err error) {
	if len(b) < textHeader || len(b)%8 != 0 {
		return 0, 0, fmt.Errorf("a message of %d bytes on channel %08x", len(b), channel)
	}
	sender, seq = binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint64(b[8:])
	if got := binary.LittleEndian.Uint32(b); got != channel {
		return 0, 0, fmt.Errorf("a message of channel %08x on channel %08x", got, channel)
	}
	for i, at := uint64(0), b[textHeader:]; len(at) >= 8; i, at = i+1, at[8:] {
		if got, want := binary.LittleEndian.Uint64(at), mix(seq^i<<40^uint64(sender)); got != want {
			return 0, 0, fmt.Errorf("torn message %d of sender %d on channel %08x: word %d of %d is %x, not %x", seq, sender, channel,
				i, len(b)/8, got, want)
		}
	}
	return sender, seq, nil
}

func mix(x uint64) uint64 {
	x ^= x >> 31
	x *= 0x7fb5d329728ea185
	return x ^ x>>27
}

// tag is a channel's number in its messages.
func tag(tree int, name string) uint32 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%d/%s", tree, name)
	return h.Sum32()
}

// style is how a channel is used.
type style int

const (
	oneByOne style = iota // notes: Send, Recv
	batches               // notes: SendMany, RecvMany
	leases                // texts: Send, Receive and Ack
	inPlace               // texts: Reserve and Commit, Recv
	styles
)

func (s style) texts() bool { return s >= leases }

// A wire is an end of a channel, as it travels to a child. One of the two is nil.
type wire struct {
	Notes *pipe.Conn[note]
	Texts *pipe.Conn[[]byte]
}

func (w wire) handle() shm.Handle {
	if w.Notes != nil {
		return w.Notes.Handle()
	}
	return w.Texts.Handle()
}

func (w wire) close() error {
	if w.Notes != nil {
		return w.Notes.Close()
	}
	return w.Texts.Close()
}

// A channel is a connection with a producer and a consumer that are started again and again.
type channel struct {
	name  string
	style style
	tx    wire
	rx    wire
}

func newChannel(name string, s style, sp *shm.Space, r *rand.Rand) (c *channel, err error) {
	c = &channel{name: name, style: s}
	opts := []pipe.Option{pipe.In(sp), pipe.Capacity(4096 << r.IntN(5))}
	if s.texts() {
		c.rx.Texts, c.tx.Texts, err = pipe.NewSimplex[[]byte](opts...)
	} else {
		c.rx.Notes, c.tx.Notes, err = pipe.NewSimplex[note](opts...)
	}
	return c, err
}

func (c *channel) close() error { return errors.Join(c.tx.close(), c.rx.close()) }

// work is what a producer or consumer has to do.
type work struct {
	Tree    int
	Dir     string // of journals
	Channel string
	Side    string // "p", "c"
	Life    int    // its number among those in its place
	Style   int
	Seed    uint64
	End     wire
}

// slot names a place in a tree; id one process in it.
func (w work) slot() string { return w.Channel + w.Side }
func (w work) id() string   { return processID(w.slot(), w.Life) }

func processID(slot string, life int) string { return fmt.Sprintf("%s#%d", slot, life) }

const batch = 32

// produce sends for ever.
func produce(ctx context.Context, j journal, w work) error {
	r := rand.New(rand.NewPCG(w.Seed, uint64(w.Life)))
	channel, me := tag(w.Tree, w.Channel), uint32(w.Life)
	j.doing.Store(uint32(sending))
	buf := make([]byte, 0, 1<<16)
	notes := make([]note, 0, batch)
	for seq := uint64(1); ; {
		n := 1
		var err error
		switch style(w.Style) {
		case oneByOne:
			j.intended.Store(seq)
			err = w.End.Notes.Send(ctx, newNote(channel, me, seq))
		case batches:
			notes = notes[:0]
			for i := range 1 + r.IntN(batch) {
				notes = append(notes, newNote(channel, me, seq+uint64(i)))
			}
			j.intended.Store(seq + uint64(len(notes)) - 1)
			n, err = w.End.Notes.SendMany(ctx, notes)
		case leases:
			b := buf[:size(r)]
			fillText(b, channel, me, seq)
			j.intended.Store(seq)
			err = w.End.Texts.Send(ctx, b)
		case inPlace:
			var b []byte
			if b, err = w.End.Texts.Reserve(ctx, size(r)); err != nil {
				break
			}
			fillText(b, channel, me, seq)
			j.intended.Store(seq)
			err = w.End.Texts.Commit(len(b))
		}
		if err != nil {
			return err
		}
		seq += uint64(n)
		j.committed.Store(seq - 1)
		j.moves.Add(1)
		if seq > rush {
			time.Sleep(time.Duration(r.IntN(int(time.Millisecond)))) // leaves the processors to those that start
		}
	}
}

// rush is how many messages a producer sends as fast as it can.
const rush = 2000

// size draws a length: mostly small, sometimes too large for the ring.
func size(r *rand.Rand) int {
	words := 1 + r.IntN(40)
	if r.IntN(8) == 0 {
		words = 1 + r.IntN(2000)
	}
	return textHeader + 8*words
}

// consume receives until the journal is full.
func consume(ctx context.Context, j journal, w work) error {
	j.doing.Store(uint32(receiving))
	notes := make([]note, batch)
	for more := true; more; {
		var err error
		if more, err = receive(ctx, j, w, notes, true); err != nil {
			return err
		}
	}
	return nil
}

// receive receives once, and checks what came. With wait false it does not wait: pipe.ErrEmpty.
func receive(ctx context.Context, j journal, w work, notes []note, wait bool) (more bool, err error) {
	channel := tag(w.Tree, w.Channel)
	one := func(n note) error {
		if err := n.check(channel); err != nil {
			return err
		}
		more = j.received(n.Sender, n.Seq, false)
		return nil
	}
	text := func(b []byte, marked bool) error {
		sender, seq, err := checkText(b, channel)
		if err == nil {
			more = j.received(sender, seq, marked)
		}
		return err
	}
	switch s := style(w.Style); {
	case s == leases:
		var m pipe.Message
		if wait {
			m, err = w.End.Texts.Receive(ctx)
		} else {
			m, err = w.End.Texts.TryReceive()
		}
		if err != nil {
			return true, err
		}
		if err := text(m.Data, m.Redelivered); err != nil {
			return true, err
		}
		j.doing.Store(uint32(acknowledging))
		if wait {
			time.Sleep(100 * time.Microsecond) // its work: who is killed meanwhile has seen the message
		}
		err = w.End.Texts.Ack()
		j.doing.Store(uint32(receiving))
	case s == inPlace:
		j.asked.Store(j.got.Load() + 1)
		var b []byte
		if wait {
			b, err = w.End.Texts.Recv(ctx)
		} else {
			b, err = w.End.Texts.TryRecv()
		}
		if err != nil {
			j.asked.Store(j.got.Load())
			return true, err
		}
		err = text(b, false)
	case s == batches && wait:
		j.asked.Store(j.got.Load() + batch)
		n, rerr := w.End.Notes.RecvMany(ctx, notes)
		for _, v := range notes[:n] {
			if err := one(v); err != nil {
				return true, err
			}
		}
		err = rerr
	default:
		j.asked.Store(j.got.Load() + 1)
		var v note
		if wait {
			v, err = w.End.Notes.Recv(ctx)
		} else {
			v, err = w.End.Notes.TryRecv()
		}
		if err != nil {
			j.asked.Store(j.got.Load())
			return true, err
		}
		err = one(v)
	}
	j.got.Store(j.asked.Load())
	j.moves.Add(1)
	return more, err
}
