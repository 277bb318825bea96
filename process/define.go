package process

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/tandem-ipc/tandem/codec"
)

// A Func is a function that runs in other processes, and takes an A.
type Func[A any] struct{ d *definition }

// A ResultFunc is a Func that returns an R as well.
type ResultFunc[A, R any] struct{ d *definition }

// definition is what the registry knows of a function: enough to run it from bytes.
type definition struct {
	name  string
	where string
	err   error // why it cannot be started

	result bool // it returns one

	// prepare decodes the arguments and returns the call, which returns the encoded result.
	prepare func(args []byte) (call, error)
}

type call func(context.Context) ([]byte, error)

var registry struct {
	mu sync.Mutex
	by map[string]*definition
}

// Define gives f a name under which a child finds it. Call it in the declaration of a package variable, so that the child,
// which is the same program, defines it too:
//
//	var render = process.Define("render", func(ctx context.Context, a args) error { … })
//
// The name is unique in the program. A second function of the same name, and arguments that cannot be encoded, are
// reported by Start.
func Define[A any](name string, f func(ctx context.Context, args A) error) *Func[A] {
	args, err := codec.For[A]()
	return &Func[A]{define(name, err, func(b []byte) (call, error) {
		var a A
		if err := args.Decode(b, &a); err != nil {
			return nil, err
		}
		return func(ctx context.Context) ([]byte, error) { return nil, f(ctx, a) }, nil
	})}
}

// DefineResult is Define for a function with a result, which Wait returns.
func DefineResult[A, R any](name string, f func(ctx context.Context, args A) (R, error)) *ResultFunc[A, R] {
	args, err := codec.For[A]()
	result, rerr := codec.For[R]()
	if err == nil {
		err = rerr
	}
	d := define(name, err, func(b []byte) (call, error) {
		var a A
		if err := args.Decode(b, &a); err != nil {
			return nil, err
		}
		return func(ctx context.Context) ([]byte, error) {
			r, err := f(ctx, a)
			if err != nil {
				return nil, err
			}
			return result.Append(nil, &r)
		}, nil
	})
	d.result = true
	return &ResultFunc[A, R]{d}
}

func define(name string, err error, prepare func([]byte) (call, error)) *definition {
	_, file, line, _ := runtime.Caller(2)
	d := &definition{name: name, where: fmt.Sprintf("%s:%d", file, line), err: err, prepare: prepare}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	switch other := registry.by[name]; {
	case name == "":
		d.err = fmt.Errorf("the function at %s has no name", d.where)
	case other != nil:
		d.err = fmt.Errorf("two functions are called %q: at %s and at %s", name, other.where, d.where)
		other.err = d.err
	default:
		if registry.by == nil {
			registry.by = map[string]*definition{}
		}
		registry.by[name] = d
	}
	return d
}

func lookup(name string) (*definition, error) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if d := registry.by[name]; d != nil {
		return d, nil
	}
	names := make([]string, 0, len(registry.by))
	for n := range registry.by {
		names = append(names, n)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("this program defines no function %q, but %q: Define belongs into the declaration of a package variable", name, names)
}

// New makes a process that will run the function; Start starts it. It gets its number, and so its name, here.
func (f *Func[A]) New(args A, opts ...Option) *Process {
	return newProcess(f.d, func() ([]byte, error) { return encode(&args) }, opts)
}

// Start makes and starts a process. ctx bounds the starting only.
func (f *Func[A]) Start(ctx context.Context, args A, opts ...Option) (*Process, error) {
	p := f.New(args, opts...)
	return p, p.Start(ctx)
}

// New makes a process that will run the function; Start starts it.
func (f *ResultFunc[A, R]) New(args A, opts ...Option) *Task[R] {
	return &Task[R]{newProcess(f.d, func() ([]byte, error) { return encode(&args) }, opts)}
}

// Start makes and starts a process. ctx bounds the starting only.
func (f *ResultFunc[A, R]) Start(ctx context.Context, args A, opts ...Option) (*Task[R], error) {
	t := f.New(args, opts...)
	return t, t.Start(ctx)
}

func encode[A any](a *A) ([]byte, error) {
	c, err := codec.For[A]()
	if err != nil {
		return nil, err
	}
	return c.Append(nil, a)
}

// A Task is a process with a result.
type Task[R any] struct{ *Process }

// Wait waits until the process has ended and returns its result. Errors as Process.Wait.
func (t *Task[R]) Wait(ctx context.Context) (R, error) {
	var r R
	if err := t.Process.Wait(ctx); err != nil {
		return r, err
	}
	c, err := codec.For[R]()
	if err == nil {
		err = c.Decode(t.result, &r)
	}
	if err != nil {
		return r, fmt.Errorf("process: result of %s: %w", t.Name(), err)
	}
	return r, nil
}
