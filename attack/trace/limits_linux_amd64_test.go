package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func requireGone(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("process %d is still there: %v", pid, err)
	}
}

func TestABlockingSystemCallEndsAtTheCallersTime(t *testing.T) {
	tr := newTracer(t)
	for _, how := range []string{"record", "run to end", "run to point"} {
		t.Run(how, func(t *testing.T) {
			path := newRegion(t, regionSize)
			v := start(t, tr, "blocked", path)
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			var err error
			switch how {
			case "record":
				_, err = v.Record(ctx, Options{})
			case "run to end":
				err = v.RunToEnd(ctx)
			default:
				err = v.RunTo(ctx, Point{Addr: v.end - 1, Pass: 1, Kind: Code}) // never passed
			}
			if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) ||
				!strings.Contains(err.Error(), "in system call read") {
				t.Errorf("%v", err)
			}
			requireGone(t, v.PID())
			if err := v.RunToEnd(guardContext(t)); !errors.Is(err, ErrState) {
				t.Errorf("a dead victim: %v", err)
			}
		})
	}
}

func TestAnEndlessLoopEndsAtTheCallersTime(t *testing.T) {
	path := newRegion(t, regionSize)
	v := start(t, newTracer(t), "spin", path)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := v.RunToEnd(ctx); !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "running") {
		t.Errorf("%v", err)
	}
	requireGone(t, v.PID())
}

func TestAVictimThatEndsByItselfIsReportedWithItsStatus(t *testing.T) {
	v := start(t, newTracer(t), "exits", "")
	if err := v.RunToEnd(guardContext(t)); !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("%v", err)
	}
	requireGone(t, v.PID())
}

func TestAnOperationThatCallsExecIsReported(t *testing.T) {
	tr := newTracer(t)
	for _, where := range []string{"execs", "execs-elsewhere"} {
		for _, how := range []string{"recorded", "running"} {
			t.Run(where+" "+how, func(t *testing.T) {
				v := start(t, tr, where, "")
				var err error
				if how == "recorded" {
					_, err = v.Record(guardContext(t), Options{})
				} else {
					err = v.RunToEnd(guardContext(t))
				}
				if !errors.Is(err, ErrExited) {
					t.Errorf("%v", err)
				}
				if elsewhere := v.PID() != v.TID(); elsewhere != (where == "execs-elsewhere") {
					t.Errorf("process %d, thread %d", v.PID(), v.TID())
				}
				requireGone(t, v.PID())
			})
		}
	}
}

func TestAVictimMayBeKilledWhileItsEndIsAwaited(t *testing.T) {
	tr := newTracer(t)
	for range 20 {
		v := start(t, tr, "spin", newRegion(t, regionSize))
		if err := v.Detach(); err != nil {
			t.Fatal(err)
		}
		status := make(chan syscall.WaitStatus)
		go func() {
			ws, _ := v.Wait(guardContext(t))
			status <- ws
		}()
		if err := v.Kill(); err != nil {
			t.Fatal(err)
		}
		if ws := <-status; ws.Signal() != syscall.SIGKILL {
			t.Errorf("ended with %s", describeStatus(ws))
		}
	}
}

func TestAVictimWithoutAnOperationIsReported(t *testing.T) {
	c := command("never", "")
	c.Stderr = nil
	if _, err := newTracer(t).Start(guardContext(t), c); !errors.Is(err, ErrNoOperation) {
		t.Errorf("%v", err)
	}
}

func TestAProgramThatDoesNotExistIsReported(t *testing.T) {
	_, err := newTracer(t).Start(guardContext(t), Command{Path: "/no/such/program"})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestAThreadThatIsTracedAlreadyGivesTheNamedError(t *testing.T) {
	v := start(t, newTracer(t), "five", newRegion(t, regionSize))
	other := newTracer(t)
	second := &Victim{t: other, pid: v.pid, tid: v.tid}
	var err error
	other.do(func() { err = second.seize() })
	if !errors.Is(err, ErrNotPermitted) || !errors.Is(err, unix.EPERM) {
		t.Errorf("%v", err)
	}
}

func TestCallsInTheWrongStateAreRefused(t *testing.T) {
	tr := newTracer(t)
	path := newRegion(t, regionSize)
	v := start(t, tr, "five", path)
	ctx := guardContext(t)
	if err := v.Resume(ctx); !errors.Is(err, ErrState) {
		t.Errorf("resume without stop: %v", err)
	}
	if _, err := v.Wait(ctx); !errors.Is(err, ErrState) {
		t.Errorf("wait without detach: %v", err)
	}
	if err := v.RunToEnd(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Record(ctx, Options{}); !errors.Is(err, ErrState) {
		t.Errorf("record at the end: %v", err)
	}
	if err := v.RunTo(ctx, AtBegin); !errors.Is(err, ErrState) {
		t.Errorf("run at the end: %v", err)
	}
	tr.Close()
	if err := v.RunToEnd(ctx); !errors.Is(err, ErrState) {
		t.Errorf("closed tracer: %v", err)
	}
	requireGone(t, v.PID())
}

func TestTheVictimsEnvironmentIsMerged(t *testing.T) {
	path := newRegion(t, 0)
	c := command("environment", path)
	c.Env = append(c.Env, "GODEBUG=madvdontneed=1", "GOGC=50")
	v, err := newTracer(t).Start(guardContext(t), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Detach(); err != nil {
		t.Fatal(err)
	}
	if ws, err := v.Wait(guardContext(t)); err != nil || ws.ExitStatus() != 0 {
		t.Fatalf("%v, %v", ws, err)
	}
	got, _ := os.ReadFile(path)
	want := `GODEBUG=madvdontneed=1,asyncpreemptoff=1 GOGC=off personality=40000 link=""`
	if string(got) != want {
		t.Errorf("victim saw %s, want %s", got, want)
	}
}

func TestWithoutATracerAnOperationIsJustCalled(t *testing.T) {
	n := 0
	Operation(func() { n++ })
	Operation(func() { n++ })
	if n != 2 {
		t.Errorf("called %d times", n)
	}
}

func TestSpawnedProcessesAreRandomisedAndFreeToRunAnywhere(t *testing.T) {
	tr := newTracer(t)
	path := newRegion(t, 0)
	c := command("environment", path)
	p, err := tr.Spawn(c)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := p.Wait(); err != nil || !s.Success() {
		t.Fatal(s, err)
	}
	if got, _ := os.ReadFile(path); !bytes.Contains(got, []byte("personality=0 ")) {
		t.Errorf("%s", got)
	}
}

// guest is run by other tests as another user, or to be killed: it traces a victim itself. path is "mode file".
func guest(text string) error {
	mode, path, _ := strings.Cut(text, " ")
	tr, err := NewTracer(0)
	if err != nil {
		return err
	}
	defer tr.Close()
	ctx, cancel := context.WithTimeout(context.Background(), guardTime)
	defer cancel()
	v, err := tr.Start(ctx, command("five", path))
	if err != nil {
		return err
	}
	if mode == "hold" {
		fmt.Println(v.PID())
		select {}
	}
	rec, err := v.Record(ctx, Options{})
	if err != nil {
		return err
	}
	v.Kill()
	w, err := tr.Start(ctx, command("five", path))
	if err == nil {
		err = w.RunTo(ctx, rec.Points[2])
	}
	fmt.Printf("uid %d: %d points\n", os.Getuid(), len(rec.Points))
	return err
}

func TestAnOrdinaryUserMayAttack(t *testing.T) {
	path := newRegion(t, regionSize)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), victimVariable+"=guest record "+path)
	want := fmt.Sprintf("uid %d: 5 points\n", os.Getuid())
	if os.Getuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		want = fmt.Sprintf("uid %d: 5 points\n", nobody)
	}
	cmd.Stderr = os.Stderr
	if out, err := cmd.Output(); err != nil || string(out) != want {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
}

func TestAVictimDiesWithItsTracer(t *testing.T) {
	path := newRegion(t, regionSize)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), victimVariable+"=guest hold "+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 20)
	n, _ := out.Read(b)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	cmd.Process.Kill()
	cmd.Wait()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000); n != 1 || err != nil {
		t.Errorf("victim outlives its tracer: %v", err)
	}
}
