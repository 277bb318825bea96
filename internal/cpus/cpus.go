// Package cpus counts the processors that this process may really use: the affinity mask, cut by the cgroup's quota.
//
// # Concurrency
//
// Usable may be called from any goroutine; it looks again at most once every few seconds.
//
// # Crash behaviour
//
// Nothing here outlives the process.
package cpus

import (
	"sync"
	"time"
)

const lookAgain = 5 * time.Second

var cache struct {
	mu    sync.Mutex
	n     int
	until time.Time
}

// Usable is the number of processors that the process can keep busy, at least 1. A quota of 150 % counts as 2.
func Usable() int {
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if now := time.Now(); now.After(cache.until) {
		cache.n = max(1, count())
		cache.until = now.Add(lookAgain)
	}
	return cache.n
}

// Forget makes the next Usable look again, for who has just changed the affinity.
func Forget() {
	cache.mu.Lock()
	cache.until = time.Time{}
	cache.mu.Unlock()
}
