// Package race tells the race detector what it cannot see: order that was made through shared memory. The detector
// ignores atomics on mapped memory, so a send and its receive inside one process look unordered to it. Each object keeps
// a shadow word on the Go heap; Release and Acquire on it stand for the shared word. Without -race all of it is nothing.
package race

// A Word is the shadow of a shared word.
type Word struct{ _ byte }
