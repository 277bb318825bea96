package shm

import (
	"sync/atomic"
	"unsafe"
)

// view lays a T over mem at off. The mapping outlives the result because every object keeps its Space attached; the
// garbage collector neither moves nor frees it. It panics outside of mem: offsets from shared memory are checked before.
func view[T any](mem []byte, off int64) *T {
	var t T
	return (*T)(unsafe.Pointer(unsafe.SliceData(mem[off : off+int64(unsafe.Sizeof(t))])))
}

// views lays n Ts over mem at off.
func views[T any](mem []byte, off int64, n int) []T {
	var t T
	b := mem[off : off+int64(n)*int64(unsafe.Sizeof(t))]
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// word is a futex word inside mem.
func word(mem []byte, off int64) *atomic.Uint32 { return view[atomic.Uint32](mem, off) }

// bytesOf is the memory of v, for reading headers by pread.
func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// addressOf is where a mapping lies, for comparing with what the kernel says.
func addressOf(mem []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))) }

// offsetIn is how far b starts behind base, both of one mapping.
func offsetIn(base *byte, b []byte) int64 {
	return int64(uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(base)))
}
