package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the clock that all processes share, in nanoseconds.
func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail
	return t.Nano()
}

// allowedCPUs are those that this process may run on.
func allowedCPUs() ([]int, error) {
	var s unix.CPUSet
	if err := unix.SchedGetaffinity(0, &s); err != nil {
		return nil, fmt.Errorf("bench: sched_getaffinity: %w", err)
	}
	var cpus []int
	for i := range len(s) * 64 {
		if s.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus, nil
}

// processCPUs is the mask this process was started with; unpinThread returns to it.
var processCPUs = func() (s unix.CPUSet) {
	_ = unix.SchedGetaffinity(0, &s)
	return s
}()

// pinThread binds the calling thread, which must be locked, to one CPU.
func pinThread(cpu int) error { return setThreadCPUs([]int{cpu}) }

func setThreadCPUs(cpus []int) error {
	var s unix.CPUSet
	for _, c := range cpus {
		s.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &s); err != nil {
		return fmt.Errorf("bench: sched_setaffinity to %v: %w", cpus, err)
	}
	return nil
}

func unpinThread() error {
	if err := unix.SchedSetaffinity(0, &processCPUs); err != nil {
		return fmt.Errorf("bench: sched_setaffinity: %w", err)
	}
	return nil
}

// sharedFile is memory without a name: nothing is left of it, however the processes end.
func sharedFile(n int) (*os.File, error) {
	fd, err := unix.MemfdCreate("tandem-bench", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("bench: memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "shared")
	if err := f.Truncate(int64(n)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func mapShared(fd, n int) ([]byte, error) {
	m, err := unix.Mmap(fd, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("bench: mmap: %w", err)
	}
	return m, nil
}

// socketPair is two connected sockets.
func socketPair(typ int) (fds [2]int, err error) {
	fds, err = unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fds, fmt.Errorf("bench: socketpair: %w", err)
	}
	return fds, nil
}

const (
	peerSocket   = unix.SOCK_SEQPACKET
	streamSocket = unix.SOCK_STREAM
)

// osBuffer is what pipes and sockets are asked to hold, in bytes: what the kernel lets an ordinary user have of a pipe by
// default. Where it lets them have less they keep what they have.
const osBuffer = 1 << 20

// pipePair is the reading and the writing end of pipe(2), both blocking.
func pipePair() (fds [2]int, err error) {
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return fds, fmt.Errorf("bench: pipe: %w", err)
	}
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, osBuffer)
	return fds, nil
}

func growBuffers(sockets [2]int) {
	for _, fd := range sockets {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, osBuffer)
	}
}

func tell(socket int, b []byte, fds []int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(socket, b, rights, nil, 0); err != nil {
		return fmt.Errorf("bench: tell: %w", err)
	}
	return nil
}

func hear(socket int) ([]byte, []int, error) {
	b, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(16*4))
	n, m, _, _, err := unix.Recvmsg(socket, b, oob, unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR {
		n, m, _, _, err = unix.Recvmsg(socket, b, oob, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("bench: hear: %w", err)
	}
	if n == 0 {
		return nil, nil, fmt.Errorf("bench: hear: %w", os.ErrClosed)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:m])
	if err != nil {
		return nil, nil, fmt.Errorf("bench: hear: %w", err)
	}
	var fds []int
	for _, msg := range msgs {
		got, err := unix.ParseUnixRights(&msg)
		if err != nil {
			return nil, nil, fmt.Errorf("bench: hear: %w", err)
		}
		fds = append(fds, got...)
	}
	return b[:n], fds, nil
}

// startOn starts cmd so that it and all it starts may use only these CPUs, and in a process group of its own, so that it
// can be ended with all it started.
func startOn(cmd *exec.Cmd, cpus []int) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// The mask is the forking thread's. A thread that could not be set back ends with its goroutine.
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := setThreadCPUs(cpus); err != nil {
			done <- err
			return
		}
		err := cmd.Start()
		if unpinThread() == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// killGroup ends a process started by startOn and all it started.
func killGroup(pid int) { _ = unix.Kill(-pid, unix.SIGKILL) }

// endGroup ends this process, a role, and all it started.
func endGroup() {
	_ = unix.Kill(0, unix.SIGKILL)
	os.Exit(1)
}

// sleepInKernel sleeps without a timer of Go's.
func sleepInKernel(d time.Duration) error {
	left := unix.NsecToTimespec(int64(d))
	for {
		if err := unix.Nanosleep(&left, &left); err != unix.EINTR {
			return err
		}
	}
}

// threadsOf is how many threads a process has.
func threadsOf(pid int) (int, error) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return len(threads), err
}

// schedulingOf is what each thread of a process has used since it was made: context switches of either kind, and nanoseconds.
func schedulingOf(pid int) (map[string]usage, error) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	threads, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := map[string]usage{}
	for _, t := range threads {
		u, err := threadUsage(dir + "/" + t.Name())
		switch {
		case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ESRCH): // ended meanwhile
			continue
		case err != nil:
			return nil, err
		}
		all[t.Name()] = u
	}
	return all, nil
}

func threadUsage(dir string) (u usage, err error) {
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); strings.HasSuffix(name, "ctxt_switches") {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				return u, err
			}
			u.switches += n
		}
	}
	schedstat, err := os.ReadFile(dir + "/schedstat")
	if err != nil {
		return u, err
	}
	ran, _, _ := strings.Cut(string(schedstat), " ")
	u.cpu, err = strconv.ParseFloat(ran, 64)
	return u, err
}

// diesWithUs makes a child of this thread end with it.
func diesWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// Descriptors are plain numbers here, and elsewhere not.
func closeFD(fd int) error                  { return syscall.Close(fd) }
func readFD(fd int, b []byte) (int, error)  { return syscall.Read(fd, b) }
func writeFD(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }
