//go:build cgo && linux

package crows

/*
#cgo CFLAGS: -O3 -std=gnu11 -Wall -Wextra
#include "crows.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Available says whether the C rows are in this binary.
const Available = true

// Compiler names the C compiler and its version.
func Compiler() string { return C.GoString(C.crows_compiler()) }

// Do runs one end to its end, on the calling thread.
func Do(end End, r *Run) error {
	// C keeps the pointers for the length of one call.
	var pins runtime.Pinner
	defer pins.Unpin()
	bytes := func(b []byte) *C.char {
		p := unsafe.SliceData(b)
		if p != nil {
			pins.Pin(p)
		}
		return (*C.char)(unsafe.Pointer(p))
	}
	c := C.crows_run{
		mem:      bytes(r.Mem),
		bytes:    C.uint64_t(len(r.Mem)),
		end:      (*C.uint64_t)(unsafe.Pointer(bytes(r.End))),
		msgs:     bytes(r.Messages),
		nmsgs:    C.uint64_t(len(r.Messages) / max(r.Size, 1)),
		out:      bytes(r.Out),
		size:     C.uint64_t(r.Size),
		batch:    C.uint64_t(r.Batch),
		chunk:    C.uint64_t(r.Chunk),
		deadline: C.int64_t(r.Deadline),
		every:    C.uint64_t(max(r.Every, 1)),
		nsamples: C.uint64_t(len(r.Samples)),
	}
	if p := unsafe.SliceData(r.Samples); p != nil {
		pins.Pin(p)
		c.samples = (*C.int64_t)(unsafe.Pointer(p))
	}
	if r.ZeroCopy {
		c.zerocopy = 1
	}
	if r.Yield {
		c.yield = 1
	}
	call(end, &c)
	r.Count, r.Sum, r.Taken = int64(c.count), uint64(c.sum), int(c.taken)
	return nil
}

func call(end End, c *C.crows_run) {
	switch end {
	case RingProduce:
		C.crows_ring_produce(c)
	case RingConsume:
		C.crows_ring_consume(c)
	case RingPing:
		C.crows_ring_ping(c)
	case RingPong:
		C.crows_ring_pong(c)
	case IndexProduce:
		C.crows_index_produce(c)
	case IndexConsume:
		C.crows_index_consume(c)
	case LinePing:
		C.crows_line_ping(c)
	case LinePong:
		C.crows_line_pong(c)
	case OneLinePing:
		C.crows_one_line_ping(c)
	case OneLinePong:
		C.crows_one_line_pong(c)
	case FutexPing:
		C.crows_futex_ping(c)
	case FutexPong:
		C.crows_futex_pong(c)
	case CopyIn:
		C.crows_copy_in(c)
	case CopyOut:
		C.crows_copy_out(c)
	case Memcpy:
		C.crows_memcpy(c)
	}
}
