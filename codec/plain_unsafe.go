package codec

import (
	"reflect"
	"unsafe"
)

// The functions below take a *T of which only the codec's form says what it is. None lets v escape.

// bytesOf returns the memory of *v.
func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// stringOf is for a T whose underlying type is string.
func stringOf[T any](v *T) *string { return (*string)(unsafe.Pointer(v)) }

// charactersOf returns the memory of a string, which is not to be written.
func charactersOf[T any](v *T) []byte {
	s := *stringOf(v)
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// elementsOf returns the memory of the elements of a slice, size bytes each.
func elementsOf[T any](v *T, size int) []byte {
	s := *(*[]byte)(unsafe.Pointer(v)) // all slices have the same header; this one's length counts elements
	return unsafe.Slice(unsafe.SliceData(s), len(s)*size)
}

// resize gives *v, a slice of type t, n elements, in the same memory if there is enough of it.
func resize[T any](v *T, t reflect.Type, n int) {
	s := (*[]byte)(unsafe.Pointer(v)) // as above
	if *s == nil || n > cap(*s) {
		*s = unsafe.Slice((*byte)(reflect.MakeSlice(t, n, n).UnsafePointer()), n)
	}
	*s = (*s)[:n]
}
