// Package race tells the race detector what it cannot see: order that was made through shared memory. The detector
// ignores atomics on mapped memory, so a send and its receive inside one process look unordered to it. Release and
// Acquire on a shadow word on the Go heap stand for the shared word. Without -race all of it is nothing.
package race

// A Key names a shared word in this process: a Space and a place in it.
type Key [2]uint64
