// Package move copies large blocks in a way that Go's memmove does not, without a crossing into C. It is a package of its own
// because assembly and cgo cannot share one.
//
// # Concurrency
//
// The goroutine cannot be preempted within a copy: it is cut into pieces.
//
// # Crash behaviour
//
// As of a loop of stores: killed in the middle, some bytes are there. What publishes them comes later.
package move

// piece is how much is copied at once: some 10 µs, during which a garbage collection would have to wait.
const piece = 256 << 10

// Least is the smallest block.
const Least = 64
