// Package cpus counts the processors that this process may really use: the affinity mask, cut by the cgroup's quota.
//
// # Concurrency
//
// Usable may be called from any goroutine; it looks again every few seconds.
//
// # Crash behaviour
//
// Nothing here outlives the process.
package cpus

import (
	"sync/atomic"
	"time"
)

const lookAgain = 5 * time.Second

var (
	start = time.Now()
	n     atomic.Int64 // 0: not counted yet
	until atomic.Int64 // after start: count again then
)

// Usable is the number of processors that the process can keep busy, at least 1. A quota of 150 % counts as 2. It is asked
// before every wait: it answers with what it knows, and looks again in the background now and then.
func Usable() int {
	now, due := int64(time.Since(start)), until.Load()
	switch {
	case n.Load() == 0:
		refresh()
	case now >= due && until.CompareAndSwap(due, now+int64(lookAgain)):
		go refresh()
	}
	return int(n.Load())
}

// Forget makes Usable look again at once, for who has just changed the affinity.
func Forget() { refresh() }

func refresh() {
	n.Store(int64(max(1, count())))
	until.Store(int64(time.Since(start) + lookAgain))
}
