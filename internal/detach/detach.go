// Package detach starts a process that is nobody's child: not in the list of this process's children, reported to nobody who
// waits for any child, without a signal at its start or end. It leads a session of its own, in the root directory, has no
// descriptor but those it is given, and is born with all signals blocked (of which a Go program unblocks some).
//
// It is what fork twice and exec is elsewhere. Go's own fork cannot do it, because its child is a child like any other until
// it has executed a program and forked again: who waits for any child could meet it, and gets a SIGCHLD.
//
// # Concurrency
//
// Start may be called from any goroutine. It holds its thread, and a processor of Go's, until the new program is executed:
// about half a millisecond.
//
// # Crash behaviour
//
// Killed in the middle, this process leaves a detached process that runs its program, or none.
package detach

import "errors"

// ErrAdopts is returned by Start where the new process would become this process's child.
var ErrAdopts = errors.New("orphans become children of this process")
