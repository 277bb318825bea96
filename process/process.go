package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/cpus"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/shm"
)

// A Process is a child process that runs a function, or, from Current, this process itself.
type Process struct {
	_    noCopy
	name string
	path []int // its number, behind those of its parents
	opts options
	def  *definition

	encode  func() ([]byte, error) // dropped by Start
	arrived []func()               // for each end that is on its way to the child

	mu      sync.Mutex
	state   state
	attempt chan struct{} // closed when a Start that is under way is over
	pid     int
	os      *os.Process
	sent    syscall.Signal // the last one from us

	done   chan struct{} // closed when the process has ended; the fields below are final then
	code   int
	err    error
	result []byte
}

type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

type state int

const (
	initial state = iota
	starting
	started
	stopped
)

// An Option changes a process before it starts.
type Option func(*options)

type options struct {
	name string
	keep bool
}

// Name names the process; without it, it is called Process-1, Process-2 and so on, in the order of New, and the children
// of Process-1 Process-1:1 and so on.
func Name(name string) Option { return func(o *options) { o.name = name } }

// KeepEnds keeps the parent's own hold of connection ends that it passes as arguments. Without it they are given up once
// the child has taken them, and cannot be passed a second time.
func KeepEnds() Option { return func(o *options) { o.keep = true } }

// made counts the processes that this one has made.
var made atomic.Int64

func newProcess(d *definition, encode func() ([]byte, error), opts []Option) *Process {
	self := Current()
	p := &Process{def: d, encode: encode, path: append(append([]int{}, self.path...), int(made.Add(1))), done: make(chan struct{})}
	for _, o := range opts {
		o(&p.opts)
	}
	p.name = p.opts.name
	if p.name == "" {
		p.name = "Process-" + joinPath(p.path)
	}
	return p
}

func joinPath(path []int) string {
	text := make([]string, len(path))
	for i, n := range path {
		text[i] = strconv.Itoa(n)
	}
	return strings.Join(text, ":")
}

// Name is the name of the process.
func (p *Process) Name() string { return p.name }

// PID is the process's id, 0 before Start.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// Alive tells whether the process was started and has not ended.
func (p *Process) Alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == starting || p.state == started
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is the code that the process ended with, or the negative number of the signal that killed it; ok is false
// before its end. A function that returns an error ends its process with 1, one that panics with 2.
func (p *Process) ExitCode() (code int, ok bool) {
	select {
	case <-p.done:
		return p.code, true
	default:
		return 0, false
	}
}

// Wait waits until the process has ended: nil if it ended with code 0, else an *ExitError; the error of ctx if that ends
// first; ErrNotStarted. Any number of goroutines may wait, any number of times.
func (p *Process) Wait(ctx context.Context) error {
	if p.def == nil {
		return p.fail("wait", errors.New("a process cannot wait for itself"))
	}
	for {
		p.mu.Lock()
		st, ended := p.state, p.done
		if st == starting {
			ended = p.attempt
		}
		p.mu.Unlock()
		if st == initial {
			return p.fail("wait", ErrNotStarted)
		}
		select {
		case <-ended:
		default:
			select {
			case <-ended:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if st != starting {
			children.reported(p)
			return p.outcome()
		}
	}
}

func (p *Process) outcome() error {
	if p.code == 0 && p.err == nil {
		return nil
	}
	return &ExitError{Name: p.name, PID: p.pid, Code: p.code, Err: p.err}
}

func (p *Process) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("process: %s %s: %w", op, p.name, err)
}

// Terminate asks the process to end: SIGTERM, which ends a Go program that does not catch it, as a crash: its context is not
// cancelled, and its peers see *pipe.PeerDied. To ask a function to return, close what it waits for. It does not wait; a process that has ended is left alone.
func (p *Process) Terminate() error { return p.Signal(syscall.SIGTERM) }

// Kill ends the process at once: SIGKILL. It does not wait; a process that has ended is left alone.
func (p *Process) Kill() error { return p.Signal(syscall.SIGKILL) }

// Signal sends a signal. A process that has ended is left alone.
func (p *Process) Signal(sig os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.state {
	case initial, starting:
		return p.fail("signal", ErrNotStarted)
	case stopped:
		return nil
	}
	target := p.os
	if p.def == nil {
		self, err := os.FindProcess(p.pid)
		if err != nil {
			return p.fail("signal", err)
		}
		defer self.Release()
		target = self
	}
	err := target.Signal(sig)
	if s, ok := sig.(syscall.Signal); ok && err == nil {
		p.sent = s
	}
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return p.fail("signal", err)
}

// String describes the process, as Python does.
func (p *Process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "<Process name='%s'", p.name)
	if p.pid != 0 {
		fmt.Fprintf(&b, " pid=%d", p.pid)
	}
	if p.def != nil {
		fmt.Fprintf(&b, " parent=%d", os.Getpid())
	}
	switch p.state {
	case initial:
		b.WriteString(" initial")
	case starting, started:
		b.WriteString(" started")
	case stopped:
		b.WriteString(" stopped")
		if p.code < 0 {
			fmt.Fprintf(&b, " exitcode=-%s", signalConstant(-p.code))
		} else if p.code > 0 {
			fmt.Fprintf(&b, " exitcode=%d", p.code)
		}
	}
	return b.String() + ">"
}

// Start starts the process, once: this program again, by /proc/self/exe, with the arguments in shared memory. It returns
// when the new process runs; what becomes of it is seen by Wait. ctx bounds the starting only. Errors: arguments that
// cannot be encoded, shm.ErrNoSpace, ErrStarted, and what the system says to a new process.
//
// Connection ends among the arguments are held for the child from here on: close yours, or leave it, it is given up when the
// child has taken it (but for KeepEnds). If the child dies before that, it stays what it was: who waits at the other end of
// it, in this process too, should wait for Done as well.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	if p.def == nil || p.state != initial {
		p.mu.Unlock()
		return p.fail("start", ErrStarted)
	}
	p.state, p.attempt = starting, make(chan struct{})
	p.mu.Unlock()
	o, child, err := p.launch(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(p.attempt)
	if err != nil {
		p.letGo()
		p.state = initial
		return p.fail("start", err)
	}
	p.state, p.os, p.pid = started, child, child.Pid
	p.encode = nil // what the arguments refer to is not ours to keep alive
	children.add(p)
	go p.attend(o, child)
	return nil
}

// letGo is called when the ends that were passed have arrived, or never will.
func (p *Process) letGo() {
	for _, f := range p.arrived {
		f()
	}
	p.arrived = nil
}

// launch starts the child.
func (p *Process) launch(ctx context.Context) (*shm.Object, *os.Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if p.def.err != nil {
		return nil, nil, p.def.err
	}
	o, err := p.prepare()
	if err != nil {
		return nil, nil, err
	}
	child, err := spawn(o.Handle().String())
	if err != nil {
		return nil, nil, errors.Join(err, o.Close())
	}
	return o, child, nil
}

// prepare puts into shared memory what the child needs to know.
func (p *Process) prepare() (*shm.Object, error) {
	args, passed, err := shm.CollectPassed(p.encode)
	if err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	for _, h := range passed {
		l := h.Local()
		if l == nil {
			return nil, fmt.Errorf("arguments: %v was closed, or passed on, meanwhile: %w", h, shm.ErrClosed)
		}
		arrived, err := l.Pass(p.opts.keep)
		if err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
		p.arrived = append(p.arrived, arrived)
	}
	encoded, err := encode(&boot{Func: p.def.name, Name: p.name, Path: p.path, ParentName: Current().Name(), Args: args})
	if err != nil {
		return nil, err
	}
	sp, err := shm.Private()
	if err != nil {
		return nil, err
	}
	defer sp.Close() // the object keeps it
	return sp.NewObject(shm.Spec{
		Kind: layout.KindProcess, Header: layout.SizeProcess, Sets: 1, Data: int64(len(encoded)),
		Init: func(o *shm.Object) {
			h := overlay(o.Header)
			h.Parent, h.ParentPID = uint64(o.Self()), uint32(os.Getpid())
			copy(o.Data, encoded)
		},
	})
}

// attend takes the child's hello, waits for its end, and collects what it has left.
func (p *Process) attend(o *shm.Object, child *os.Process) {
	shared, lot := overlay(o.Header), o.Lot(layout.ProcessParent)
	h := &hearing{shared: shared}
	greeted := make(chan error, 1)
	go func() {
		w := futex.Waiter{Mode: futex.Block, Lot: lot, Long: true}
		err := w.Await(context.Background(), &shared.Wait, h)
		if err == errOver && h.Ready() {
			err = nil // it has said hello and ended before we looked
		}
		if err == nil && !p.opts.keep {
			err = giveUp(o, shared)
		}
		p.letGo()
		greeted <- err
	}()
	code, err := reap(child)
	h.over.Store(true)
	futex.RouseAll(&shared.Wait, lot)
	if herr := <-greeted; herr != nil && herr != errOver {
		err = errors.Join(err, herr)
	}
	result, rerr := p.collect(o, shared, code)
	err = errors.Join(err, rerr, o.Close())
	dropLifeline()

	p.mu.Lock()
	p.state, p.code, p.err, p.result = stopped, code, err, result
	expected := p.outcome() == nil || code == -int(p.sent) && err == nil
	p.mu.Unlock()
	children.remove(p, expected)
	close(p.done)
}

// hearing waits for a child to say anything, until its end.
type hearing struct {
	shared *layout.Process
	over   atomic.Bool
}

var errOver = errors.New("the child has ended")

func (h *hearing) Ready() bool { return h.shared.State.Load() != layout.ProcStarted }
func (h *hearing) Recheck()    {}
func (h *hearing) Stop() error {
	if h.over.Load() {
		return errOver
	}
	return nil
}

// giveUp gives up the ends that the child has taken.
func giveUp(o *shm.Object, shared *layout.Process) error {
	b, err := readPart(o, &shared.Taken, &shared.TakenLen)
	if err != nil || b == nil {
		return err
	}
	var taken []string
	if err := decode(b, &taken); err != nil {
		return err
	}
	for _, text := range taken {
		var h shm.Handle
		if err := h.UnmarshalText([]byte(text)); err != nil {
			return err
		}
		if l := h.Local(); l != nil {
			if err := l.GiveUp(); err != nil {
				return err
			}
		}
	}
	return nil
}

// collect reads the outcome that a child has left.
func (p *Process) collect(o *shm.Object, shared *layout.Process, code int) (result []byte, err error) {
	switch st := shared.State.Load(); {
	case st == layout.ProcDone:
	case code < 0:
		return nil, nil // it was killed
	case st == layout.ProcStarted:
		return nil, ErrNoHello
	case code == 0 && p.def.result:
		return nil, ErrNoResult
	default:
		return nil, nil // it has called os.Exit
	}
	b, err := readPart(o, &shared.Result, &shared.ResultLen)
	if err != nil || shared.Outcome.Load() == layout.OutcomeResult {
		return b, err
	}
	re := new(RemoteError)
	if err := decode(b, re); err != nil {
		return nil, err
	}
	return nil, re
}

// children are those that were started: alive until they have ended, and kept while nobody has been told how.
var children family

type family struct {
	mu     sync.Mutex
	alive  map[*Process]bool
	untold map[*Process]bool
}

func (f *family) add(p *Process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.alive == nil {
		f.alive, f.untold = map[*Process]bool{}, map[*Process]bool{}
	}
	f.alive[p], f.untold[p] = true, true
}

// remove is for a child that has ended; expected: there is nothing to tell.
func (f *family) remove(p *Process, expected bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.alive, p)
	if expected {
		delete(f.untold, p)
	}
}

// reported is called when somebody is told how p has ended.
func (f *family) reported(p *Process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.untold, p)
}

// list lists one of the sets in the order of New.
func (f *family) list(set *map[*Process]bool) []*Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.SortedFunc(maps.Keys(*set), func(a, b *Process) int { return slices.Compare(a.path, b.path) })
}

// Children lists this process's children that were started and have not ended, in the order of New.
func Children() []*Process { return children.list(&children.alive) }

// WaitAll waits for all children that are running when it is called, and joins their errors and those of children that
// ended before and whose error no Wait has returned yet: a failure is not lost because it came early, but for that of a child
// that this process has ended itself, by Kill say. (It is kept until then: a program that starts processes for ever should
// Wait for each.) It returns the error of ctx if that ends first.
func WaitAll(ctx context.Context) error {
	var errs []error
	for _, p := range children.list(&children.untold) {
		err := p.Wait(ctx)
		errs = append(errs, err)
		if err != nil && err == ctx.Err() {
			break
		}
	}
	return errors.Join(errs...)
}

// CPUCount is the number of processors that this process may use: by its affinity mask and its cgroup's quota.
func CPUCount() int { return cpus.Usable() }
