package shm

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// used counts what is not free, slabs by their blocks.
func used(t *testing.T, s *space) (n int) {
	t.Helper()
	if err := s.blocks(func(found, layout.Word) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRandomAllocationsNeverOverlapAndAllComeBack(t *testing.T) {
	sp := openSpace(t, "random")
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			type piece struct {
				b    Block
				mark byte
			}
			var mine []piece
			for i := range 3000 {
				if len(mine) > 0 && r.IntN(2) == 0 {
					k := r.IntN(len(mine))
					p := mine[k]
					if n := bytes.Count(p.b.Bytes, []byte{p.mark}); n != len(p.b.Bytes) {
						t.Errorf("%d of %d bytes of a block were changed by another", len(p.b.Bytes)-n, len(p.b.Bytes))
						return
					}
					sp.s.discard(p.b)
					mine[k] = mine[len(mine)-1]
					mine = mine[:len(mine)-1]
					continue
				}
				size := int64(1) << r.IntN(18)
				size += r.Int64N(size)
				b, err := sp.s.alloc(size)
				if err != nil {
					t.Error(err)
					return
				}
				if int64(len(b.Bytes)) < size || bytes.Count(b.Bytes, []byte{0}) != len(b.Bytes) {
					t.Errorf("%d bytes for %d, or not zero", len(b.Bytes), size)
					return
				}
				p := piece{b, byte(1 + (seed*50+uint64(i))%250)}
				for j := range b.Bytes {
					b.Bytes[j] = p.mark
				}
				mine = append(mine, p)
			}
			for _, p := range mine {
				sp.s.discard(p.b)
			}
		})
	}
	wg.Wait()
	if n := used(t, sp.s); n != 0 {
		t.Fatalf("%d blocks are still in use", n)
	}
	if err := sp.Check(); err != nil {
		t.Error(err)
	}
}

// A dead member's blocks come back, whoever and however many settle it.
func TestManySettleTheSameDeadMember(t *testing.T) {
	sp := openSpace(t, "settlers")
	s := sp.s
	g := s.segs[0].Load()
	for round := range 50 {
		dead := layout.MakeMember(2, round+1)
		alive, err := reopen(s.probe, "")
		if err != nil {
			t.Fatal(err)
		}
		defer alive.Close()
		if ok, err := tryLock(alive, writeLock, layout.LockSlot+2); !ok || err != nil {
			t.Fatal(ok, err)
		}
		s.slots[2].Store(uint64(layout.MakeSlotWord(layout.SlotLive, dead.Gen())))
		// Blocks in every state that a kill can leave.
		var first []int
		for _, n := range []int{1, 2, 7, 30} {
			r, ok := s.claim(g, n, dead, true, new(claim)) // what was claimed by the dead of an earlier round is HOLED
			if !ok {
				t.Fatal("no room")
			}
			r.own()
			first = append(first, r.first)
		}
		reword := func(i, state int) {
			w := layout.Word(g.entries[i].Word.Load())
			g.entries[i].Word.Store(uint64(w.To(state, dead)))
		}
		reword(first[1], layout.Claim)
		reword(first[2], layout.Freeing)
		// One that was being claimed: some followers are missing; one that was being given back: likewise.
		last := &g.entries[first[3]+29].Word
		last.Store(uint64(layout.Word(last.Load()).Freed()))
		keep, err := s.alloc(5000) // ours
		if err != nil {
			t.Fatal(err)
		}
		s.slots[2].Store(uint64(layout.MakeSlotWord(layout.SlotDead, dead.Gen())))
		alive.Close()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := s.settle(dead); err != nil {
					t.Error(err)
				}
			})
		}
		// Meanwhile others use the memory that comes back.
		wg.Go(func() {
			for range 200 {
				b, err := s.alloc(9000)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range b.Bytes {
					b.Bytes[i] = 1
				}
				if bytes.Count(b.Bytes, []byte{1}) != len(b.Bytes) {
					t.Error("a block of ours was used by another")
				}
				s.discard(b)
			}
		})
		wg.Wait()
		if w := s.slot(2); w.State() != layout.SlotClean || !w.Died() {
			t.Fatalf("slot word %x", w)
		}
		if n := used(t, s); n != 1 {
			t.Fatalf("round %d: %d blocks in use, want our own", round, n)
		}
		if err := sp.Check(); err != nil {
			t.Error(err)
		}
		s.discard(keep)
	}
}

func TestFindRefusesRefsThatLeadNowhere(t *testing.T) {
	sp := openSpace(t, "refs")
	s := sp.s
	small, err := s.alloc(100)
	if err != nil {
		t.Fatal(err)
	}
	large, err := s.alloc(50_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []Block{small, large} {
		f, err := s.find(b.Ref)
		if err != nil || &f.bytes[0] != &b.Bytes[0] {
			t.Errorf("%v: %v", b.Ref, err)
		}
	}
	for _, r := range []Ref{
		0, 1, layout.MakeRef(0, small.Ref.Offset()+1), layout.MakeRef(0, small.Ref.Offset()-64),
		layout.MakeRef(0, large.Ref.Offset()+4096), layout.MakeRef(0, layout.RootHeap-1), layout.MakeRef(0, 1<<47),
		layout.MakeRef(1, layout.GrowthHeap), layout.MakeRef(65535, 0), ^Ref(0),
	} {
		if _, err := s.find(r); err == nil {
			t.Errorf("ref %v leads somewhere", r)
		}
	}
}

func TestABlockLargerThanASegmentGetsOneOfItsOwn(t *testing.T) {
	sp := openSpace(t, "large", Limit(1<<30))
	for i, size := range []int64{1 << 20, 70 << 20, 80<<20 + 12345} {
		b, err := sp.s.alloc(size)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(b.Bytes)) < size || b.Ref.Segment() != i {
			t.Fatalf("%d bytes at %v", len(b.Bytes), b.Ref)
		}
		b.Bytes[size-1] = 1
		sp.s.discard(b)
	}
	// What came back is used again before the Space grows.
	b, err := sp.s.alloc(68 << 20)
	if err != nil || b.Ref.Segment() != 1 {
		t.Fatalf("%v, %v", b.Ref, err)
	}
}

func TestTheTableOfSegmentsGrowsOnceWhenManyGrow(t *testing.T) {
	sp := openSpace(t, "growers")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if _, err := sp.s.alloc(100 << 10); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	st, err := sp.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if got, grown := st.Segments-1, len(files(t))-1; got != grown {
		t.Fatalf("%d grown segments in the table, %d files", got, grown)
	}
}

func BenchmarkAlloc(b *testing.B) {
	sp, err := OpenSpace("bench")
	if err != nil {
		b.Fatal(err)
	}
	defer sp.Close()
	for _, size := range []int64{64, 2048, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for b.Loop() {
				x, err := sp.s.alloc(size)
				if err != nil {
					b.Fatal(err)
				}
				sp.s.discard(x)
			}
		})
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	sp := openSpace(t, "check")
	s := sp.s
	o := newObject(t, sp)
	part, err := o.NewPart(9000)
	if err != nil {
		t.Fatal(err)
	}
	if err := sp.Check(); err != nil {
		t.Fatal(err)
	}
	f, err := s.find(part.Ref)
	if err != nil {
		t.Fatal(err)
	}
	word := &f.entry.Word
	good := word.Load()
	follower := &f.g.entries[f.unit+1].Word
	set := o.Set(0)
	for name, damage := range map[string]func() (undo func()){
		"owner is gone": func() func() {
			word.Store(uint64(layout.Word(good).To(layout.Owned, layout.MakeMember(7, 3))))
			return nil
		},
		"stray part": func() func() {
			f.entry.Aux.Store(uint64(o.at(laneOffset(0))))
			word.Store(uint64(layout.Word(good).To(layout.Part, 0)))
			return nil
		},
		"part of nothing": func() func() {
			f.entry.Aux.Store(uint64(part.Ref))
			word.Store(uint64(layout.Word(good).To(layout.Part, 0)))
			return nil
		},
		"in passing": func() func() { word.Store(uint64(layout.Word(good).To(layout.Claim, s.self))); return nil },
		"no start": func() func() {
			word.Store(uint64(layout.Word(good).Freed()))
			return nil
		},
		"a gap": func() func() {
			was := follower.Load()
			follower.Store(uint64(layout.Word(was).Freed()))
			return func() { follower.Store(was) }
		},
		"nobody holds it": func() func() {
			was := set.Word[0].Load()
			set.Word[0].Store(0)
			return func() { set.Word[0].Store(was) }
		},
		"over": func() func() {
			was := set.State.Load()
			set.State.Store(uint64(layout.MakeSetState(layout.SetClosed, 0, 1)))
			return func() { set.State.Store(was) }
		},
	} {
		undo := damage()
		if err := sp.Check(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		word.Store(good)
		if undo != nil {
			undo()
		}
	}
	if err := sp.Check(); err != nil {
		t.Fatal(err)
	}
	o.Discard(part)
}
