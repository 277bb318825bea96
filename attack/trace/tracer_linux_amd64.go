package trace

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Tracer is an OS thread that starts and traces victims.
type Tracer struct {
	work chan func()
	quit chan struct{}
	done chan struct{}
	once sync.Once

	tid int // of the thread

	// Used only on the thread.
	pin     *unix.CPUSet // nil: not pinned
	normal  unix.CPUSet  // what children get
	victims map[*Victim]bool
	images  map[imageKey]*image

	stepping bool // no breakpoints: points are stepped to
}

type imageKey struct {
	path string
	base uint64
}

const noRandomize = 0x0040000 // ADDR_NO_RANDOMIZE

// NewTracer starts a tracer. With cpu >= 0 its thread and the traced threads of its victims stay on that CPU, which
// makes a step about three times as fast; the victims' other threads may run anywhere.
func NewTracer(cpu int) (*Tracer, error) {
	t := &Tracer{
		work:    make(chan func()),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
		victims: make(map[*Victim]bool),
		images:  make(map[imageKey]*image),
	}
	ready := make(chan error)
	go t.thread(cpu, ready)
	if err := <-ready; err != nil {
		return nil, err
	}
	return t, nil
}

// thread never unlocks, so the OS thread, whose affinity is not the process's, ends with it.
func (t *Tracer) thread(cpu int, ready chan<- error) {
	runtime.LockOSThread()
	defer close(t.done)
	t.tid = unix.Gettid()
	err := unix.SchedGetaffinity(0, &t.normal)
	if err == nil && cpu >= 0 {
		t.pin = new(unix.CPUSet)
		t.pin.Set(cpu)
		err = unix.SchedSetaffinity(0, t.pin)
	}
	if err != nil {
		ready <- fmt.Errorf("trace: pin to CPU %d: %w", cpu, err)
		return
	}
	if t.stepping = os.Getenv(breakpointsVariable) == "off"; !t.stepping {
		fire, err := breakpointsFire()
		if err != nil {
			ready <- fmt.Errorf("trace: %w", err)
			return
		}
		t.stepping = !fire
	}
	ready <- nil
serve:
	for {
		select {
		case f := <-t.work:
			f()
		case <-t.quit:
			break serve
		}
	}
	for v := range t.victims {
		v.kill()
		v.reap()
	}
	for _, im := range t.images {
		im.close()
	}
}

// Stepping says whether points are reached by single steps, as hardware breakpoints do not work here. That takes many
// times as long.
func (t *Tracer) Stepping() bool { return t.stepping }

// Close kills all victims that are left and ends the thread.
func (t *Tracer) Close() {
	t.once.Do(func() { close(t.quit) })
	<-t.done
}

// do runs f on the thread. A closed tracer does not, and says so.
func (t *Tracer) do(f func()) bool {
	done := make(chan struct{})
	select {
	case t.work <- func() { defer close(done); f() }:
		<-done
		return true
	case <-t.done:
		return false
	}
}

// Spawn starts an ordinary process, not to be traced, with normal affinity and address-space randomisation. It is
// killed when the tracer ends, which os/exec cannot promise from a thread that may end earlier. The caller waits for it.
func (t *Tracer) Spawn(c Command) (*os.Process, error) {
	var p *os.Process
	err := ErrState
	t.do(func() {
		var pid int
		if pid, err = t.fork(c, c.Files, false); err == nil {
			p, err = os.FindProcess(pid)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("trace: start %s: %w", c.Path, err)
	}
	return p, nil
}

// fork runs on the thread, whose personality and affinity the child inherits.
func (t *Tracer) fork(c Command, files []*os.File, fixed bool) (pid int, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	fds := []uintptr{null.Fd(), null.Fd(), null.Fd()}
	if c.Stdout != nil {
		fds[1] = c.Stdout.Fd()
	}
	if c.Stderr != nil {
		fds[2] = c.Stderr.Fd()
	}
	for _, f := range files {
		fds = append(fds, f.Fd())
	}
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	if t.pin != nil {
		if err := unix.SchedSetaffinity(0, &t.normal); err != nil {
			return 0, err
		}
		defer unix.SchedSetaffinity(0, t.pin)
	}
	if fixed {
		old, _, e := unix.RawSyscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
		if e == 0 {
			_, _, e = unix.RawSyscall(unix.SYS_PERSONALITY, old|noRandomize, 0, 0)
		}
		if e != 0 {
			return 0, fmt.Errorf("turn off address-space randomisation: %w", e)
		}
		defer unix.RawSyscall(unix.SYS_PERSONALITY, old, 0, 0)
	}
	return syscall.ForkExec(c.Path, append([]string{c.Path}, c.Args...), &syscall.ProcAttr{
		Env:   env,
		Files: fds,
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
}
