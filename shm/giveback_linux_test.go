package shm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/roles"
)

func init() {
	// refill gives memory back on a small file system, fills that with something else, and needs the memory again.
	parts["refill"] = func(p *roles.Peer, args []string) {
		p.Must(unix.Mount("tmpfs", args[0], "tmpfs", 0, "size=32m"))
		os.Setenv(EnvDir, args[0])
		sp, err := OpenSpace("refill", Limit(1<<30))
		p.Must(err)
		b, err := sp.s.alloc(20 << 20)
		p.Must(err)
		fillWith(b.Bytes, 1)
		sp.s.discard(b)
		n, err := sp.Trim()
		p.Must(err)
		p.Say("trimmed %d", n>>20)
		other, err := os.Create(filepath.Join(args[0], "other"))
		p.Must(err)
		size := int64(32 << 20)
		for ; reserve(other, 0, size) != nil; size -= 64 << 10 {
		}
		for range 3 {
			if _, err = sp.s.alloc(20 << 20); err == nil || !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "bytes free") {
				break
			}
		}
		p.Say("full: %v", err)
		p.Must(sp.Check())
		p.Must(errors.Join(other.Close(), os.Remove(other.Name())))
		b, err = sp.s.alloc(20 << 20)
		p.Must(err)
		p.Say("again %v", bytes.Count(b.Bytes, []byte{0}) == len(b.Bytes) && b.Ref.Segment() == 1)
		p.Must(Exit())
		p.Must(unix.Unmount(args[0], 0))
	}
	// trimmer gives back all the time.
	parts["trimmer"] = func(p *roles.Peer, args []string) {
		sp, err := OpenSpace(args[0])
		p.Must(err)
		_, err = sp.Trim()
		p.Must(err)
		go p.Hear() // it ends with the test
		for p.Say("trims"); err == nil; {
			_, err = sp.Trim()
		}
		p.Must(err)
	}
	// burster uses much memory and gives it back, or dies with it.
	parts["burster"] = func(p *roles.Peer, args []string) {
		sp, err := OpenSpace(args[0])
		p.Must(err)
		b, err := sp.s.alloc(30 << 20)
		p.Must(err)
		fillWith(b.Bytes, 1)
		p.Say("full")
		if p.Hear() == "leave" {
			p.Must(Exit())
			p.Say("left")
			p.Hear()
		}
	}
}

func fillWith(b []byte, c byte) {
	for i := range b {
		b[i] = c
	}
}

// inMemory is what the files of all Spaces take, as the system says.
func inMemory(t *testing.T) (total int64) {
	t.Helper()
	for _, name := range files(t) {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(directory(), prefix()+name), &st); err != nil {
			t.Fatal(err)
		}
		total += st.Blocks * 512
	}
	return total
}

// holdGiver lets nothing be given back that the test does not give back itself.
func holdGiver(t *testing.T, sp *Space) {
	t.Helper()
	eventually(t, "nobody gives back", func() bool { return sp.s.poll.giving.CompareAndSwap(false, true) })
}

func TestTheMemoryOfABurstGoesBackAndIsReservedAgain(t *testing.T) {
	sp := openSpace(t, "burst", Limit(1<<30))
	holdGiver(t, sp)
	base := inMemory(t)
	for round := range 2 {
		var all []Block
		for range 60 {
			b, err := sp.s.alloc(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Count(b.Bytes, []byte{0}) != len(b.Bytes) {
				t.Fatal("a new block is not zero")
			}
			fillWith(b.Bytes, 0xb5)
			all = append(all, b)
		}
		if got := inMemory(t); got < base+59<<20 { // the first one lies in the root
			t.Fatalf("round %d: %d bytes in memory with 60 MiB in use, %d before: not all is reserved", round, got, base)
		}
		keep := all[30] // one in the middle stays
		for _, b := range all {
			if b.Ref != keep.Ref {
				sp.s.discard(b)
			}
		}
		before := inMemory(t)
		n, err := sp.Trim()
		if err != nil || n < 55<<20 {
			t.Fatalf("%d bytes given back, %v", n, err)
		}
		if got := before - inMemory(t); got != n {
			t.Errorf("%d bytes were given back, Trim says %d", got, n)
		}
		if bytes.Count(keep.Bytes, []byte{0xb5}) != len(keep.Bytes) {
			t.Fatal("a block in use was punched")
		}
		st, err := sp.Stats()
		if err != nil || st.Returned < n || st.Returned > st.Size {
			t.Errorf("%+v, %v", st, err)
		}
		if err := sp.Check(); err != nil {
			t.Fatal(err)
		}
		sp.s.discard(keep)
	}
}

// Nobody has to ask, whether the memory was given back by the living, by one who has left, or by one who was killed.
func TestUnusedMemoryGoesBackByItself(t *testing.T) {
	if feature.Poller.Off() {
		t.Skip("without the poller nobody looks for idle memory")
	}
	sp := openSpace(t, "idle", Limit(1<<30))
	base := inMemory(t)
	leaver, victim := roles.Start(t, "burster", "idle"), roles.Start(t, "burster", "idle")
	leaver.Expect("full")
	victim.Expect("full")
	b, err := sp.s.alloc(30 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if got := inMemory(t); got < base+90<<20 {
		t.Fatalf("only %d bytes in memory", got)
	}
	sp.s.discard(b)
	leaver.Ask("leave")
	victim.Kill()
	eventually(t, "the memory is back", func() bool { return inMemory(t) < base+1<<20 })
	eventually(t, "nobody gives back any more", func() bool { return sp.Check() == nil })
}

// Memory that is in use again and again stays.
func TestMemoryInUseNowAndThenStays(t *testing.T) {
	sp := openSpace(t, "busy", Limit(1<<30))
	holdGiver(t, sp)
	first, err := sp.s.alloc(3 << 20)
	if err != nil {
		t.Fatal(err)
	}
	g, err := sp.s.segment(first.Ref.Segment())
	if err != nil {
		t.Fatal(err)
	}
	sp.s.discard(first)
	idle := g.words()
	// Used between two looks: the words are FREE again, with another sequence number.
	again, err := sp.s.alloc(3 << 20)
	if err != nil || again.Ref != first.Ref {
		t.Fatalf("%v, %v", again.Ref, err)
	}
	sp.s.discard(again)
	never := func() bool { return false }
	free := int64(0)
	for i, w := range g.words() {
		if w == idle[i] {
			free += 1 << g.shift
		}
	}
	if n, _ := sp.s.giveBackFree(g, idle, never); n != free || free > int64(g.units)<<g.shift-3<<20 {
		t.Fatalf("%d bytes were given back, %d had been free all the time", n, free)
	}
	if n, _ := sp.s.giveBackFree(g, g.words(), never); n < 3<<20 {
		t.Fatalf("%d bytes of what was idle then were given back", n)
	}
}

// Who needs all the memory there may be gets it, whoever gives it back at that moment.
func TestGivingBackMakesNobodyFail(t *testing.T) {
	const size = 30 << 20
	sp := openSpace(t, "tight", Limit(40<<20))
	stop := make(chan struct{})
	var trimmer sync.WaitGroup
	trimmer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := sp.Trim(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 20 {
		b, err := sp.s.alloc(size)
		if err != nil {
			t.Error(err)
			break
		}
		sp.s.discard(b)
	}
	close(stop)
	trimmer.Wait()
	if st, err := sp.Stats(); err != nil || st.Segments != 2 {
		t.Errorf("%+v, %v: it was grown in vain", st, err)
	}
	if err := sp.Check(); err != nil {
		t.Fatal(err)
	}
}

// One who is stopped while it gives back keeps a megabyte, and is waited for once.
func TestAStoppedGiverKeepsLittleAndIsWaitedForOnce(t *testing.T) {
	const size = 16 << 20
	sp := openSpace(t, "stopped", Limit(25<<20))
	holdGiver(t, sp)
	b, err := sp.s.alloc(size)
	if err != nil {
		t.Fatal(err)
	}
	g, err := sp.s.segment(b.Ref.Segment())
	if err != nil {
		t.Fatal(err)
	}
	claimed := func() (units int64) {
		for i := range g.entries {
			if w := layout.Word(g.entries[i].Word.Load()); w.State() == layout.Claim {
				units += int64(g.length(i))
			}
		}
		return units
	}
	p := roles.Start(t, "trimmer", "stopped")
	p.Expect("trims")
	eventually(t, "it is stopped while it gives back", func() bool {
		sp.s.discard(b)
		for range 1000 {
			if claimed() > 0 {
				break
			}
		}
		p.Stop()
		if claimed() > 0 {
			return true
		}
		p.Signal(unix.SIGCONT)
		if b, err = sp.s.alloc(size); err != nil {
			t.Fatal(err)
		}
		return false
	})
	if n := claimed() << g.shift; n > 1<<20 {
		t.Errorf("it has %d bytes", n)
	}
	small, err := sp.s.alloc(size / 4)
	if err != nil {
		t.Fatal(err)
	}
	sp.s.discard(small)
	asked := uint32(0)
	for k := range 3 {
		if _, err := sp.s.alloc(size); !errors.Is(err, ErrNoSpace) {
			t.Fatalf("%v beside a claim", err)
		}
		if n := sp.s.root.Wanted.Load(); k == 0 {
			asked = n
		} else if n != asked {
			t.Errorf("try %d: waited again for who is stopped", k)
		}
	}
	p.Signal(unix.SIGCONT)
	eventually(t, "all of it can be used again", func() bool {
		b, err := sp.s.alloc(size)
		if err == nil {
			sp.s.discard(b)
		}
		return err == nil
	})
}

// Of many members one looks for what another has left; and one does, whoever comes and goes.
func TestEveryMemberIsInheritedFrom(t *testing.T) {
	member := func(slot int) Member { return layout.MakeMember(slot, 1) }
	slots := func(live ...int) []layout.SlotWord {
		all := make([]layout.SlotWord, layout.Slots+1)
		for _, slot := range live {
			all[slot] = layout.MakeSlotWord(layout.SlotLive, 1)
		}
		return all
	}
	reused := slots(1, 7)
	reused[4] = layout.MakeSlotWord(layout.SlotLive, 2)
	for _, c := range []struct {
		what        string
		before, now []layout.SlotWord
		heirs       []int
	}{
		{"the next one", slots(1, 4, 7), slots(1, 7), []int{7}},
		{"around the end", slots(1, 4, 7), slots(1, 4), []int{1}},
		{"the last", slots(1, 4), slots(4), []int{4}},
		{"two", slots(1, 4, 6, 9), slots(1, 9), []int{9}},
		{"one has come between", slots(1, 4, 7), slots(1, 5, 7), []int{7}},
		{"the slot is another's", slots(1, 4, 7), reused, []int{7}},
		{"nobody", slots(1, 4, 7), slots(1, 4, 5, 7), nil},
	} {
		var heirs []int
		for slot, w := range c.now {
			if w.State() == layout.SlotLive && c.before[slot] == w && inherits(member(slot), c.before, c.now) {
				heirs = append(heirs, slot)
			}
		}
		if !slices.Equal(heirs, c.heirs) {
			t.Errorf("%s: %v inherit, want %v", c.what, heirs, c.heirs)
		}
	}
}

// What the system refuses to take back is not counted as returned, and given out without a fault.
func TestMemoryThatCannotBeGivenBackStays(t *testing.T) {
	sp := openSpace(t, "locked", Limit(1<<30))
	holdGiver(t, sp)
	b, err := sp.s.alloc(3 << 20)
	if err != nil {
		t.Fatal(err)
	}
	locked := b.Bytes[1<<20:][: 64<<10 : 64<<10] // so that the kernel takes what lies before it, and then refuses
	if err := unix.Mlock(locked); err != nil {
		t.Fatal(err)
	}
	defer unix.Munlock(locked)
	sp.s.discard(b)
	if _, err := sp.Trim(); err != nil {
		t.Fatal(err)
	}
	before := inMemory(t)
	st, err := sp.Stats()
	if err != nil || st.Size-st.Returned > before {
		t.Errorf("%d bytes returned of %d, %d in memory, %v", st.Returned, st.Size, before, err)
	}
	g, err := sp.s.segment(b.Ref.Segment())
	if err != nil {
		t.Fatal(err)
	}
	for i := range g.entries {
		if w := layout.Word(g.entries[i].Word.Load()); w.State() == layout.Holed && g.unit(i) >= b.Ref.Offset()+1<<20 {
			t.Fatalf("unit %d counts as returned", i)
		}
	}
	if err := sp.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutMemoryAnAllocationFailsAndNothingFaults(t *testing.T) {
	for _, off := range []feature.Feature{"", feature.Populate} {
		t.Run("without "+string(off), func(t *testing.T) {
			env := []string{"TANDEM_DISABLE=" + os.Getenv("TANDEM_DISABLE") + "," + string(off)}
			p := roles.StartAs(t, env, inNamespaces(t), "refill", t.TempDir())
			var n int
			if _, err := fmt.Sscanf(p.Hear(), "trimmed %d", &n); err != nil || n < 20 {
				t.Fatalf("%d MiB were given back, %v", n, err)
			}
			if line := p.Hear(); !strings.Contains(line, ErrNoSpace.Error()) || !strings.Contains(line, "of 33554432 bytes free") {
				t.Fatal(line)
			}
			p.Expect("again true")
			if code := p.Wait(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
		})
	}
}

// Whoever gives memory back does so beside those who use it.
func TestGivingBackHarmsNobody(t *testing.T) {
	sp := openSpace(t, "beside", Limit(1<<30))
	stop := make(chan struct{})
	var trimmers, users sync.WaitGroup
	for range 2 {
		trimmers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := sp.Trim(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for u := range 3 {
		users.Go(func() {
			for i := range 60 {
				b, err := sp.s.alloc(int64(i%5+1) * 300_000)
				if err != nil {
					t.Error(err)
					return
				}
				if bytes.Count(b.Bytes, []byte{0}) != len(b.Bytes) {
					t.Error("a new block is not zero")
				}
				fillWith(b.Bytes, byte(u+1))
				runtime.Gosched()
				if bytes.Count(b.Bytes, []byte{byte(u + 1)}) != len(b.Bytes) {
					t.Error("a block in use was punched")
				}
				sp.s.discard(b)
			}
		})
	}
	users.Wait()
	close(stop)
	trimmers.Wait()
	if err := sp.Check(); err != nil {
		t.Fatal(err)
	}
}

// Who is about to wake the waiters of an object keeps its memory, though all its holders are gone; and frees it then.
func TestWhoWakesTheLastWaitersFreesWhatOthersHadToLeave(t *testing.T) {
	sp := openSpace(t, "rouse")
	o := newObject(t, sp)
	word := &sp.s.page.Hazard[layout.HazardRouse]
	word.Store(uint64(o.ref))
	if err := o.leave(left); err != nil { // its own waking clears the word, so the object goes
		t.Fatal(err)
	}
	if st := layout.Word(o.entry.Word.Load()); st.State() != layout.Free {
		t.Fatalf("%v", st)
	}
	o = newObject(t, sp)
	owned := layout.Word(o.entry.Word.Load())
	freeing := owned.To(layout.Freeing, sp.s.self)
	word.Store(uint64(o.ref))
	o.entry.Word.Store(uint64(freeing))
	if err := sp.s.finishFree(o.ref, o.entry, int64(len(o.Header)), freeing); err != nil {
		t.Fatal(err)
	}
	if st := layout.Word(o.entry.Word.Load()); st != freeing {
		t.Fatalf("freed while somebody wakes its waiters: %v", st)
	}
	if err := sp.s.rouse(o.ref, o.entry, o.seq, o.Header); err != nil {
		t.Fatal(err)
	}
	if st := layout.Word(o.entry.Word.Load()); st.State() != layout.Free {
		t.Fatalf("left to nobody: %v", st)
	}
}

// What giving back costs whoever needs the memory again, and what a burst of 1 GiB leaves: docs/decisions/007-give-back.md.
func BenchmarkGiveBack(b *testing.B) {
	sp, err := OpenSpace("bench", Limit(4<<30))
	if err != nil {
		b.Fatal(err)
	}
	defer sp.Close()
	use := func(b *testing.B, size int64) Block {
		x, err := sp.s.alloc(size)
		if err != nil {
			b.Fatal(err)
		}
		return x
	}
	for use(b, 64<<10).Ref.Segment() == 0 { // until the root is full
	}
	for _, size := range []int64{64 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprint("kept/", size), func(b *testing.B) {
			for b.Loop() {
				sp.s.discard(use(b, size))
			}
		})
		b.Run(fmt.Sprint("given-back/", size), func(b *testing.B) {
			for b.Loop() {
				sp.s.discard(use(b, size))
				if _, err := sp.Trim(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("burst", func(b *testing.B) {
		var st Stats
		for b.Loop() {
			var all []Block
			for range 1024 {
				all = append(all, use(b, 1<<20))
			}
			for _, x := range all {
				sp.s.discard(x)
			}
			if _, err := sp.Trim(); err != nil {
				b.Fatal(err)
			}
			if st, err = sp.Stats(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(st.Size)/(1<<20), "MiB-size")
		b.ReportMetric(float64(st.Size-st.Returned)/(1<<20), "MiB-left")
	})
}
