package shm

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tandem-ipc/tandem/internal/layout"
)

func TestASetEndsOnceAndSaysHow(t *testing.T) {
	a, b := layout.MakeMember(1, 1), layout.MakeMember(2, 1)
	state := func(s *layout.Set) layout.SetState { return layout.SetState(s.State.Load()) }
	t.Run("closed by the last one", func(t *testing.T) {
		var s layout.Set
		resetSet(&s, a, 5)
		if err := joinSet(&s, b, 5); err != nil {
			t.Fatal(err)
		}
		if leaveSet(&s, a, 5, true) || state(&s).Phase() != layout.SetOpen {
			t.Fatal("over while b holds it")
		}
		if !leaveSet(&s, b, 5, false) || state(&s).Phase() != layout.SetClosed {
			t.Fatal("not closed")
		}
		if err := joinSet(&s, a, 5); !errors.Is(err, ErrGone) {
			t.Fatalf("joined what is over: %v", err)
		}
		if heldBy(&s, 0, 5) {
			t.Fatal("somebody is still in it")
		}
	})
	t.Run("died with the last one", func(t *testing.T) {
		var s layout.Set
		resetSet(&s, a, 5)
		if !leaveSet(&s, a, 5, true) || state(&s).Phase() != layout.SetDied || state(&s).Member() != a {
			t.Fatalf("%x", state(&s))
		}
		if !leaveSet(&s, b, 5, false) || state(&s).Member() != a {
			t.Fatal("ended a second time")
		}
	})
	t.Run("left half-way", func(t *testing.T) {
		var s layout.Set
		resetSet(&s, a, 5)
		s.Word[0].Store(0) // a's leaver was killed here
		if !leaveSet(&s, b, 5, false) || state(&s).Phase() != layout.SetClosed {
			t.Fatal("an open set without holders was left open")
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
		leaveSet(&s, b, 5, false)
		if !leaveSet(&s, a, 5, false) {
			t.Fatal("held by a word of another object")
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
					leaveSet(&s, m, 9, rand.IntN(2) == 0)
				}
			})
		}
		wg.Go(func() { leaveSet(&s, first, 9, false) })
		wg.Wait()
		if layout.SetState(s.State.Load()).Phase() == layout.SetOpen || heldBy(&s, 0, 9) {
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

// A part that no lane names belongs to a producer that died between freeing and unnaming, or the other way round.
func TestStrayPartsAreCollected(t *testing.T) {
	sp := openSpace(t, "stray")
	s := sp.s
	o, err := sp.NewObject(testObject(0))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	named, _ := o.NewPart(5000)
	stray, _ := o.NewPart(5000)
	view[layout.Conn](o.Header, 0).Lane[0].Big[3].Store(uint64(named.Ref))
	o.HandOver(named, laneOffset(0))
	o.HandOver(stray, laneOffset(0))
	dead := layout.MakeMember(2, 1)
	s.slots[2].Store(uint64(layout.MakeSlotWord(layout.SlotDead, 1)))
	if err := s.settle(dead); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Part(named.Ref, laneOffset(0)); err != nil {
		t.Error("a named part was taken:", err)
	}
	if _, err := o.Part(stray.Ref, laneOffset(0)); err == nil {
		t.Error("a stray part stays")
	}
}
