package trace

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStopStopsEveryThreadAndResumeLetsThemFinish(t *testing.T) {
	path := newRegion(t, regionSize)
	w, mem, err := openWords(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	tr := newTracer(t)
	rec := record(t, tr, "threads", path, Options{})
	points := slices.DeleteFunc(rec.Points, func(p Point) bool { return p.Kind != Store })
	counters := func() (n [3]uint64) {
		for i := range n {
			n[i] = w[100+i].Load()
		}
		return n
	}
	for range 10 {
		w[0].Store(0)
		w[1].Store(0)
		v := start(t, tr, "threads", path)
		if err := v.RunTo(guardContext(t), points[0]); err != nil {
			t.Fatal(err)
		}
		if err := v.Stop(guardContext(t)); err != nil {
			t.Fatal(err)
		}
		before := counters()
		if still, err := allStopped(v.PID()); !still || err != nil {
			t.Errorf("threads can run: %v", err)
		}
		time.Sleep(5 * time.Millisecond) // time in which a thread that could run would
		if after := counters(); after != before {
			t.Errorf("others went on: %v, %v", before, after)
		}
		if w[0].Load() != 1 || w[1].Load() != 0 {
			t.Errorf("stands at %d, %d", w[0].Load(), w[1].Load())
		}
		if err := v.Resume(guardContext(t)); err != nil {
			t.Fatal(err)
		}
		if w[1].Load() != 1 {
			t.Error("resumed, but not finished")
		}
		for limit := time.Now().Add(guardTime); counters() == before; {
			if time.Now().After(limit) {
				t.Fatal("other threads do not run again")
			}
		}
		if err := v.Detach(); err != nil {
			t.Fatal(err)
		}
		if ws, err := v.Wait(guardContext(t)); err != nil || ws.ExitStatus() != 0 {
			t.Errorf("%v, %v", ws, err)
		}
	}
}

func TestAStoppedVictimIsKilledLikeAnyOther(t *testing.T) {
	v := start(t, newTracer(t), "threads", newRegion(t, regionSize))
	if err := v.Stop(guardContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := v.Kill(); err != nil {
		t.Fatal(err)
	}
	requireGone(t, v.PID())
}

func TestADetachedStoppedVictimRunsOn(t *testing.T) {
	path := newRegion(t, regionSize)
	v := start(t, newTracer(t), "five", path)
	if err := v.Stop(guardContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := v.Detach(); err != nil {
		t.Fatal(err)
	}
	if ws, err := v.Wait(guardContext(t)); err != nil || ws.ExitStatus() != 0 {
		t.Errorf("%v, %v", ws, err)
	}
	if got := contents(t, path, 40); got[32] != 5 {
		t.Errorf("not finished: %x", got)
	}
}

// The lock lives in the mapping, the descriptor is closed, and 64 MiB have to be torn down first.
func TestKillReturnsWhenTheMappingsAreGone(t *testing.T) {
	path := newRegion(t, regionSize)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lock := func() error {
		lk := unix.Flock_t{Type: unix.F_WRLCK, Start: 1 << 30, Len: 1}
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lk)
	}
	unlock := func() {
		unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK, Start: 1 << 30, Len: 1})
	}
	tr := newTracer(t)
	for range 5 {
		v := start(t, tr, "lock", path)
		if err := lock(); err == nil {
			t.Fatal("the victim does not hold the lock")
		}
		if err := v.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := lock(); err != nil {
			t.Errorf("the mapping's lock outlives Kill: %v", err)
		}
		unlock()
	}
}
