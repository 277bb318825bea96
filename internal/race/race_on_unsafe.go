//go:build race

package race

import (
	"runtime"
	"unsafe"
)

// Enabled tells whether the race detector runs.
const Enabled = true

// Release publishes what this goroutine did to whoever calls Acquire later.
func (w *Word) Release() { runtime.RaceReleaseMerge(unsafe.Pointer(w)) }

// Acquire takes over what was published.
func (w *Word) Acquire() { runtime.RaceAcquire(unsafe.Pointer(w)) }
