//go:build race

package race

import (
	"runtime"
	"sync"
	"unsafe"
)

// Enabled tells whether the race detector runs.
const Enabled = true

// A Word is the shadow of a shared word.
type Word struct{ p *byte }

var shadows sync.Map // Key: *byte

// For returns the shadow of a shared word: the same for all who ask in this process.
func For(k Key) Word {
	p, _ := shadows.LoadOrStore(k, new(byte))
	return Word{p.(*byte)}
}

// Release publishes what this goroutine did to whoever calls Acquire later.
func (w Word) Release() { runtime.RaceReleaseMerge(unsafe.Pointer(w.p)) }

// Acquire takes over what was published.
func (w Word) Acquire() { runtime.RaceAcquire(unsafe.Pointer(w.p)) }
