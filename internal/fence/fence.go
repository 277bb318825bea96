// Package fence makes the common side of a wake-up protocol cheap.
//
// Who publishes must not have its store overtaken by its look at the sleeper's flag. A sequentially consistent store
// (XCHG on amd64) forbids that and costs 5 to 20 ns for every message. The asymmetric form moves the cost to who sleeps:
// the publisher uses StoreRelease, the sleeper calls Heavy between raising its flag and its last look. Heavy is
// membarrier(GLOBAL_EXPEDITED), which reaches the processors that run processes registered by Register; a process that is
// not Registered must keep to full stores. See docs/decisions/001-fences.md for the figures.
//
// On processors whose ordinary sequentially consistent store is cheap (arm64: STLR, which a later LDAR does not overtake)
// nothing of this is needed and Asymmetric is false.
//
// # Concurrency
//
// Everything may be called from any goroutine.
//
// # Crash behaviour
//
// Nothing here outlives the process.
package fence

import "sync/atomic"

var state atomic.Int32 // 0 not asked for, 1 being registered, 2 registered, 3 impossible

// Full orders everything before it against everything after it, where StoreRelease does not do so by itself.
func Full() {
	if Asymmetric {
		full.Add(1)
	}
}

var full atomic.Uint32

// Registered tells whether this process may use StoreRelease where a sleeper promises Heavy.
func Registered() bool { return state.Load() == 2 }

// Register makes Registered true in a while. The first registration of a process with threads waits for the kernel's
// read-copy-update, some milliseconds, so it is done in the background, and only by processes that turn out to be hot.
func Register() {
	if Asymmetric && state.Load() == 0 && state.CompareAndSwap(0, 1) {
		go func() {
			if register() {
				state.Store(2)
			} else {
				state.Store(3)
			}
		}()
	}
}
