package shm

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// always: the place holds the same object all the time.
func always() bool { return true }

// never: no name holds the set.
func never() bool { return false }

func TestASetEndsOnceAndSaysHow(t *testing.T) {
	a, b := layout.MakeMember(1, 1), layout.MakeMember(2, 1)
	state := func(s *layout.Set) layout.SetState { return layout.SetState(s.State.Load()) }
	t.Run("closed by the last one", func(t *testing.T) {
		var s layout.Set
		resetSet(&s, a, 5)
		if err := joinSet(&s, b, 5); err != nil {
			t.Fatal(err)
		}
		if leaveSet(&s, a, 5, died, always, never) || state(&s).Phase() != layout.SetOpen {
			t.Fatal("over while b holds it")
		}
		if !leaveSet(&s, b, 5, left, always, never) || state(&s).Phase() != layout.SetClosed {
			t.Fatal("not closed")
		}
		if err := joinSet(&s, a, 5); !errors.Is(err, ErrGone) {
			t.Fatalf("joined what is over: %v", err)
		}
		if _, held := look(&s, 0, 5); held {
			t.Fatal("somebody is still in it")
		}
	})
	t.Run("died with the last one", func(t *testing.T) {
		var s layout.Set
		resetSet(&s, a, 5)
		if !leaveSet(&s, a, 5, died, always, never) || state(&s).Phase() != layout.SetDied || state(&s).Member() != a {
			t.Fatalf("%x", state(&s))
		}
		if !leaveSet(&s, b, 5, left, always, never) || state(&s).Member() != a {
			t.Fatal("ended a second time")
		}
	})
	t.Run("left half-way", func(t *testing.T) {
		var s layout.Set
		resetSet(&s, a, 5)
		s.Word[0].Store(0) // a's leaver was killed here
		if !leaveSet(&s, b, 5, left, always, never) || state(&s).Phase() != layout.SetClosed {
			t.Fatal("an open set without holders was left open")
		}
	})
	t.Run("left half-way by a dead one", func(t *testing.T) {
		var s layout.Set
		resetSet(&s, a, 5)
		if err := joinSet(&s, b, 5); err != nil {
			t.Fatal(err)
		}
		// While b's leaver looked at a, a's was killed between telling how it goes and looking again.
		s.State.Store(uint64(layout.MakeSetState(layout.SetOpen, a, state(&s).Version()+1)))
		clearWord(&s, layout.HoldWord(a, 5))
		clearWord(&s, layout.HoldWord(b, 5))
		if c := layout.MakeMember(3, 1); !leaveSet(&s, c, 5, died, always, never) {
			t.Fatal("an open set without holders was left open")
		}
		if st := state(&s); st.Phase() != layout.SetDied || st.Member() != a {
			t.Fatalf("it died of %v, who was not in it or not the last", st.Member())
		}
	})
	t.Run("ended by who is not in it, for the first object of a place", func(t *testing.T) {
		var s layout.Set
		s.State.Store(uint64(layout.MakeSetState(layout.SetOpen, a, 1)))
		if !leaveSet(&s, 0, 0, left, always, never) || state(&s).Phase() != layout.SetDied || state(&s).Member() != a {
			t.Fatalf("it ended as %x", state(&s))
		}
	})
	t.Run("passed on, and the one that took it died", func(t *testing.T) {
		var s layout.Set
		resetSet(&s, a, 5)
		if err := joinSet(&s, b, 5); err != nil {
			t.Fatal(err)
		}
		leaveSet(&s, b, 5, died, always, never)
		if !leaveSet(&s, a, 5, passedOn, always, never) || state(&s).Phase() != layout.SetDied || state(&s).Member() != b {
			t.Fatalf("it ended as %x", state(&s))
		}
	})
	t.Run("words of earlier objects are void", func(t *testing.T) {
		var s layout.Set
		for k := range s.Word {
			s.Word[k].Store(layout.HoldWord(b, 4))
		}
		resetSet(&s, a, 5)
		s.Word[7].Store(layout.HoldWord(b, 4)) // a late joiner
		if err := joinSet(&s, b, 5); err != nil {
			t.Fatal(err)
		}
		leaveSet(&s, b, 5, left, always, never)
		if !leaveSet(&s, a, 5, left, always, never) {
			t.Fatal("held by a word of another object")
		}
		forgetLate(&s, b, 5)
		if s.Word[7].Load() != 0 {
			t.Fatal("what a dead late joiner left takes a place for ever")
		}
	})
	t.Run("a late joiner takes no place of the next object's holders", func(t *testing.T) {
		var s layout.Set
		resetSet(&s, a, 5)
		s.State.Store(uint64(layout.MakeSetState(layout.SetOpen, a, 7)))
		if err := joinSet(&s, b, 4); err != nil { // who finds out afterwards that it is another object
			t.Fatal(err)
		}
		if st := state(&s); st.Member() != a || st.Version() != 8 {
			t.Fatalf("how the last one went is forgotten: %x", st)
		}
		if in, _ := look(&s, layout.HoldWord(a, 5), 5); !in {
			t.Fatal("the holder's word was overwritten")
		}
	})
	t.Run("the next object's set is not ended for the last one's sake", func(t *testing.T) {
		var s layout.Set
		resetSet(&s, a, 5)
		if !leaveSet(&s, b, 4, died, never, never) {
			t.Fatal("the object is another by now, and its set not over")
		}
		if state(&s).Phase() != layout.SetOpen {
			t.Fatal("the set of another object was ended")
		}
	})
	t.Run("full", func(t *testing.T) {
		var s layout.Set
		resetSet(&s, a, 5)
		for i := 2; i <= layout.Holds; i++ {
			if err := joinSet(&s, layout.MakeMember(i, 1), 5); err != nil {
				t.Fatal(err)
			}
		}
		if err := joinSet(&s, layout.MakeMember(500, 1), 5); !errors.Is(err, ErrTooMany) {
			t.Fatal(err)
		}
	})
}

// Many come and go at once; whoever has joined finds the set open until it leaves.
func TestJoiningAndLeavingAtOnce(t *testing.T) {
	for range 300 {
		var s layout.Set
		first := layout.MakeMember(1, 1)
		resetSet(&s, first, 9)
		var wg sync.WaitGroup
		for i := range 4 {
			m := layout.MakeMember(i+2, 1)
			wg.Go(func() {
				for range rand.IntN(4) {
					if joinSet(&s, m, 9) != nil {
						return
					}
					if layout.SetState(s.State.Load()).Phase() != layout.SetOpen {
						t.Error("joined, and it is over")
					}
					leaveSet(&s, m, 9, departure(rand.IntN(3)), always, never)
				}
			})
		}
		wg.Go(func() { leaveSet(&s, first, 9, left, always, never) })
		wg.Wait()
		if _, held := look(&s, 0, 9); layout.SetState(s.State.Load()).Phase() == layout.SetOpen || held {
			t.Fatal("everyone has left, and it is not over")
		}
	}
}

func TestAnObjectIsFreedWithItsLastSetAndItsPartsWithIt(t *testing.T) {
	sp := openSpace(t, "parts")
	s := sp.s
	o, err := sp.NewObject(testObject(10_000))
	if err != nil {
		t.Fatal(err)
	}
	other := o.At(1)
	lane := view[layout.Conn](o.Header, 0)
	for k := range 3 {
		b, err := o.NewPart(20_000)
		if err != nil {
			t.Fatal(err)
		}
		lane.Lane[1].Big[k].Store(uint64(b.Ref))
		o.HandOver(b, laneOffset(1))
		if _, err := o.Part(b.Ref, laneOffset(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Part(b.Ref, laneOffset(0)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("a part of another lane: %v", err)
		}
	}
	h := o.Handle()
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatalf("second close: %v", err)
	}
	if used(t, s) != 5 {
		t.Fatal("freed while its other set is held")
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if n := used(t, s); n != 0 {
		t.Fatalf("%d blocks are left", n)
	}
	if _, err := h.Open(layout.KindConn); !errors.Is(err, ErrGone) {
		t.Fatal(err)
	}
	// The place becomes another object; the old handle does not lead there.
	for range 200 {
		o, err := sp.NewObject(testObject(0))
		if err != nil {
			t.Fatal(err)
		}
		if o.Handle().Ref == h.Ref {
			if _, err := h.Open(layout.KindConn); !errors.Is(err, ErrGone) {
				t.Fatal(err)
			}
		}
		o.Close()
	}
}
