//go:build linux

package sweep

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// isSubreaper says whether orphans below this process become its children.
func isSubreaper() bool {
	var was int32
	unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&was)), 0)
	return was != 0
}
