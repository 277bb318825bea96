//go:build !linux

package cpus

import "runtime"

func count() int { return Affinity() }

// Affinity is how many processors the process may run on.
func Affinity() int { return runtime.NumCPU() }

// Pin keeps the calling goroutine on a thread of its own until undo.
func Pin(int) (undo func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
