// Package process is multiprocessing.Process: functions that run in other processes of the same program.
//
//	type args struct {
//		Work *pipe.Conn[Job]
//		Seed uint64
//	}
//
//	var crunch = process.Define("crunch", func(ctx context.Context, a args) error {
//		for job, err := range a.Work.All(ctx) { … }
//		return nil
//	})
//
//	func main() { process.Main(run) }
//
//	func run(ctx context.Context) error {
//		p, err := crunch.Start(ctx, args{Work: end, Seed: 1})
//		…
//		return p.Wait(ctx)
//	}
//
// A child is this program again, executed anew (Go cannot fork): package variables are initialised, and Main, or Init,
// runs the function instead of the program. Arguments and results travel through shared memory; what is shared, like the
// ends of a connection, travels as a handle, and leads to the same thing in the child. A child's standard output and error
// are the parent's; its standard input is empty.
//
// The function's context ends when the parent does. An error that it returns, or its panic with the stack, is printed on
// standard error and returned by Wait; its process then leaves in order, so its peers see an end and not a death.
//
// # Contexts
//
// Start's context bounds the starting, Wait's the waiting; neither ends the child. Terminate and Kill do.
//
// # Concurrency
//
// All functions and methods may be called from any goroutine.
//
// # Crash behaviour
//
// A child that is killed ends its Wait with an *ExitError that names the signal; what it held of shared objects is settled
// by the living. No child outlives its parent: half a second after the parent's death it ends, whatever it does, unless it
// is stopped, or has not reached Main or Init yet. A child that never reaches Main or Init explains itself on standard error at its first use of Tandem, and
// Wait returns ErrNoHello.
package process
