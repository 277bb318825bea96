//go:build linux

package tracker

import (
	"syscall"
	"unsafe"

	"github.com/tandem-ipc/tandem/internal/layout"
)

const (
	ofdSetLockWait = 38 // F_OFD_SETLKW
	refused        = 70 // EX_SOFTWARE
)

// Tracking tells whether this process is a tracker. Its tree is dead, then.
var Tracking = wait()

func wait() bool {
	if _, ok := syscall.Getenv(Env); !ok {
		return false
	}
	name := [16]byte{}
	copy(name[:15], Name)
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_NAME, uintptr(unsafe.Pointer(&name)), 0)
	for {
		l := syscall.Flock_t{Type: syscall.F_WRLCK, Start: layout.LockMapped, Len: 1}
		switch err := syscall.FcntlFlock(layout.TreeFile, ofdSetLockWait, &l); err {
		case nil:
			return true
		case syscall.EINTR:
		default:
			syscall.Write(2, []byte("tandem: "+Env+" is set, which makes this process a resource tracker, but descriptor 3 is not a tree file: "+err.Error()+"\n"))
			syscall.Exit(refused)
		}
	}
}
