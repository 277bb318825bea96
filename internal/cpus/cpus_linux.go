package cpus

import (
	"math"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/cgroup"
)

func count() int {
	n := Affinity()
	if q := cgroup.CPUs(); q > 0 {
		n = min(n, int(math.Ceil(q)))
	}
	return n
}

// Affinity is how many processors the threads of the process may run on, together.
func Affinity() int {
	if set, ok := affinity("/proc/self/task"); ok {
		return set.Count()
	}
	return runtime.NumCPU()
}

// affinity is what any thread of the process may run on: who pins a thread does not take the other processors from the rest.
func affinity(tasks string) (all unix.CPUSet, ok bool) {
	threads, err := os.ReadDir(tasks)
	if err != nil {
		return all, unix.SchedGetaffinity(0, &all) == nil
	}
	for _, t := range threads {
		var set unix.CPUSet
		tid, err := strconv.Atoi(t.Name())
		if err != nil || unix.SchedGetaffinity(tid, &set) != nil {
			continue // it has ended
		}
		for i := range all {
			all[i] |= set[i]
		}
		ok = true
	}
	return all, ok
}

// Pin keeps the calling goroutine on a thread of its own, on the k-th of the processors that it may use, until undo. Where
// that is impossible it only keeps the thread.
func Pin(k int) (undo func()) {
	runtime.LockOSThread()
	var was, only unix.CPUSet
	if unix.SchedGetaffinity(0, &was) != nil {
		return runtime.UnlockOSThread
	}
	for cpu := range 64 * len(was) {
		if !was.IsSet(cpu) {
			continue
		}
		if k--; k < 0 {
			only.Set(cpu)
			break
		}
	}
	if only.Count() == 0 || unix.SchedSetaffinity(0, &only) != nil {
		return runtime.UnlockOSThread
	}
	return func() {
		if unix.SchedSetaffinity(0, &was) == nil {
			runtime.UnlockOSThread() // otherwise the thread ends with the goroutine
		}
	}
}
