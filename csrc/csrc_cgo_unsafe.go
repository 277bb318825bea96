//go:build cgo && linux

package csrc

/*
#cgo CFLAGS: -O3
#cgo noescape td_spsc_push_flat
#cgo nocallback td_spsc_push_flat
#cgo noescape td_spsc_push_list
#cgo nocallback td_spsc_push_list
#cgo noescape td_spsc_pop_flat
#cgo nocallback td_spsc_pop_flat
#cgo noescape td_spsc_pop_list
#cgo nocallback td_spsc_pop_list
#cgo noescape td_copy
#cgo nocallback td_copy
#include "spsc.h"
*/
import "C"

import (
	"unsafe"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// Available tells whether this build has the C side.
const Available = true

// The structs of both sides are the same.
var zero [1]struct{}

var (
	_ = zero[unsafe.Sizeof(Producer{})-C.sizeof_struct_td_producer]
	_ = zero[unsafe.Sizeof(Consumer{})-C.sizeof_struct_td_consumer]
	_ = zero[unsafe.Sizeof(layout.Ring{})-C.sizeof_struct_td_ring]
	_ = zero[unsafe.Sizeof(layout.Conn{})-C.sizeof_struct_td_conn]
	_ = zero[unsafe.Sizeof(layout.Root{})-C.sizeof_struct_td_root]
)

func ring(r *layout.Ring) *C.struct_td_ring { return (*C.struct_td_ring)(unsafe.Pointer(r)) }

func bytes(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }

// PushFlat pushes n records of size bytes each, back to back in buf.
func PushFlat(r *layout.Ring, data []byte, p *Producer, buf []byte, size, n int) (int, Status) {
	_ = buf[:size*n]
	var st C.uint32_t
	k := C.td_spsc_push_flat(ring(r), bytes(data), (*C.struct_td_producer)(unsafe.Pointer(p)), bytes(buf),
		C.uint64_t(size), C.uint64_t(n), &st)
	return int(k), Status(st)
}

// PushList pushes records of the given lengths, back to back in buf.
func PushList(r *layout.Ring, data []byte, p *Producer, buf []byte, lens []uint32) (int, Status) {
	var st C.uint32_t
	k := C.td_spsc_push_list(ring(r), bytes(data), (*C.struct_td_producer)(unsafe.Pointer(p)), bytes(buf),
		(*C.uint32_t)(unsafe.SliceData(lens)), C.uint64_t(len(lens)), &st)
	return int(k), Status(st)
}

// PopFlat pops up to n records of exactly size bytes into dst.
func PopFlat(r *layout.Ring, data []byte, c *Consumer, dst []byte, size, n int) (int, Status) {
	_ = dst[:size*n]
	var st C.uint32_t
	k := C.td_spsc_pop_flat(ring(r), bytes(data), (*C.struct_td_consumer)(unsafe.Pointer(c)), bytes(dst),
		C.uint64_t(size), C.uint64_t(n), &st)
	return int(k), Status(st)
}

// PopList pops records of any length, back to back into dst; lens gets their lengths.
func PopList(r *layout.Ring, data []byte, c *Consumer, dst []byte, lens []uint32) (int, Status) {
	var st C.uint32_t
	k := C.td_spsc_pop_list(ring(r), bytes(data), (*C.struct_td_consumer)(unsafe.Pointer(c)), bytes(dst),
		C.uint64_t(len(dst)), (*C.uint32_t)(unsafe.SliceData(lens)), C.uint64_t(len(lens)), &st)
	return int(k), Status(st)
}

// bulk copies src to dst, which has the same length.
func bulk(dst, src []byte) {
	C.td_copy(unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(src)), C.uint64_t(len(src)))
}
