package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tandem-ipc/tandem/codec"
	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/shm"
)

// boot is what a child gets to know first, in shared memory.
type boot struct {
	Func       string
	Name       string
	Path       []int
	ParentName string
	Args       []byte
}

// lifeline is the descriptor that a child inherits: the read end of a pipe that nobody ever writes to. The kernel closes
// the other end with the parent.
const lifeline = 3

// parentGrace is how long a child's function may go on after its parent's death: to notice, and to tell others.
const parentGrace = 500 * time.Millisecond

const (
	codeError   = 1
	codePanic   = 2
	codeOrphan  = 3 // the parent died
	codeNoStart = 4 // what the parent left for us cannot be read
)

// who we are.
var self struct {
	once   sync.Once
	me     *Process
	parent *ParentProcess
}

// Main is the main function of a program that starts processes: func main() { process.Main(run) }. In a child it runs the
// child's function. In the parent it runs run, closes what run has left open, waits for the children, leaves every Space
// and exits: with 1 and the error on standard error if run returned one.
//
// The context of run ends with the first SIGINT or SIGTERM: then the children that are left when run returns are asked to
// end too. A second signal ends the process as if there were no Main.
func Main(run func(context.Context) error) {
	Init()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal does what it always does
	err := run(ctx)
	code := 0
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = codeError
	}
	// How children end is the business of who started them and did not ask; that they end is ours. Whoever of them waits for
	// us shall see our end.
	err = shm.CloseObjects()
	if ctx.Err() != nil {
		err = errors.Join(err, terminateAll())
	}
	_ = WaitAll(context.Background())
	if err = errors.Join(err, shm.Exit()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, codeError)
	}
	os.Exit(code)
}

func terminateAll() error {
	var errs []error
	for _, p := range Children() {
		errs = append(errs, p.Terminate())
	}
	return errors.Join(errs...)
}

// Init is for programs, and test binaries, that keep a main of their own: called before anything else, it runs the
// function in a child, and never returns there. In any other process it does nothing. Such a program calls WaitAll and
// shm.Exit before it ends; without them its children end with it, and its peers see a death.
func Init() {
	text := os.Getenv(shm.EnvSpace)
	if text == "" {
		return
	}
	// Nothing that this process starts by itself shall take it for its own.
	os.Unsetenv(shm.EnvSpace)
	os.Exit(child(text))
}

func child(text string) int {
	fail := func(err error) int {
		fmt.Fprintf(os.Stderr, "tandem: child process %d: %v\n", os.Getpid(), err)
		return codeNoStart
	}
	var h shm.Handle
	if err := h.UnmarshalText([]byte(text)); err != nil {
		return fail(err)
	}
	if err := shm.Inherit(h); err != nil {
		return fail(err)
	}
	parentGone, err := watchParent()
	if err != nil {
		return fail(err)
	}
	o, err := h.Open(layout.KindProcess)
	if err != nil {
		return fail(err)
	}
	shared := overlay(o.Header)
	var b boot
	if err := decode(o.Data, &b); err != nil {
		return fail(err)
	}
	become(b, int(shared.ParentPID), parentGone)
	var run call
	taken, err := shm.Collect(func() (err error) {
		run, err = prepare(b)
		return err
	})
	if err == nil {
		err = hello(o, shared, taken)
	}
	if err != nil {
		report(o, shared, nil, err)
		return fail(errors.Join(err, o.Close(), shm.Exit()))
	}
	b.Args = nil

	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		<-parentGone
		cancel(ErrParentDied)
		time.Sleep(parentGrace)
		os.Exit(codeOrphan)
	}()
	result, rerr := protect(ctx, run)
	code := report(o, shared, result, rerr)
	if rerr != nil {
		fmt.Fprintf(os.Stderr, "Process %s:\n%s\n", b.Name, trace(rerr))
	}
	// The children of this process end before it, as it would for its parent; those that wait for it see its end.
	cerr := shm.CloseObjects()
	_ = WaitAll(ctx)
	if err := errors.Join(cerr, o.Close(), shm.Exit()); err != nil {
		fmt.Fprintf(os.Stderr, "Process %s: %v\n", b.Name, err)
	}
	return code
}

// prepare finds the function and decodes its arguments.
func prepare(b boot) (call, error) {
	d, err := lookup(b.Func)
	if err != nil {
		return nil, err
	}
	run, err := d.prepare(b.Args)
	if err != nil {
		return nil, fmt.Errorf("arguments of %s: %w", b.Func, err)
	}
	return run, nil
}

// watchParent returns a channel that is closed when the parent is gone. It opens the lifeline anew: what was inherited is one
// open file with the parent and all its children, whose starting, theirs too, changes whether reading it blocks.
func watchParent() (<-chan struct{}, error) {
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(lifeline))
	if err != nil {
		return nil, fmt.Errorf("the parent's lifeline: %w", err)
	}
	syscall.Close(lifeline)
	gone := make(chan struct{})
	go func() {
		var b [1]byte
		for {
			if n, err := f.Read(b[:]); n == 0 && err != nil {
				close(gone)
				return
			}
		}
	}()
	return gone, nil
}

// hello tells the parent that the arguments are ours, and which shared objects came with them: what it holds of those it
// may give up.
func hello(o *shm.Object, shared *layout.Process, taken []shm.Handle) error {
	var list []byte
	var err error
	if len(taken) > 0 {
		texts := make([]string, len(taken))
		for i, h := range taken {
			texts[i] = h.String()
		}
		if list, err = encode(&texts); err != nil {
			return err
		}
	}
	if err := writePart(o, &shared.Taken, &shared.TakenLen, list); err != nil {
		return err
	}
	shared.Child.Store(uint64(o.Self()))
	shared.ChildPID.Store(uint32(os.Getpid()))
	shared.State.Store(layout.ProcHello)
	futex.Rouse(&shared.Wait, o.Lot(layout.ProcessParent))
	return nil
}

// protect runs the function, in a goroutine of its own, and turns a panic into an error, and also runtime.Goexit, and what
// happens when the error is asked for its text.
func protect(ctx context.Context, run call) (result []byte, err error) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		err = &RemoteError{Text: "the function ended its goroutine (runtime.Goexit)"}
		defer func() {
			if r := recover(); r != nil {
				err = &RemoteError{Text: fmt.Sprint(r), Panic: true, Stack: string(debug.Stack())}
			}
		}()
		b, rerr := run(ctx)
		if rerr != nil {
			rerr = &RemoteError{Text: rerr.Error()}
		}
		result, err = b, rerr
	}()
	<-over
	return result, err
}

// report leaves the outcome for the parent. The last store is the one that counts.
func report(o *shm.Object, shared *layout.Process, result []byte, rerr error) (code int) {
	out := uint32(layout.OutcomeResult)
	if rerr != nil {
		code, out = codeError, layout.OutcomeError
		re := &RemoteError{Text: rerr.Error()}
		if p, ok := rerr.(*RemoteError); ok && p.Panic {
			re, code, out = p, codePanic, layout.OutcomePanic
		}
		b, err := encode(re)
		if err != nil {
			return code
		}
		result = b
	}
	if err := writePart(o, &shared.Result, &shared.ResultLen, result); err != nil {
		fmt.Fprintf(os.Stderr, "tandem: the result cannot be returned: %v\n", err)
		return codeNoStart
	}
	shared.Outcome.Store(out)
	shared.State.Store(layout.ProcDone)
	return code
}

func trace(err error) string {
	if p, ok := err.(*RemoteError); ok && p.Panic {
		return p.Error() + "\n\n" + p.Stack
	}
	return err.Error()
}

// writePart puts b into a block of its own and lets the header name it, for the parent to read.
func writePart(o *shm.Object, ref, length *atomic.Uint64, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	part, err := o.NewPart(int64(len(b)))
	if err != nil {
		return err
	}
	copy(part.Bytes, b)
	length.Store(uint64(len(b)))
	ref.Store(uint64(part.Ref))
	o.HandOver(part, 0)
	return nil
}

// readPart reads what writePart has written.
func readPart(o *shm.Object, ref, length *atomic.Uint64) ([]byte, error) {
	n := length.Load()
	if n == 0 {
		return nil, nil
	}
	b, err := o.Part(shm.Ref(ref.Load()), 0)
	if err != nil {
		return nil, err
	}
	if n > uint64(len(b)) {
		return nil, fmt.Errorf("%d bytes in a block of %d: %w", n, len(b), shm.ErrCorrupt)
	}
	return append([]byte(nil), b[:n]...), nil
}

func decode[T any](b []byte, v *T) error {
	c, err := codec.For[T]()
	if err != nil {
		return err
	}
	return c.Decode(b, v)
}

// become makes this process what its parent has made it.
func become(b boot, parentPID int, gone <-chan struct{}) {
	self.once.Do(func() {
		self.me = &Process{name: b.Name, path: b.Path, pid: os.Getpid(), state: started, done: make(chan struct{})}
		self.parent = &ParentProcess{name: b.ParentName, pid: parentPID, gone: gone}
	})
}

// Current is this process. Its Name is MainProcess in a process that was not started by this package.
func Current() *Process {
	self.once.Do(func() {
		self.me = &Process{name: "MainProcess", pid: os.Getpid(), state: started, done: make(chan struct{})}
	})
	return self.me
}

// A ParentProcess is the parent of a child as the child sees it.
type ParentProcess struct {
	name string
	pid  int
	gone <-chan struct{}
}

// Parent is the process that started this one; nil in a process that was not started by this package.
func Parent() *ParentProcess {
	Current()
	return self.parent
}

// Name is the parent's name.
func (p *ParentProcess) Name() string { return p.name }

// PID is the parent's process id.
func (p *ParentProcess) PID() int { return p.pid }

// Done is closed when the parent is gone. A child has half a second after that before it ends too.
func (p *ParentProcess) Done() <-chan struct{} { return p.gone }

// Alive tells whether the parent still runs.
func (p *ParentProcess) Alive() bool {
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}
