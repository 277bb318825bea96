//go:build linux

package shm

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An alarm calls a function at a time that is set. It is a timer of the kernel that Go's network poller waits for, read
// without telling the scheduler: an idle process is woken by one switch of threads. A timer of Go's makes it 5, a system call
// that times out 9 (docs/decisions/005-idle.md). Where there is no such timer, or epoll does not take it, it is one of Go's.
type alarm struct {
	file  *os.File
	timer *time.Timer
}

func newAlarm(ring func()) *alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return &alarm{timer: time.AfterFunc(lastLook, ring)}
	}
	file := os.NewFile(uintptr(fd), "alarm")
	if file.SetReadDeadline(time.Time{}) != nil { // not in the network poller: it would never be read
		file.Close()
		return &alarm{timer: time.AfterFunc(lastLook, ring)}
	}
	a := &alarm{file: file}
	go a.serve(ring)
	return a
}

func (a *alarm) serve(ring func()) {
	conn, err := a.file.SyscallConn()
	if err != nil {
		return // stopped
	}
	expired := func(fd uintptr) bool {
		var times uint64
		n, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&times)), 8)
		return errno == 0 && n == 8
	}
	for conn.Read(expired) == nil { // an error: stopped
		ring()
	}
}

// set replaces the time at which it rings.
func (a *alarm) set(in time.Duration) {
	if a.timer != nil {
		a.timer.Reset(in)
		return
	}
	conn, err := a.file.SyscallConn()
	if err != nil {
		return // stopped
	}
	_ = conn.Control(func(fd uintptr) { // fails when stopped
		at := [2]unix.Timespec{1: unix.NsecToTimespec(int64(in))} // the first is an interval: once
		unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&at)), 0, 0, 0)
	})
}

// stop ends it. It may be ringing still.
func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
		return
	}
	a.file.Close()
}
