package pipe

import (
	"unsafe"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// overlay lays the struct over a header that package shm has found to be a connection's: it lies in a slab of headers,
// aligned and large enough, for as long as the object is held.
func overlay(header []byte) *layout.Conn {
	_ = header[:layout.SizeConn]
	return (*layout.Conn)(unsafe.Pointer(unsafe.SliceData(header)))
}
