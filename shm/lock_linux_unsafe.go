//go:build linux

package shm

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tryLockNow is tryLock without telling Go's scheduler, for who asks every second: a system call that is announced wakes a
// watchdog thread of the runtime's in an idle process.
func tryLockNow(f *os.File, kind int16, at int64) (bool, error) {
	return lockByte(f, kind, at, func(fd uintptr, cmd int, l *unix.Flock_t) error {
		if _, _, errno := unix.RawSyscall(unix.SYS_FCNTL, fd, uintptr(cmd), uintptr(unsafe.Pointer(l))); errno != 0 {
			return errno
		}
		return nil
	})
}
