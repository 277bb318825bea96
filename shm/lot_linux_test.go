package shm

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/roles"
)

// place is where the tests wait: a word that becomes ready, and the member who waits, in the header of an object.
type place struct {
	ready, wait *atomic.Uint32
	lot         *Lot
}

const roleAt = layout.SizeConn - 64 // somewhere in a lane that no test uses

func placeOf(o *Object) place {
	return place{ready: word(o.Header, roleAt+8), wait: word(o.Header, roleAt+12), lot: o.Lot(roleAt)}
}

func (p place) Ready() bool { return p.ready.Load() != 0 }
func (p place) Stop() error { return nil }
func (p place) Recheck()    {}

func init() {
	parts["waker"] = func(p *roles.Peer, args []string) {
		var h Handle
		p.Must(h.UnmarshalText([]byte(args[0])))
		o, err := h.Open(layout.KindConn)
		p.Must(err)
		p.Say("here")
		at := placeOf(o)
		switch cmd := p.Hear(); cmd {
		case "rouse":
			at.ready.Store(1)
			futex.Rouse(at.wait, at.lot)
		case "forget": // as if it had been killed before the ring
			at.ready.Store(1)
			at.wait.Store(0)
		}
		p.Say("done")
		p.Hear()
	}
}

// parked waits with a waiter that has no thread to sleep on.
func parked(t *testing.T, at place) <-chan error {
	t.Helper()
	at.lot.role.Store(uint64(at.lot.s.self))
	done := make(chan error, 1)
	go func() {
		w := futex.Waiter{Mode: futex.Block, Lot: at.lot, Long: true}
		done <- w.Await(context.Background(), at.wait, at)
	}()
	for end := time.Now().Add(hang); at.wait.Load() != layout.WaitParked; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the wait word is %d", at.wait.Load())
		}
	}
	return done
}

func ended(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(hang):
		t.Fatal("the waiter was not woken")
	}
}

// waker is a Space with an object, and a process that has opened it.
func waker(t *testing.T, name string) (*Space, *Object, *roles.Proc) {
	t.Helper()
	sp := openSpace(t, name)
	o, err := sp.NewObject(testObject(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	p := roles.Start(t, "waker", o.Handle().String())
	p.Expect("here")
	return sp, o, p
}

func TestAParkedWaiterIsWokenByTheDoorbell(t *testing.T) {
	_, o, p := waker(t, "doorbell")
	done := parked(t, placeOf(o))
	looks.running.Lock() // nobody looks: the bell has to do it
	defer looks.running.Unlock()
	if got := p.Ask("rouse"); got != "done" {
		t.Fatal(got)
	}
	ended(t, done)
}

func TestALookFindsAWaiterWhoseWakerForgotToRing(t *testing.T) {
	_, o, p := waker(t, "forgotten")
	done := parked(t, placeOf(o))
	if got := p.Ask("forget"); got != "done" {
		t.Fatal(got)
	}
	ended(t, done)
}

func TestADeathMakesParkedWaitersLook(t *testing.T) {
	sp, o, p := waker(t, "orphans")
	done := parked(t, placeOf(o))
	// One of a crowd: its own look is far away.
	lots := &sp.s.poll.lots
	lots.each(func(w *futex.Parked) { w.Note.Due = now() + time.Hour })
	if got := p.Ask("forget"); got != "done" {
		t.Fatal(got)
	}
	p.Kill()
	ended(t, done)
}

// The kernel's notice is enough: nobody need look. So it is however late the proof comes.
func TestADeathIsToldWithoutLooks(t *testing.T) {
	if feature.RobustList.Off() {
		t.Skip("without robustlist deaths are found by looking")
	}
	sp, _, p := waker(t, "told")
	told := make(chan *MemberDied, 1)
	stop, err := sp.OnDeath(func(d *MemberDied) { told <- d })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	looks.running.Lock()
	defer looks.running.Unlock()
	p.Slay()
	select {
	case d := <-told:
		if d.PID != p.Cmd.Process.Pid {
			t.Errorf("%v died, not %d", d, p.Cmd.Process.Pid)
		}
	case <-time.After(hang):
		t.Error("found by looking only, not told")
	}
}

func TestACrowdIsLookedForLessOften(t *testing.T) {
	for _, c := range []struct {
		waiters     int64
		first, last time.Duration
	}{{0, firstLook, lastLook}, {crowdFirst - 1, firstLook, lastLook}, {10_000, 5120 * time.Millisecond, crowdMost}, {10_000_000, crowdMost, crowdMost}} {
		var l lots
		l.count.Store(c.waiters)
		if first, last := l.lookWaits(); first != c.first || last != c.last {
			t.Errorf("%d waiters: %v, %v, want %v, %v", c.waiters, first, last, c.first, c.last)
		}
	}
}

func TestALookFindsABellThatWokeNobody(t *testing.T) {
	sp := openSpace(t, "bell")
	o, err := sp.NewObject(testObject(0))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	at := placeOf(o)
	done := parked(t, at)
	// As if the waker had been killed between the bell and the wake-up; the waiter's own look is out of the way.
	s := sp.s
	c := s.poll.lots.chainOf(at.lot.key)
	c.mu.Lock()
	c.first.Note.Due = now() + time.Hour
	c.mu.Unlock()
	at.ready.Store(1)
	at.wait.Store(0)
	key := at.lot.key
	s.page.Dirty[key/64].Or(1 << (key % 64))
	s.page.Summary[key/64/64].Or(1 << (key / 64 % 64))
	s.page.Doorbell.Add(1)
	ended(t, done)
}

func TestARingForSomebodyElseHarmsNobody(t *testing.T) {
	sp := openSpace(t, "hostile")
	for _, m := range []Member{0, 1<<30 - 1, layout.MakeMember(1000, 5), layout.MakeMember(1023, 1), sp.s.self + 1<<layout.SlotBits} {
		sp.s.ringPlace(m, layout.DirtyBits-1)
	}
	if w := sp.s.page.Dirty[layout.DirtyBits/64-1].Load(); w != 0 {
		t.Errorf("rung for somebody else: %x", w)
	}
}

func TestLooksComeTogether(t *testing.T) {
	for _, c := range []struct{ now, wait, want time.Duration }{
		{0, firstLook, firstLook},
		{19 * time.Millisecond, firstLook, 20 * time.Millisecond},
		{20 * time.Millisecond, firstLook, 40 * time.Millisecond},
		{2500 * time.Millisecond, time.Second, 3 * time.Second},
		{2999 * time.Millisecond, time.Second, 3 * time.Second},
	} {
		if got := dueAfter(c.now, c.wait); got != c.want || got-c.now > c.wait || got <= c.now {
			t.Errorf("dueAfter(%v, %v) = %v, want %v", c.now, c.wait, got, c.want)
		}
	}
}
