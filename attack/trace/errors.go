package trace

import "errors"

var (
	// ErrNotPermitted: the kernel refused ptrace.
	ErrNotPermitted = errors.New("ptrace is not permitted here (kernel.yama.ptrace_scope, a seccomp filter, " +
		"or another debugger holds the thread)")

	// ErrNotReached: the run went another way than the recorded one, and the operation ended before the point. The
	// victim stands at the end.
	ErrNotReached = errors.New("point not reached")

	// ErrTimeout: the caller's context ended first. The victim was killed.
	ErrTimeout = errors.New("victim killed at the caller's time limit")

	// ErrExited: the victim ended by itself.
	ErrExited = errors.New("victim ended by itself")

	// ErrNoOperation: the victim ended, or its time did, without having called Operation.
	ErrNoOperation = errors.New("victim did not call trace.Operation")

	// ErrNoSymbol: an Options.Code selector that matches no function.
	ErrNoSymbol = errors.New("no function matches")

	// ErrTooLong: more instructions than Options.MaxInstructions.
	ErrTooLong = errors.New("operation has more instructions than the limit")

	// ErrState: the victim is not where the call needs it.
	ErrState = errors.New("victim is in the wrong state for this")
)
