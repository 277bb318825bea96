package main

import "unsafe"

// bytesOf is an array's own memory.
func bytesOf[T value](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// arrayOf is the beginning of b as an array.
func arrayOf[T value](b []byte) (v T) {
	copy(bytesOf(&v), b)
	return v
}

// readArray notes that an array was received.
func readArray[T value](r *Role, v *T) { r.Read(bytesOf(v)) }
