package trace

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// await polls the file until cond; the victim's progress is the event.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for limit := time.Now().Add(guardTime); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal(what)
		}
	}
}

func TestASignalReachesTheHandlerOfTheTracedThread(t *testing.T) {
	tr := newTracer(t)
	for _, how := range []string{"recorded", "running"} {
		t.Run(how, func(t *testing.T) {
			path := newRegion(t, regionSize)
			w, mem, err := openWords(path)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Munmap(mem)
			v := start(t, tr, "signals", path)
			failed := make(chan error, 1)
			go func() {
				if how == "recorded" {
					_, err := v.Record(guardContext(t), Options{})
					failed <- err
				} else {
					failed <- v.RunToEnd(guardContext(t))
				}
			}()
			await(t, "the victim never asked for its signal", func() bool { return w[8].Load() == 1 })
			if err := unix.Tgkill(v.PID(), v.TID(), syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			if err := <-failed; err != nil {
				t.Fatal(err)
			}
			if w[10].Load() != 1 || w[9].Load() != 1 {
				t.Errorf("%d signals handled", w[9].Load())
			}
			if v.TID() != int(w[7].Load()) {
				t.Errorf("traced thread %d, the operation's is %d", v.TID(), w[7].Load())
			}
		})
	}
}

// asleep says whether the thread is in read.
func asleep(pid, tid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", pid, tid))
	return strings.HasPrefix(string(b), "0 ")
}

func TestASystemCallThatASignalInterruptsIsRestarted(t *testing.T) {
	eachWay(t, anInterruptedCallIsRestarted)
}

func anInterruptedCallIsRestarted(t *testing.T) {
	tr := newTracer(t)
	for _, how := range []string{"recorded", "running", "to its point"} {
		t.Run(how, func(t *testing.T) {
			path := newRegion(t, regionSize)
			w, mem, err := openWords(path)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Munmap(mem)
			var points []Point
			if how == "to its point" {
				w[8].Store(1) // no signal
				points = record(t, tr, "stepwise", path, Options{}).Points
				if len(points) != 3 || !strings.HasPrefix(points[1].Effect, "read = 1") {
					t.Fatalf("%v", points)
				}
				w[8].Store(0)
				w[10].Store(0)
			}
			v := start(t, tr, "stepwise", path)
			type result struct {
				rec *Recording
				err error
			}
			done := make(chan result, 1)
			go func() {
				switch how {
				case "recorded":
					rec, err := v.Record(guardContext(t), Options{})
					done <- result{rec, err}
				case "running":
					done <- result{nil, v.RunToEnd(guardContext(t))}
				default:
					done <- result{nil, v.RunTo(guardContext(t), points[1])}
				}
			}()
			await(t, "the victim never read", func() bool { return asleep(v.PID(), v.TID()) })
			if err := unix.Tgkill(v.PID(), v.TID(), syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			await(t, "the victim does not read again", func() bool { return asleep(v.PID(), v.TID()) })
			w[8].Store(1)
			r := <-done
			if r.err != nil {
				t.Fatal(r.err)
			}
			want := uint64(42)
			if how == "to its point" {
				want = 0 // the store behind the read has not been made
			}
			if w[10].Load() != want {
				t.Errorf("the byte read is %d, want %d", w[10].Load(), want)
			}
			if r.rec != nil {
				if len(r.rec.Points) != 3 || r.rec.Points[1].Effect != "read = 1" {
					t.Errorf("points with a restarted read: %v", r.rec.Points)
				}
			}
		})
	}
}

func TestForksOfOtherThreadsDoNotConfuseTheTracer(t *testing.T) {
	tr := newTracer(t)
	path := newRegion(t, regionSize)
	rec := record(t, tr, "blockedBy", path, Options{})
	if len(rec.Points) < 1 {
		t.Errorf("%v", rec.Points)
	}
	for range 3 {
		clearRegion(t, path)
		v := start(t, tr, "blockedBy", path)
		if err := v.RunToEnd(guardContext(t)); err != nil {
			t.Fatal(err)
		}
		if err := v.Kill(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnOperationMayStartAProcess(t *testing.T) {
	tr := newTracer(t)
	path := newRegion(t, regionSize)
	rec := record(t, tr, "forks", path, Options{})
	last := rec.Points[len(rec.Points)-1]
	cloned := slices.IndexFunc(rec.Points, func(p Point) bool { return strings.HasPrefix(p.Call, "clone") })
	if last.Kind != Store || !strings.Contains(last.Effect, "+0x8]") || cloned < 0 {
		t.Fatalf("%v", rec.Points)
	}
	for _, p := range []Point{rec.Points[cloned], last} {
		clearRegion(t, path)
		if err := killAt(t, tr, "forks", path, p); err != nil {
			t.Errorf("%v: %v", p, err)
		}
	}
}

func TestAVictimThatIsStoppedFromOutsideGoesOnWhenContinued(t *testing.T) {
	path := newRegion(t, regionSize)
	w, mem, err := openWords(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	v := start(t, newTracer(t), "spin", path)
	done := make(chan error, 1)
	go func() { done <- v.RunToEnd(guardContext(t)) }()
	syscall.Kill(v.PID(), syscall.SIGSTOP)
	await(t, "does not stop", func() bool { still, _ := allStopped(v.PID()); return still })
	w[0].Store(1)
	select {
	case err := <-done:
		t.Errorf("ended while stopped: %v", err)
	case <-time.After(20 * time.Millisecond): // time in which one that could run would
	}
	syscall.Kill(v.PID(), syscall.SIGCONT)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
