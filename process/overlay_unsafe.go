package process

import (
	"unsafe"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// overlay lays the struct over a header that package shm has found to be a process's.
func overlay(header []byte) *layout.Process {
	_ = header[:layout.SizeProcess]
	return (*layout.Process)(unsafe.Pointer(unsafe.SliceData(header)))
}
