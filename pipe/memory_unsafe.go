package pipe

import "unsafe"

// memoryOf is the memory of a slice of plain values.
func memoryOf[T any](vs []T) []byte {
	var v T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(vs))), uintptr(len(vs))*unsafe.Sizeof(v))
}
