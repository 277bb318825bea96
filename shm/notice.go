package shm

import (
	"errors"
	"sync"
)

// Notice: the kernel marks a word and wakes a sleeper when a thread of ours dies, within 0.1 to 1 ms of a SIGKILL and
// however large the process is. That is a hint; proof is the slot's lock, which goes when the memory does.
//
// One thread per process does nothing else: it is locked, parked for ever, and has a robust list of its own. For each
// Space there is a region of two parts at a fixed distance: a private page with list nodes, and behind it a second
// mapping of the root's life words. The kernel finds a word by its node's address plus that distance; the nodes are
// private because it follows their pointers.

// mostNodes is how many entries of a robust list the kernel follows.
const mostNodes = 2048

var errNoNotice = errors.New("the kernel gives no notice of deaths here")

// notice is the state of the thread. mu guards the list against our own goroutines; the kernel reads it when none of
// them runs any more, so each change is a single store.
var notice struct {
	mu    sync.Mutex
	start sync.Once
	tid   uint32 // 0: no notice here
	head  uintptr
	nodes int
}
