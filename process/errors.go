package process

import (
	"errors"
	"fmt"
)

var (
	// ErrNotStarted is returned for operations on a process that was not started.
	ErrNotStarted = errors.New("not started")

	// ErrStarted is returned by a second Start: a process is started once.
	ErrStarted = errors.New("already started")

	// ErrParentDied is the cause of a child's context that ended because its parent did.
	ErrParentDied = errors.New("the parent process died")

	// ErrNoHello is matched by the error of a child that ended without ever taking its arguments.
	ErrNoHello = errors.New("ended before it took its arguments: its standard error may say why; or main does not call process.Main, " +
		"or process.Init first of all (TestMain too, in a test binary)")

	// ErrNoResult is matched by the error of a child that ended with code 0 and without a result: by os.Exit.
	ErrNoResult = errors.New("ended without a result")
)

// An ExitError is returned by Wait for a process that did not end with code 0.
type ExitError struct {
	Name string
	PID  int
	Code int   // as ExitCode
	Err  error // what is known of the reason: an error of the function, a panic, ErrNoHello; may be nil
}

func (e *ExitError) Error() string {
	what := fmt.Sprintf("ended with code %d", e.Code)
	if e.Code < 0 {
		what = "was killed by " + signalConstant(-e.Code)
	}
	if e.Err != nil {
		return fmt.Sprintf("process: %s (pid %d) %s: %v", e.Name, e.PID, what, e.Err)
	}
	return fmt.Sprintf("process: %s (pid %d) %s", e.Name, e.PID, what)
}

func (e *ExitError) Unwrap() error { return e.Err }

// A RemoteError is an error that the function returned, or its panic, as far as it crosses between processes: by its
// text.
type RemoteError struct {
	Text  string
	Panic bool
	Stack string // of a panic
}

func (e *RemoteError) Error() string {
	if e.Panic {
		return "panic: " + e.Text
	}
	return e.Text
}
