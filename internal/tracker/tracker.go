// Package tracker is where a process waits that was started as a resource tracker: at the start of the program, before
// anything of the user's. It waits for the death of its process tree, and then lets the program go on, to package shm,
// which cleans up and ends the process before main.
//
// It imports almost nothing, so that Go initialises it before package os, and so before all packages that can do anything.
// With cgo it has nothing to wait for: the constructor in csrc/tracker_linux.c has done so, before there was a Go runtime.
//
// # Concurrency
//
// All happens in init.
//
// # Crash behaviour
//
// A tracker that is killed is not missed by those whom it tracks; what it would have removed is removed by the next sweep.
package tracker

const (
	// Env makes a process a tracker. csrc/tracker_linux.c knows it.
	Env = "TANDEM_TRACKS"

	// Name is what the process is called, where the kernel says so.
	Name = "tandem-tracker"
)
