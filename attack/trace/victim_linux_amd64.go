package trace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Victim is a process whose operation is traced. It is killed by any method that fails, but for ErrNotReached and
// ErrState.
type Victim struct {
	t    *Tracer
	pid  int
	tid  int // of the operation's thread
	out  *os.File
	in   *os.File
	mem  *os.File
	path string

	struck atomic.Bool // a guard killed it
	doing  string      // what it was doing then

	waiting sync.Mutex // held by whoever waits for the process

	mu     sync.Mutex
	reaped bool               // pid may belong to somebody else
	status syscall.WaitStatus // of the process, once reaped

	// Used only on the tracer's thread.
	where  state
	frozen bool
	gone   bool // the traced thread has been waited for
	regs   unix.PtraceRegs
	end    uint64 // address of markEnd
	hold   bool
	held   []syscall.Signal

	endCode [16]byte // at end, as it was built
	trap    uint64   // where an INT3 stands now
}

type state uint8

const (
	starting state = iota
	atBegin
	atPoint
	atEnd
	detached
)

var past = time.Unix(1, 0)

// Start starts a program and brings it to the beginning of its [Operation].
func (t *Tracer) Start(ctx context.Context, c Command) (*Victim, error) {
	v := &Victim{t: t, path: c.Path}
	if err := v.start(c); err != nil {
		return nil, fmt.Errorf("trace: start %s: %w", c.Path, err)
	}
	off := v.guard(ctx)
	err := v.handshake()
	if err == nil {
		t.do(func() { err = v.seize() })
	}
	if off() && err != nil {
		err = fmt.Errorf("%w before its operation began, %s (%w)", ErrTimeout, v.doing, context.Cause(ctx))
	}
	if err != nil {
		v.Kill()
		return nil, fmt.Errorf("trace: start %s: %w", c.Path, err)
	}
	return v, nil
}

func (v *Victim) start(c Command) error {
	out, reportTo, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reportTo.Close()
	awaitFrom, in, err := os.Pipe()
	if err != nil {
		out.Close()
		return err
	}
	defer awaitFrom.Close()
	v.out, v.in = out, in
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	n := 3 + len(c.Files)
	c.Env = append(attackEnvironment(env), fmt.Sprintf("%s=%d,%d", linkVariable, n, n+1))
	files := append(append([]*os.File{}, c.Files...), reportTo, awaitFrom)
	v.t.do(func() {
		if v.pid, err = v.t.fork(c, files, true); err == nil {
			v.t.victims[v] = true
		}
	})
	if err != nil {
		v.out.Close()
		v.in.Close()
	}
	return err
}

// attackEnvironment takes out what would make an operation take another way each time.
func attackEnvironment(env []string) []string {
	out := make([]string, 0, len(env)+3)
	debug := "asyncpreemptoff=1"
	for _, e := range env {
		switch k, val, _ := strings.Cut(e, "="); k {
		case "GODEBUG":
			if val != "" {
				debug = val + "," + debug
			}
		case "GOGC", "GOMAXPROCS", linkVariable:
		default:
			out = append(out, e)
		}
	}
	// Others run beside the traced thread, which nobody takes its processor from, also where there is one only.
	return append(out, "GODEBUG="+debug, "GOGC=off", "GOMAXPROCS=4")
}

// handshake learns the thread that runs the operation.
func (v *Victim) handshake() error {
	line, err := bufio.NewReaderSize(v.out, 16).ReadString('\n')
	if err != nil {
		return ErrNoOperation
	}
	if v.tid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil || v.tid <= 0 {
		return fmt.Errorf("victim reported thread %q", line)
	}
	return nil
}

// seize takes the thread, which is waiting for its go-ahead, and runs it to the marker.
func (v *Victim) seize() error {
	err := ptrace(unix.PTRACE_SEIZE, v.tid, 0, unix.PTRACE_O_EXITKILL|unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACEEXEC)
	if err != nil {
		v.gone = v.tid != v.pid // not ours to wait for
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			return fmt.Errorf("%w: %w", ErrNotPermitted, err)
		}
		return fmt.Errorf("seize thread %d: %w", v.tid, err)
	}
	if v.t.pin != nil {
		if err := unix.SchedSetaffinity(v.tid, v.t.pin); err != nil {
			return fmt.Errorf("pin thread %d: %w", v.tid, err)
		}
	}
	if err := ptrace(unix.PTRACE_INTERRUPT, v.tid, 0, 0); err != nil {
		return fmt.Errorf("interrupt thread %d: %w", v.tid, err)
	}
	if _, err := v.wait(); err != nil {
		return err
	}
	if _, err := v.in.Write([]byte{1}); err != nil {
		return err
	}
	for found := false; ; {
		ev, err := v.resume(unix.PTRACE_SYSCALL)
		if err != nil {
			return err
		}
		if ev != systemCallStop {
			continue
		}
		if found { // at its exit
			break
		}
		if found = v.regs.Orig_rax == unix.SYS_GETPID && v.regs.Rdi == magic1 && v.regs.Rsi == magic2; found {
			v.end = v.regs.Rdx
		}
	}
	if v.mem, err = os.Open(fmt.Sprintf("/proc/%d/mem", v.pid)); err != nil {
		return err
	}
	if _, err := v.mem.ReadAt(v.endCode[:], int64(v.end)); err != nil {
		return fmt.Errorf("read the operation's end: %w", err)
	}
	v.where = atBegin
	return v.trapAt()
}

// PID is the victim's process.
func (v *Victim) PID() int { return v.pid }

// TID is the traced thread.
func (v *Victim) TID() int { return v.tid }

// on runs f on the tracer's thread under the guard of ctx, checks the state before, and kills the victim if f fails.
func (v *Victim) on(ctx context.Context, what string, need func() bool, f func() error) error {
	err := ErrState
	off := v.guard(ctx)
	v.t.do(func() {
		if need() {
			err = f()
		}
	})
	struck := off()
	switch {
	case err == nil && !struck, errors.Is(err, ErrState), errors.Is(err, ErrNotReached) && !struck:
	case struck:
		err = fmt.Errorf("%w %s (%w)", ErrTimeout, v.doing, context.Cause(ctx))
		v.Kill()
	default:
		v.Kill()
	}
	if err != nil {
		return fmt.Errorf("trace: %s: %w", what, err)
	}
	return nil
}

func (v *Victim) steady() bool {
	return (v.where == atBegin || v.where == atPoint) && !v.frozen && !v.gone
}

// RunTo runs a victim that stands at its beginning to a point: it stands right behind that instruction then. A run that
// goes another way stands at its end and gives ErrNotReached.
func (v *Victim) RunTo(ctx context.Context, p Point) error {
	return v.on(ctx, "run to "+p.Name(), func() bool { return v.where == atBegin && !v.frozen && !v.gone }, func() error {
		switch p.Kind {
		case Begin:
			return nil
		case End:
			return v.runToEnd()
		}
		return v.runTo(p)
	})
}

// RunToEnd lets the operation finish; the victim stands right behind it.
func (v *Victim) RunToEnd(ctx context.Context) error {
	return v.on(ctx, "run to the end", v.steady, v.runToEnd)
}

// Kill sends SIGKILL and returns when the process and its mappings are gone. It may be called at any time.
func (v *Victim) Kill() error {
	v.kill()
	v.t.do(v.reap)
	return nil
}

// kill only sends the signal, from any thread.
func (v *Victim) kill() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.reaped && v.pid > 0 {
		syscall.Kill(v.pid, syscall.SIGKILL)
	}
}

// reap waits for a victim that has been killed. The kernel hands a process to its parent only after the last thread let
// go of memory and files.
func (v *Victim) reap() {
	for !v.gone && v.tid != 0 && v.tid != v.pid {
		if _, err := v.wait(); err != nil {
			break
		}
	}
	v.awaitProcess()
	delete(v.t.victims, v)
}

// awaitProcess waits for the end of the whole process.
func (v *Victim) awaitProcess() syscall.WaitStatus {
	v.waiting.Lock()
	defer v.waiting.Unlock()
	v.mu.Lock()
	reaped := v.reaped
	v.mu.Unlock()
	if !reaped {
		var ws syscall.WaitStatus
		for {
			_, err := syscall.Wait4(v.pid, &ws, unix.WALL, nil)
			if err == syscall.EINTR || err == nil && !ws.Exited() && !ws.Signaled() {
				continue
			}
			break
		}
		v.finished(ws)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.status
}

// finished notes that the process has been waited for.
func (v *Victim) finished(ws syscall.WaitStatus) {
	v.mu.Lock()
	v.reaped, v.status = true, ws
	v.mu.Unlock()
	v.out.Close()
	v.in.Close()
	if v.mem != nil {
		v.mem.Close()
	}
}

// Detach lets the victim go on by itself, from wherever it stands.
func (v *Victim) Detach() error {
	return v.on(context.Background(), "detach", func() bool { return v.where != detached && v.where != starting && !v.gone },
		func() error {
			if err := v.trapNowhere(); err != nil {
				return err
			}
			if err := ptrace(unix.PTRACE_DETACH, v.tid, 0, 0); err != nil {
				return err
			}
			v.where = detached
			if v.frozen {
				v.frozen = false
				return syscall.Kill(v.pid, syscall.SIGCONT)
			}
			return nil
		})
}

// Wait waits for the end of a detached victim and returns how it ended.
func (v *Victim) Wait(ctx context.Context) (syscall.WaitStatus, error) {
	var ok bool
	v.t.do(func() { ok = v.where == detached })
	if !ok {
		return 0, fmt.Errorf("trace: wait: %w", ErrState)
	}
	off := v.guard(ctx)
	// Not on the tracer's thread, which has other victims. A detached leader is an ordinary child.
	ws := v.awaitProcess()
	struck := off()
	v.t.do(func() { delete(v.t.victims, v) })
	if struck && ws.Signaled() {
		return ws, fmt.Errorf("trace: wait: %w (%w)", ErrTimeout, context.Cause(ctx))
	}
	return ws, nil
}
