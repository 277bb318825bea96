package pipe_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/shm"
)

func init() {
	// poster puts messages into a mailbox, which it makes if need be.
	parts["poster"] = func(p *roles.Peer, args []string) {
		sp, err := shm.OpenSpace(args[0], shm.Keep())
		p.Must(err)
		var out *pipe.Conn[[]byte]
		if h, err := sp.Lookup("out"); err == nil {
			out, err = pipe.Open[[]byte](h)
			p.Must(err)
		} else {
			var in *pipe.Conn[[]byte]
			in, out, err = pipe.NewSimplex[[]byte](pipe.In(sp), pipe.Capacity(16<<10))
			p.Must(err)
			p.Must(errors.Join(sp.Bind("in", in.Handle()), sp.Bind("out", out.Handle())))
		}
		for _, m := range letters {
			p.Must(out.Send(context.Background(), m))
		}
		p.Say("posted")
		p.Hear()
	}
	// reader reads one message, is shown another one, and waits to be killed.
	parts["reader"] = func(p *roles.Peer, args []string) {
		in := openBox(p.Must, args[0])
		m, err := in.Recv(context.Background())
		p.Must(err)
		_, err = in.Receive(context.Background())
		p.Must(err)
		p.Say("%d", len(m))
		p.Hear()
	}
}

// letters are small ones and one that takes a block of its own.
var letters = [][]byte{[]byte("one"), []byte("two!"), make([]byte, 200_000), []byte("three")}

func openBox(must func(error), name string) *pipe.Conn[[]byte] {
	sp, err := shm.OpenSpace(name, shm.Attach())
	must(err)
	defer sp.Close() // the connection keeps it
	h, err := sp.Lookup("in")
	must(err)
	in, err := pipe.Open[[]byte](h)
	must(err)
	return in
}

// Committed messages wait in a mailbox for whoever comes, though all who had to do with it were killed.
func TestMessagesInAMailboxOutliveTheirSendersAndReaders(t *testing.T) {
	const box = "letterbox"
	t.Cleanup(func() { must(t, shm.Unlink(box)) })
	for range 2 {
		p := roles.Start(t, "poster", box)
		p.Expect("posted")
		p.Kill()
		if removed, err := shm.Sweep(); err != nil || len(removed) != 0 {
			t.Fatalf("a sweep removed %v, %v", removed, err)
		}
	}
	r := roles.Start(t, "reader", box)
	r.Expect("3")
	r.Kill()

	in := openBox(func(err error) { t.Helper(); must(t, err) }, box)
	defer in.Close()
	m, err := in.Receive(t.Context())
	must(t, err)
	if !m.Redelivered || len(m.Data) != len(letters[1]) {
		t.Fatalf("what the dead reader was shown: %d bytes, redelivered: %v", len(m.Data), m.Redelivered)
	}
	must(t, in.Ack())
	for _, want := range append(letters[2:], letters...) {
		got, err := in.Recv(t.Context())
		if err != nil || string(got) != string(want) {
			t.Fatalf("%d bytes, %v; want %d", len(got), err, len(want))
		}
	}
	// The mailbox is open: somebody may post again.
	if _, err := in.TryRecv(); !errors.Is(err, pipe.ErrEmpty) {
		t.Fatalf("an empty mailbox says %v", err)
	}
}
