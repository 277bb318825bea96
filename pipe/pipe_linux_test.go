package pipe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/shm"
)

type tick struct {
	Seq  uint64
	Bid  float64
	Ask  float64
	Name [40]byte
}

func pair[T any](t testing.TB, opts ...pipe.Option) (a, b *pipe.Conn[T]) {
	t.Helper()
	a, b, err := pipe.New[T](opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func roundTrip[T any](t *testing.T, values ...T) {
	t.Helper()
	a, b := pair[T](t)
	for _, v := range values {
		must(t, a.Send(t.Context(), v))
	}
	for _, v := range values {
		got, err := b.Recv(t.Context())
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Fatalf("sent %v, got %v, %v", v, got, err)
		}
	}
	// In bulk, and the other way.
	if n, err := b.SendMany(t.Context(), values); n != len(values) || err != nil {
		t.Fatal(n, err)
	}
	got := make([]T, len(values)+3)
	for n := 0; n < len(values); {
		k, err := a.RecvMany(t.Context(), got[n:])
		must(t, err)
		n += k
	}
	if !reflect.DeepEqual(got[:len(values)], values) {
		t.Fatalf("sent %v, got %v", values, got)
	}
}

func TestValuesArriveAsTheyWereSent(t *testing.T) {
	t.Run("plain", func(t *testing.T) { roundTrip(t, tick{1, 2, 3, [40]byte{'x'}}, tick{}) })
	t.Run("int", func(t *testing.T) { roundTrip(t, 1, -1, 0) })
	t.Run("bool", func(t *testing.T) { roundTrip(t, true, false) })
	t.Run("bytes", func(t *testing.T) {
		roundTrip(t, []byte("hello"), []byte{}, bytes.Repeat([]byte{7}, 16376), bytes.Repeat([]byte{8}, 16377))
	})
	t.Run("string", func(t *testing.T) { roundTrip(t, "", "hello", strings.Repeat("x", 100_000)) })
	t.Run("slice of plain", func(t *testing.T) { roundTrip(t, []tick{{Seq: 1}, {Seq: 2}}, []tick{}) })
	t.Run("any", func(t *testing.T) { roundTrip[any](t, []any{int64(42), nil, "hello"}, nil, map[any]any{"a": int64(1)}) })
	t.Run("pointer", func(t *testing.T) { roundTrip(t, &tick{Seq: 7}, nil) })
	t.Run("time", func(t *testing.T) { roundTrip(t, time.Now().Round(0)) })
	t.Run("zero size", func(t *testing.T) { roundTrip(t, struct{}{}, struct{}{}) })
	t.Run("larger than the ring", func(t *testing.T) { roundTrip(t, [100_000]byte{1, 99_999: 2}, [100_000]byte{}) })
}

func TestMessagesOfAllSizesThroughASmallRing(t *testing.T) {
	a, b := pair[[]byte](t, pipe.Capacity(4096))
	sizes := []int{0, 1, 63, 64, 1016, 1017, 1024, 4096, 100_000, 3 << 20, 5, 20_000, 9 << 20, 1}
	go func() {
		for i, n := range sizes {
			if err := a.Send(t.Context(), bytes.Repeat([]byte{byte(i + 1)}, n)); err != nil {
				t.Error(err)
			}
		}
		a.Close()
	}()
	i := 0
	for got, err := range b.All(t.Context()) {
		if err != nil || len(got) != sizes[i] || bytes.Count(got, []byte{byte(i + 1)}) != len(got) {
			t.Fatalf("message %d: %d bytes of %d, %v", i, len(got), sizes[i], err)
		}
		i++
	}
	if i != len(sizes) {
		t.Fatalf("%d of %d messages", i, len(sizes))
	}
}

func TestTypesThatCannotTravelAreRefused(t *testing.T) {
	if _, _, err := pipe.New[chan int](); err == nil {
		t.Error("a connection of channels was made")
	}
	if _, _, err := pipe.New[struct{ a, b *int }](); err == nil || !strings.Contains(err.Error(), "unexported") {
		t.Error(err)
	}
	if _, _, err := pipe.New[int](pipe.Capacity(-1)); err == nil {
		t.Error("a ring of -1 bytes")
	}
	if _, _, err := pipe.New[int](pipe.Capacity(1 << 31)); err == nil || !strings.Contains(err.Error(), "1073741824") {
		t.Error(err)
	}
	a, b := pair[any](t)
	if err := a.Send(t.Context(), make(chan int)); err == nil {
		t.Error("a channel was sent")
	}
	must(t, a.Send(t.Context(), "still works"))
	if v, err := b.Recv(t.Context()); v != "still works" {
		t.Error(v, err)
	}
}

func TestASimplexConnectionHasOneDirection(t *testing.T) {
	r, s, err := pipe.NewSimplex[int]()
	must(t, err)
	defer r.Close()
	defer s.Close()
	must(t, s.Send(t.Context(), 7))
	if v, err := r.Recv(t.Context()); v != 7 || err != nil {
		t.Fatal(v, err)
	}
	if err := r.Send(t.Context(), 1); !errors.Is(err, pipe.ErrDirection) {
		t.Error(err)
	}
	if _, err := s.Recv(t.Context()); !errors.Is(err, pipe.ErrDirection) {
		t.Error(err)
	}
	if _, err := s.TryRecv(); !errors.Is(err, pipe.ErrDirection) {
		t.Error(err)
	}
	if err := r.Commit(0); !errors.Is(err, pipe.ErrOrder) {
		t.Error(err)
	}
	if err := s.Ack(); !errors.Is(err, pipe.ErrOrder) {
		t.Error(err)
	}
}

func TestTryNeverWaits(t *testing.T) {
	a, b := pair[tick](t, pipe.Capacity(4096))
	if _, err := b.TryRecv(); err != pipe.ErrEmpty || !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		if err := a.TrySend(tick{Seq: uint64(n)}); err == pipe.ErrFull {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n < 30 {
		t.Fatalf("full after %d", n)
	}
	for i := range n {
		if v, err := b.TryRecv(); err != nil || v.Seq != uint64(i) {
			t.Fatal(v, err)
		}
	}
	big, other := pair[[]byte](t, pipe.Capacity(4096))
	for n = 0; big.TrySend(make([]byte, 2<<20)) == nil; n++ {
	}
	if n < 2 || n > 8 {
		t.Fatalf("%d messages of 2 MiB at a time", n)
	}
	for range n {
		if v, err := other.TryRecv(); err != nil || len(v) != 2<<20 {
			t.Fatal(len(v), err)
		}
	}
}

func TestCloseEndsTheOtherSideAfterWhatWasSent(t *testing.T) {
	a, b := pair[string](t)
	must(t, a.Send(t.Context(), "one"))
	must(t, a.Send(t.Context(), strings.Repeat("two", 100_000)))
	must(t, a.Close())
	must(t, a.Close())
	if v, err := b.Recv(t.Context()); v != "one" {
		t.Fatal(v, err)
	}
	if v, err := b.TryRecv(); len(v) != 300_000 {
		t.Fatal(len(v), err)
	}
	if _, err := b.Recv(t.Context()); err != io.EOF {
		t.Fatal(err)
	}
	if _, err := b.TryRecv(); err != io.EOF {
		t.Fatal(err)
	}
	if n, err := b.RecvMany(t.Context(), make([]string, 3)); n != 0 || err != io.EOF {
		t.Fatal(n, err)
	}
	if err := b.Send(t.Context(), "x"); !errors.Is(err, pipe.ErrPeerClosed) || !errors.Is(err, io.ErrClosedPipe) || !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"send": a.Send(t.Context(), "x"), "try": a.TrySend("x"),
		"recv":    second(a.Recv(t.Context())),
		"reserve": second(a.Reserve(t.Context(), 1)),
		"encode":  second(a.MarshalText()),
	} {
		if !errors.Is(err, pipe.ErrClosed) || !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s on a closed end: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestCloseWakesThisProcessesWaiters(t *testing.T) {
	for _, mode := range []futex.Mode{futex.Auto, futex.Block, futex.Spin} {
		a, b := pair[tick](t, pipe.Capacity(4096), pipe.Wait(mode))
		done := make(chan error, 3)
		go func() { done <- second(a.Recv(context.Background())) }()
		go func() { done <- second(a.Recv(context.Background())) }() // waits for its turn
		for a.TrySend(tick{}) == nil {
		}
		go func() { done <- a.Send(context.Background(), tick{}) }()
		runtime.Gosched()
		must(t, a.Close())
		for range 3 {
			if err := <-done; !errors.Is(err, pipe.ErrClosed) {
				t.Errorf("%v: %v", mode, err)
			}
		}
		b.Close()
	}
}

func TestContextsEndWaits(t *testing.T) {
	a, _ := pair[tick](t, pipe.Capacity(4096))
	for a.TrySend(tick{}) == nil {
	}
	for name, f := range map[string]func(context.Context) error{
		"recv": func(ctx context.Context) error { return second(a.Recv(ctx)) },
		"send": func(ctx context.Context) error { return a.Send(ctx, tick{}) },
		"many": func(ctx context.Context) error { return second(a.RecvMany(ctx, make([]tick, 2))) },
		"all": func(ctx context.Context) error {
			for _, err := range a.All(ctx) {
				return err
			}
			return nil
		},
		"turn": func(ctx context.Context) error {
			first, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() { a.Recv(first) })
			defer wg.Wait()
			defer cancel()
			return second(a.Recv(ctx))
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f(ctx) }()
		runtime.Gosched()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		if err := f(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestManyGoroutinesShareAnEnd(t *testing.T) {
	a, b := pair[[]byte](t, pipe.Capacity(4096))
	const senders, each = 8, 500
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				msg := bytes.Repeat([]byte{byte(s)}, 1+(i*37)%1500)
				if err := a.Send(t.Context(), msg); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var mu sync.Mutex
	got := 0
	var rg sync.WaitGroup
	for range 3 {
		rg.Go(func() {
			for msg, err := range b.All(t.Context()) {
				if err != nil || bytes.Count(msg, msg[:1]) != len(msg) {
					t.Errorf("a message of several senders, or %v", err)
				}
				mu.Lock()
				got++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	a.Close()
	rg.Wait()
	if got != senders*each {
		t.Fatalf("%d of %d messages", got, senders*each)
	}
}

func TestZeroCopy(t *testing.T) {
	a, b := pair[[]byte](t)
	for _, n := range []int{0, 10, 16_376, 16_377, 1 << 20} {
		mem, err := a.Reserve(t.Context(), n)
		must(t, err)
		if len(mem) != n {
			t.Fatalf("%d bytes for %d", len(mem), n)
		}
		for i := range mem {
			mem[i] = byte(n)
		}
		if err := a.Commit(n + 1); !errors.Is(err, pipe.ErrOrder) {
			t.Fatal(err)
		}
		must(t, a.Commit(n/2))
		if err := a.Commit(0); !errors.Is(err, pipe.ErrOrder) {
			t.Fatal("committed twice:", err)
		}
		m, err := b.Receive(t.Context())
		must(t, err)
		if len(m.Data) != n/2 || bytes.Count(m.Data, []byte{byte(n)}) != n/2 || m.Redelivered {
			t.Fatalf("%d bytes", len(m.Data))
		}
		must(t, b.Ack())
		if err := b.Ack(); !errors.Is(err, pipe.ErrOrder) {
			t.Fatal("acknowledged twice:", err)
		}
	}
	_, err := a.Reserve(t.Context(), 5)
	must(t, err)
	must(t, a.Abort())
	if err := a.Abort(); !errors.Is(err, pipe.ErrOrder) {
		t.Fatal(err)
	}
	must(t, a.Send(t.Context(), []byte("after an abort")))
	if v, err := b.Recv(t.Context()); string(v) != "after an abort" {
		t.Fatal(v, err)
	}
	c, _ := pair[tick](t)
	if _, err := c.Reserve(t.Context(), 5); err == nil {
		t.Fatal("5 bytes of a tick were reserved")
	}
}

func TestAViewStaysValidThroughClose(t *testing.T) {
	a, b := pair[[]byte](t)
	must(t, a.Send(t.Context(), []byte("look")))
	m, err := b.Receive(t.Context())
	must(t, err)
	mem, err := b.Reserve(t.Context(), 1<<20)
	must(t, err)
	must(t, b.Close()) // does not wait for the views
	a.Close()
	runtime.GC()
	for i := range mem {
		mem[i] = 1
	}
	if string(m.Data) != "look" {
		t.Fatal(string(m.Data))
	}
	if err := b.Commit(1); !errors.Is(err, pipe.ErrClosed) && err == nil {
		t.Fatal("committed to a closed end")
	}
	must(t, b.Ack())
}

func TestTheMemoryComesBack(t *testing.T) {
	sp, err := shm.Private()
	must(t, err)
	defer sp.Close()
	before, err := sp.Stats()
	must(t, err)
	for range 200 {
		a, b, err := pipe.New[[]byte](pipe.Capacity(1 << 17))
		must(t, err)
		must(t, a.Send(t.Context(), make([]byte, 200_000)))
		must(t, errors.Join(a.Close(), b.Close()))
	}
	after, err := sp.Stats()
	must(t, err)
	if after.Used != before.Used || after.Objects != before.Objects {
		t.Fatalf("before %+v, after %+v", before, after)
	}
}

func TestAHandleLeadsToTheSameEnd(t *testing.T) {
	a, b := pair[tick](t)
	text, err := b.MarshalText()
	must(t, err)
	var c pipe.Conn[tick]
	must(t, c.UnmarshalText(text))
	must(t, a.Send(t.Context(), tick{Seq: 1}))
	must(t, a.Send(t.Context(), tick{Seq: 2}))
	v, err := c.Recv(t.Context())
	if err != nil || v.Seq != 1 {
		t.Fatal(v, err)
	}
	if v, err := b.Recv(t.Context()); err != nil || v.Seq != 2 {
		t.Fatal(v, err)
	}
	var wrong pipe.Conn[int]
	var te *shm.TypeError
	if err := wrong.UnmarshalText(text); !errors.As(err, &te) || !strings.Contains(err.Error(), "tick") || !strings.Contains(err.Error(), "int") {
		t.Fatal(err)
	}
	var gone pipe.Conn[tick]
	a.Close()
	b.Close()
	if err := gone.UnmarshalText(text); !errors.Is(err, shm.ErrGone) {
		t.Fatal(err)
	}
	if err := gone.Send(t.Context(), tick{}); !errors.Is(err, pipe.ErrClosed) {
		t.Fatal("send on what was never opened:", err)
	}
	// Through another connection, as part of a message.
	type parcel struct {
		Text string
		Conn *pipe.Conn[tick]
	}
	x, y := pair[parcel](t)
	p, q := pair[tick](t)
	must(t, x.Send(t.Context(), parcel{"here", q}))
	got, err := y.Recv(t.Context())
	must(t, err)
	must(t, p.Send(t.Context(), tick{Seq: 3}))
	if v, err := got.Conn.Recv(t.Context()); err != nil || v.Seq != 3 {
		t.Fatal(v, err)
	}
}

func TestNothingIsAllocatedForAPlainMessage(t *testing.T) {
	a, b := pair[tick](t)
	many := make([]tick, 32)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, f := range map[string]func(){
		"send, receive": func() { a.Send(ctx, tick{}); b.Recv(ctx) },
		"try":           func() { a.TrySend(tick{}); b.TryRecv() },
		"many":          func() { a.SendMany(ctx, many); b.RecvMany(ctx, many) },
		"zero-copy":     func() { a.Reserve(ctx, 64); a.Commit(64); b.Receive(ctx); b.Ack() },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	go func() {
		for v, err := range b.All(ctx) {
			if err != nil || b.Send(ctx, v) != nil {
				return
			}
		}
	}()
	if n := testing.AllocsPerRun(200, func() { a.Send(ctx, tick{}); a.Recv(ctx) }); n > 0.5 {
		t.Errorf("ping-pong: %v allocations", n)
	}
}

func init() {
	// echo sends back what it receives, by the Handle in its first argument.
	parts["echo"] = func(p *roles.Peer, args []string) {
		var c pipe.Conn[[]byte]
		p.Must(c.UnmarshalText([]byte(args[0])))
		p.Say("ready")
		for v, err := range c.All(context.Background()) {
			p.Must(err)
			p.Must(c.Send(context.Background(), v))
		}
		p.Say("eof")
		p.Must(c.Close())
		p.Must(shm.Exit())
	}
	// holder opens an end and does what it is told.
	parts["holder"] = func(p *roles.Peer, args []string) {
		var c pipe.Conn[[]byte]
		p.Must(c.UnmarshalText([]byte(args[0])))
		p.Say("ready")
		ctx := context.Background()
		for {
			switch word, rest, _ := strings.Cut(p.Hear(), " "); word {
			case "send":
				p.Say("%v", c.Send(ctx, []byte(rest)))
			case "big":
				p.Say("%v", c.Send(ctx, bytes.Repeat([]byte(rest), 1<<20)))
			case "recv":
				v, err := c.Recv(ctx)
				p.Say("%.20s %v", v, err)
			case "receive":
				m, err := c.Receive(ctx)
				p.Say("%.20s %v %v", m.Data, m.Redelivered, err)
			case "reserve":
				mem, err := c.Reserve(ctx, 1<<20)
				for i := range mem {
					mem[i] = 'r'
				}
				p.Say("%v", err)
			case "close":
				p.Say("%v", c.Close())
			}
		}
	}
}

func handle[T any](t *testing.T, c *pipe.Conn[T]) string {
	t.Helper()
	text, err := c.MarshalText()
	must(t, err)
	return string(text)
}

// start starts a role that holds c, and gives up our own hold.
func start(t *testing.T, role string, c *pipe.Conn[[]byte]) *roles.Proc {
	t.Helper()
	p := roles.Start(t, role, handle(t, c))
	p.Expect("ready")
	must(t, c.Close())
	return p
}

func TestTwoProcessesTalk(t *testing.T) {
	a, b := pair[[]byte](t)
	p := start(t, "echo", b)
	for i := range 2000 {
		msg := bytes.Repeat([]byte{byte(i)}, i*i%30_000)
		must(t, a.Send(t.Context(), msg))
		if got, err := a.Recv(t.Context()); err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("%d: %d bytes, %v", i, len(got), err)
		}
	}
	must(t, a.Close())
	p.Expect("eof")
	if code := p.Wait(); code != 0 {
		t.Fatal(code)
	}
}

func TestAKilledPeerIsReportedAfterWhatItHadCommitted(t *testing.T) {
	a, b := pair[[]byte](t)
	p := start(t, "holder", b)
	for i := range 10 {
		if got := p.Ask(fmt.Sprint("send message ", i)); got != "<nil>" {
			t.Fatal(got)
		}
	}
	p.Ask("big x")
	p.Ask("reserve")
	p.Slay()
	for i := range 10 {
		if v, err := a.Recv(t.Context()); err != nil || string(v) != fmt.Sprint("message ", i) {
			t.Fatalf("%q, %v", v, err)
		}
	}
	if v, err := a.Recv(t.Context()); err != nil || bytes.Count(v, []byte("x")) != 1<<20 {
		t.Fatalf("%d bytes, %v", len(v), err)
	}
	_, err := a.Recv(t.Context())
	var died *pipe.PeerDied
	if !errors.As(err, &died) || died.PID != p.Cmd.Process.Pid || died.Command == "" {
		t.Fatal(err)
	}
	if err := a.Send(t.Context(), nil); !errors.As(err, &died) {
		t.Fatal(err)
	}
	if _, err := a.TryRecv(); !errors.As(err, &died) {
		t.Fatal(err)
	}
}

func TestADeathEndsWaitsByEvent(t *testing.T) {
	for _, mode := range []futex.Mode{futex.Auto, futex.Block, futex.Spin} {
		a, b := pair[[]byte](t, pipe.Wait(mode))
		p := start(t, "holder", b)
		done := make(chan error, 2)
		go func() { done <- second(a.Recv(context.Background())) }()
		for a.TrySend(make([]byte, 1000)) == nil {
		}
		go func() { done <- a.Send(context.Background(), make([]byte, 1000)) }()
		p.Slay()
		for range 2 {
			var died *pipe.PeerDied
			if err := <-done; !errors.As(err, &died) {
				t.Errorf("%v: %v", mode, err)
			}
		}
	}
}

func TestTheLastHolderCounts(t *testing.T) {
	a, b := pair[[]byte](t)
	p := roles.Start(t, "holder", handle(t, b)) // and we keep b
	p.Expect("ready")
	p.Ask("send from the child")
	p.Kill()
	if v, err := a.Recv(t.Context()); string(v) != "from the child" {
		t.Fatal(v, err)
	}
	if _, err := a.TryRecv(); err != pipe.ErrEmpty {
		t.Fatalf("we hold the other end ourselves: %v", err)
	}
	// We go on where the dead sender stopped.
	must(t, b.Send(t.Context(), []byte("from the parent")))
	if v, err := a.Recv(t.Context()); string(v) != "from the parent" {
		t.Fatal(v, err)
	}
	must(t, b.Close())
	if _, err := a.Recv(t.Context()); err != io.EOF {
		t.Fatal(err)
	}
}

func TestOneProcessAtATimeUsesAnEnd(t *testing.T) {
	a, b := pair[[]byte](t)
	p := roles.Start(t, "holder", handle(t, b))
	p.Expect("ready")
	p.Ask("send mine")
	if err := b.Send(t.Context(), nil); !errors.Is(err, pipe.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprint(p.Cmd.Process.Pid)) {
		t.Fatal(err)
	}
	must(t, a.Send(t.Context(), []byte("to whoever receives")))
	if v, err := b.Recv(t.Context()); string(v) != "to whoever receives" {
		t.Fatal(v, err)
	}
	p.Say("recv")
	if got := p.Hear(); !strings.Contains(got, "another process uses this end") {
		t.Fatal(got)
	}
	// When it closes the end in order, the role is free.
	if got := p.Ask("close"); got != "<nil>" {
		t.Fatal(got)
	}
	must(t, b.Send(t.Context(), []byte("now mine")))
	for _, want := range []string{"mine", "now mine"} {
		if v, err := a.Recv(t.Context()); string(v) != want {
			t.Fatal(string(v), err)
		}
	}
}

func TestASuccessorGetsWhatTheDeadHadNotTaken(t *testing.T) {
	a, b := pair[[]byte](t)
	for i := range 6 {
		must(t, a.Send(t.Context(), fmt.Append(nil, "m", i)))
	}
	must(t, a.Send(t.Context(), bytes.Repeat([]byte("L"), 1<<20)))
	first := roles.Start(t, "holder", handle(t, b))
	first.Expect("ready")
	if got := first.Ask("recv"); got != "m0 <nil>" {
		t.Fatal(got)
	}
	if got := first.Ask("receive"); got != "m1 false <nil>" {
		t.Fatal(got)
	}
	first.Kill()
	second := roles.Start(t, "holder", handle(t, b))
	second.Expect("ready")
	if got := second.Ask("receive"); got != "m1 true <nil>" {
		t.Fatal(got)
	}
	second.Kill()
	for i := 1; i < 6; i++ {
		m, err := b.Receive(t.Context())
		if err != nil || string(m.Data) != fmt.Sprint("m", i) || m.Redelivered != (i == 1) {
			t.Fatalf("%q %v %v", m.Data, m.Redelivered, err)
		}
		must(t, b.Ack())
	}
	if v, err := b.Recv(t.Context()); len(v) != 1<<20 || v[0] != 'L' {
		t.Fatal(len(v), err)
	}
}

func TestBigBlocksOfADeadSenderAreTakenOver(t *testing.T) {
	sp, err := shm.Private()
	must(t, err)
	defer sp.Close()
	a, b := pair[[]byte](t)
	var died *pipe.PeerDied
	for round := range 12 {
		p := roles.Start(t, "holder", handle(t, b))
		p.Expect("ready")
		if got := p.Ask("big " + string(rune('a'+round))); got != "<nil>" {
			t.Fatal(got)
		}
		p.Ask("reserve") // one more block, that it dies with
		p.Kill()
		if round%3 == 2 {
			for k := range 3 {
				v, err := a.Recv(t.Context())
				if err != nil || len(v) != 1<<20 || v[0] != byte('a'+round-2+k) {
					t.Fatalf("round %d: %d bytes %q, %v", round, len(v), v[:1], err)
				}
			}
		}
	}
	st, err := sp.Stats()
	must(t, err)
	// The rings, and at most as many blocks as a direction keeps.
	if most := int64(8<<20 + 1<<20); st.Used > most {
		t.Fatalf("%d bytes are used, want at most %d", st.Used, most)
	}
	b.Close()
	if _, err := a.Recv(t.Context()); err != io.EOF && !errors.As(err, &died) {
		t.Fatal(err)
	}
}

func TestAStoppedPeerIsWaitedFor(t *testing.T) {
	a, b := pair[[]byte](t)
	p := start(t, "echo", b)
	p.Stop()
	must(t, a.Send(t.Context(), []byte("patience")))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := a.Recv(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	p.Signal(syscall.SIGCONT)
	if v, err := a.Recv(t.Context()); string(v) != "patience" {
		t.Fatal(v, err)
	}
	a.Close()
	p.Expect("eof")
	p.Wait()
}

func TestANamedSpaceLetsStrangersMeet(t *testing.T) {
	sp, err := shm.OpenSpace("meeting")
	must(t, err)
	defer sp.Close()
	a, b := pair[[]byte](t, pipe.In(sp))
	must(t, sp.Bind("door", b.Handle()))
	h, err := sp.Lookup("door")
	must(t, err)
	c, err := pipe.Open[[]byte](h)
	must(t, err)
	must(t, c.Send(t.Context(), []byte("knock")))
	if v, err := a.Recv(t.Context()); string(v) != "knock" {
		t.Fatal(v, err)
	}
	if _, err := pipe.Open[int](h); err == nil {
		t.Fatal("opened as another type")
	}
}

func TestStatsAndString(t *testing.T) {
	a, b := pair[tick](t, pipe.Capacity(65536))
	a.Send(t.Context(), tick{})
	b.Recv(t.Context())
	if st := a.Stats(); st.Sent != 1 || st.Received != 0 || st.Capacity != 65536 {
		t.Errorf("%+v", st)
	}
	if st := b.Stats(); st.Sent != 0 || st.Received != 1 {
		t.Errorf("%+v", st)
	}
	if s := a.String(); !strings.Contains(s, "tick") || !strings.Contains(s, "open") {
		t.Error(s)
	}
	a.Close()
	if s := a.String(); !strings.Contains(s, "closed") {
		t.Error(s)
	}
}

// D10: a process that has the pid of a dead one is not taken for it.
func TestScenarioD10APidIsNobodysIdentity(t *testing.T) {
	a, b := pair[[]byte](t)
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
	}
	// Both are process 1, each in a namespace of its own, and both say so in shared memory.
	first := roles.StartAs(t, nil, attr, "holder", handle(t, b))
	first.Expect("ready")
	second := roles.StartAs(t, nil, attr, "holder", handle(t, b))
	second.Expect("ready")
	if got := first.Ask("send from the first"); got != "<nil>" {
		t.Fatal(got)
	}
	if got := second.Ask("send x"); !strings.Contains(got, "another process uses this end: 1 ") {
		t.Fatal(got)
	}
	first.Kill()
	// The second is not the first, though it has its pid: it gets the role because the first is dead.
	if got := second.Ask("send from the second"); got != "<nil>" {
		t.Fatal(got)
	}
	for _, want := range []string{"from the first", "from the second"} {
		if v, err := a.Recv(t.Context()); string(v) != want {
			t.Fatal(string(v), err)
		}
	}
	// And its own death is its own.
	must(t, b.Close())
	second.Kill()
	var died *pipe.PeerDied
	if _, err := a.Recv(t.Context()); !errors.As(err, &died) || died.PID != 1 {
		t.Fatal(err)
	}
}

// picky travels as its own bytes, and panics or refuses on demand.
type picky struct{ do string }

func (p picky) MarshalBinary() ([]byte, error) {
	if p.do == "panic in marshal" {
		panic(p.do)
	}
	return []byte(p.do), nil
}

func (p *picky) UnmarshalBinary(b []byte) error {
	switch p.do = string(b); p.do {
	case "panic in unmarshal":
		panic(p.do)
	case "refuse":
		return errors.New("refused")
	}
	return nil
}

func TestAPanicOfAMethodOfTsLeavesTheConnectionUsable(t *testing.T) {
	a, b := pair[picky](t)
	panics := func(f func()) (r any) {
		defer func() { r = recover() }()
		f()
		return nil
	}
	if panics(func() { a.Send(t.Context(), picky{"panic in marshal"}) }) == nil {
		t.Fatal("no panic")
	}
	must(t, a.Send(t.Context(), picky{"panic in unmarshal"}))
	must(t, a.Send(t.Context(), picky{"fine"}))
	if panics(func() { b.Recv(t.Context()) }) == nil {
		t.Fatal("no panic")
	}
	if v, err := b.Recv(t.Context()); v.do != "fine" || err != nil {
		t.Fatal(v, err)
	}
	must(t, a.Close())
	must(t, b.Close())
}

func TestWhatCannotBeDecodedIsReportedAlsoInABatch(t *testing.T) {
	a, b := pair[picky](t)
	for _, do := range []string{"1", "refuse", "3"} {
		must(t, a.Send(t.Context(), picky{do}))
	}
	must(t, a.Close())
	vs := make([]picky, 5)
	if n, err := b.RecvMany(t.Context(), vs); n != 1 || err == nil || !strings.Contains(err.Error(), "refused") {
		t.Fatal(n, err)
	}
	if n, err := b.RecvMany(t.Context(), vs); n != 1 || err != nil || vs[0].do != "3" {
		t.Fatal(n, err, vs[0])
	}
	if _, err := b.RecvMany(t.Context(), vs); err != io.EOF {
		t.Fatal(err)
	}
}

func TestAContextThatIsOverEndsACallThatNeedNotWait(t *testing.T) {
	a, b := pair[int](t)
	must(t, a.Send(t.Context(), 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Send(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := b.Recv(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if v, err := b.Recv(t.Context()); v != 1 {
		t.Fatal(v, err)
	}
}

func TestAHandleCanBeAskedForAfterClose(t *testing.T) {
	sp, err := shm.OpenSpace("closed-handles")
	must(t, err)
	a, b, err := pipe.New[int](pipe.In(sp))
	must(t, err)
	before := a.Handle()
	must(t, a.Close())
	must(t, b.Close())
	must(t, sp.Close())
	if a.Handle() != before {
		t.Fatal(a.Handle(), before)
	}
	if _, err := a.MarshalText(); !errors.Is(err, pipe.ErrClosed) {
		t.Fatal(err)
	}
}

func TestCommitOfLessThanATIsRefused(t *testing.T) {
	a, b := pair[[2]uint64](t)
	mem, err := a.Reserve(t.Context(), 16)
	must(t, err)
	mem[0] = 7
	if err := a.Commit(8); !errors.Is(err, pipe.ErrOrder) {
		t.Fatal(err)
	}
	must(t, a.Commit(16))
	if v, err := b.Recv(t.Context()); v[0] != 7 || err != nil {
		t.Fatal(v, err)
	}
}

// A view keeps its Space, also in a process that came by a Handle and exits before it is given back.
func TestAViewOutlivesExitInAProcessThatCameByHandle(t *testing.T) {
	a, b := pair[[]byte](t)
	must(t, a.Send(t.Context(), []byte("still here")))
	p := roles.Start(t, "viewer", handle(t, b))
	if got := p.Hear(); got != "still here <nil>" {
		t.Fatal(got)
	}
	p.Wait()
}

func init() {
	parts["viewer"] = func(p *roles.Peer, args []string) {
		var c pipe.Conn[[]byte]
		p.Must(c.UnmarshalText([]byte(args[0])))
		m, err := c.Receive(context.Background())
		p.Must(err)
		p.Must(shm.Exit())
		text := string(m.Data)
		p.Say("%s %v", text, c.Ack())
	}
}

func TestCloseEndsWhoWaitsBehindAView(t *testing.T) {
	a, _ := pair[[]byte](t)
	if _, err := a.Reserve(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Send(context.Background(), []byte("x")) }()
	must(t, a.Close())
	if err := <-ended; !errors.Is(err, pipe.ErrClosed) {
		t.Fatal(err)
	}
	must(t, a.Abort())
}

// An end that was closed with a view out is this process's until the view comes back: another one here would share its
// roles without knowing.
func TestAnEndWithAViewOutCannotBeOpenedAgain(t *testing.T) {
	a, b := pair[int](t)
	if _, err := a.Reserve(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	h := a.Handle()
	must(t, a.Close())
	if _, err := pipe.Open[int](h); !errors.Is(err, pipe.ErrBusy) {
		t.Fatal(err)
	}
	must(t, a.Abort())
	if _, err := b.Recv(t.Context()); err != io.EOF {
		t.Fatal(err)
	}
	if _, err := pipe.Open[int](h); !errors.Is(err, shm.ErrGone) {
		t.Fatal(err)
	}
}

func TestTryingZeroCopyNeverWaits(t *testing.T) {
	a, b := pair[[]byte](t, pipe.Capacity(4096))
	if _, err := b.TryReceive(); err != pipe.ErrEmpty {
		t.Fatal(err)
	}
	sent := 0
	for ; ; sent++ {
		mem, err := a.TryReserve(500)
		if err == pipe.ErrFull {
			break
		}
		must(t, err)
		mem[0] = byte(sent)
		if _, err := a.TryReserve(1); err != pipe.ErrFull { // the turn is the first one's
			t.Fatal(err)
		}
		must(t, a.Commit(500))
	}
	for i := range sent {
		m, err := b.TryReceive()
		if err != nil || m.Data[0] != byte(i) {
			t.Fatal(i, m.Data[0], err)
		}
		must(t, b.Ack())
	}
	must(t, a.Close())
	if _, err := b.TryReceive(); err != io.EOF {
		t.Fatal(err)
	}
}
