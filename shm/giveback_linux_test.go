package shm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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

func TestTheMemoryOfABurstGoesBackAndIsReservedAgain(t *testing.T) {
	sp := openSpace(t, "burst", Limit(1<<30))
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
		return
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
	if n := sp.s.giveBackFree(g, idle, never); n != free || free > int64(g.units)<<g.shift-3<<20 {
		t.Fatalf("%d bytes were given back, %d had been free all the time", n, free)
	}
	if n := sp.s.giveBackFree(g, g.words(), never); n < 3<<20 {
		t.Fatalf("%d bytes of what was idle then were given back", n)
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
