package pipe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/shm"
)

const (
	crowd = 200              // more waiters than may sleep on a thread each
	hang  = 20 * time.Second // a guard against hanging, never a measure
)

// awaitWaiting waits until n goroutines are asleep, in the lot or on a thread of their own.
func awaitWaiting(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(hang); ; runtime.Gosched() {
		var stacks bytes.Buffer
		must(t, pprof.Lookup("goroutine").WriteTo(&stacks, 2))
		asleep := strings.Count(stacks.String(), "futex.(*Waiter).park(") + strings.Count(stacks.String(), "futex.(*Waiter).block(")
		if asleep >= n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d goroutines wait, want %d", asleep, n)
		}
	}
}

// receivers starts a goroutine for each of n connections, which reports what it gets; it returns the other ends.
func receivers(t *testing.T, ctx context.Context, n int) (others []*pipe.Conn[int], got <-chan outcome) {
	t.Helper()
	all := make(chan outcome, n)
	for i := range n {
		a, b := pair[int](t, pipe.Capacity(4096))
		others = append(others, a)
		go func() {
			v, err := b.Recv(ctx)
			all <- outcome{i, v, err}
		}()
	}
	return others, all
}

type outcome struct {
	who, value int
	err        error
}

func take(t *testing.T, from <-chan outcome) outcome {
	t.Helper()
	select {
	case o := <-from:
		return o
	case <-time.After(hang):
		t.Fatal("nobody is woken")
	}
	panic("unreachable")
}

func TestACrowdOfWaitersNeedsFewThreads(t *testing.T) {
	before := pprof.Lookup("threadcreate").Count()
	others, got := receivers(t, t.Context(), crowd)
	awaitWaiting(t, crowd)
	if n := pprof.Lookup("threadcreate").Count() - before; n > 30 {
		t.Errorf("%d threads were made for %d waiting goroutines", n, crowd)
	}
	// One, and then all the others: each gets its own.
	must(t, others[17].Send(t.Context(), 17))
	if o := take(t, got); o != (outcome{17, 17, nil}) {
		t.Fatalf("got %+v", o)
	}
	for i, a := range others {
		must(t, a.Send(t.Context(), i))
	}
	seen := map[int]bool{17: true}
	for range crowd - 1 {
		o := take(t, got)
		if o.err != nil || o.value != o.who || seen[o.who] {
			t.Fatalf("got %+v", o)
		}
		seen[o.who] = true
	}
}

func TestACrowdOfWaitersEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, got := receivers(t, ctx, crowd)
	awaitWaiting(t, crowd)
	cancel()
	for range crowd {
		if o := take(t, got); !errors.Is(o.err, context.Canceled) {
			t.Fatalf("got %+v", o)
		}
	}
}

func TestACrowdOfWaitersEndsWithTheOtherEnds(t *testing.T) {
	others, got := receivers(t, t.Context(), crowd)
	awaitWaiting(t, crowd)
	for _, a := range others {
		must(t, a.Close())
	}
	for range crowd {
		if o := take(t, got); o.err != io.EOF {
			t.Fatalf("got %+v", o)
		}
	}
}

func TestACrowdOfSendersIsWokenForRoom(t *testing.T) {
	var senders sync.WaitGroup
	var readers []*pipe.Conn[[1000]byte]
	for range crowd / 2 {
		a, b := pair[[1000]byte](t, pipe.Capacity(4096))
		readers = append(readers, b)
		senders.Go(func() {
			for range 10 {
				if err := a.Send(t.Context(), [1000]byte{1}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	awaitWaiting(t, len(readers))
	for _, b := range readers {
		for range 10 {
			v, err := b.Recv(t.Context())
			if err != nil || v[0] != 1 {
				t.Fatalf("got %v, %v", v[0], err)
			}
		}
	}
	senders.Wait()
}

func TestACrowdOfWaitersLearnsOfADeath(t *testing.T) {
	p := roles.Start(t, "makes connections", strconv.Itoa(crowd))
	got := make(chan outcome, crowd)
	for range crowd {
		var h shm.Handle
		must(t, h.UnmarshalText([]byte(p.Hear())))
		b, err := pipe.Open[int](h)
		must(t, err)
		t.Cleanup(func() { b.Close() })
		p.Say("taken")
		go func() {
			_, err := b.Recv(t.Context())
			got <- outcome{err: err}
		}()
	}
	awaitWaiting(t, crowd)
	p.Slay()
	for range crowd {
		var died *pipe.PeerDied
		if o := take(t, got); !errors.As(o.err, &died) {
			t.Fatalf("got %+v", o)
		}
	}
}

func init() { parts["makes connections"] = makesConnections }

// makesConnections makes connections, keeps one end of each, and lets the test take the other.
func makesConnections(p *roles.Peer, args []string) {
	n, err := strconv.Atoi(args[0])
	p.Must(err)
	var keep []*pipe.Conn[int]
	sp, err := shm.OpenSpace("crowd")
	p.Must(err)
	for range n {
		a, b, err := pipe.New[int](pipe.In(sp), pipe.Capacity(4096))
		p.Must(err)
		keep = append(keep, a)
		p.Say("%v", b.Handle())
		p.Hear()
		p.Must(b.Close())
	}
	p.Hear() // until it is killed
	runtime.KeepAlive(keep)
}
