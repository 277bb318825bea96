// Package crows holds the neighbours that are written in C: what the machine itself charges for a cache line, a sleep and
// a copy, and two rings, the fastest we know how to write and the best-known one.
//
// Without cgo or a C compiler the package builds all the same; [Available] is then false and every function returns
// [ErrUnavailable].
//
// # Concurrency
//
// A [Run] belongs to one goroutine. What lies in its shared memory is written by exactly two processes, one at each end.
//
// # Crash behaviour
//
// None: these are yardsticks. An end whose peer is gone waits for ever; whoever starts the two has to end them.
package crows

import (
	"errors"
	"fmt"
)

// ErrUnavailable matches errors.ErrUnsupported: there are no C rows in this binary.
var ErrUnavailable = fmt.Errorf("crows: built without cgo or without a C compiler: %w", errors.ErrUnsupported)

// End is one end of a C row.
type End int

// The ends. Those in a pair run in two processes on the same memory; Memcpy is alone.
const (
	RingProduce End = iota
	RingConsume
	RingPing
	RingPong
	IndexProduce
	IndexConsume
	LinePing
	LinePong
	OneLinePing
	OneLinePong
	FutexPing
	FutexPong
	CopyIn
	CopyOut
	Memcpy
)

// Run describes one run of one end.
type Run struct {
	Mem      []byte // shared, zeroed by one end before either starts
	End      []byte // shared word: how many messages there are in all, written by the producer
	Messages []byte // whole messages of Size bytes, a power of two of them
	Out      []byte // the consumer's copy: Batch messages
	Size     int    // bytes
	Batch    int    // messages published at once
	Chunk    int    // messages between two looks at the clock, a multiple of Batch
	Deadline int64  // CLOCK_MONOTONIC, nanoseconds
	ZeroCopy bool   // write and read only the first word
	Yield    bool   // both ends have one CPU
	Samples  []int64
	Every    int // one round trip in so many is sampled; a power of two

	// Results.
	Count int64  // messages or round trips
	Sum   uint64 // of one word of every line received
	Taken int    // samples
}

// Reads says whether this end reads whole messages and sums them up.
func (e End) Reads() bool {
	switch e {
	case RingConsume, IndexConsume, CopyOut, Memcpy:
		return true
	}
	return false
}
