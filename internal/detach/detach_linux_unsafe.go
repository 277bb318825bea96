//go:build linux && (amd64 || arm64)

package detach

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// request is read by start's processes, which share this process's memory until they execute a program or end; the offsets
// are in the assembly.
type request struct {
	path  *byte
	argv  **byte
	envv  **byte
	root  *byte
	null  uintptr // descriptor for 0, 1 and 2
	file  uintptr // descriptor for 3
	close uintptr // number of the system call that closes a range of descriptors
	top   uintptr // no descriptor is larger; for kernels without that call
	err   uintptr // why the program was not executed; written by those processes
	all   uint64  // signals
	mask  uint64  // of this thread before
}

// start blocks all signals, for a handler in one of its processes would run Go code there. It clones a process that clones
// another one and ends; that one executes the program. Both share our memory and we stand still until the last of them has
// left it (as with vfork), so neither needs a stack or a copy of page tables. The first has no exit signal: it is seen only
// by who waits for it with __WCLONE or __WALL. It returns the first one's pid, or a negative error.
//
//go:noescape
func start(r *request) int

const (
	lowest  = 4         // the descriptors lie here or above before they are moved to 0 to 3
	nowhere = 1<<31 - 1 // no descriptor
)

var closeRange uintptr = unix.SYS_CLOSE_RANGE // since Linux 5.9

// Start executes path. null becomes descriptors 0 to 2 of the new process, and file 3. Where orphans become this process's
// children, it is the first of its PID namespace or a subreaper, there is no such thing as nobody's child: ErrAdopts.
func Start(path string, argv, env []string, null, file *os.File) error {
	if adopts() {
		return ErrAdopts
	}
	r := &request{all: 1<<64 - 1}
	var err error
	if r.path, err = syscall.BytePtrFromString(path); err != nil {
		return err
	}
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	envs, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	slash := [2]byte{'/'}
	r.argv, r.envv, r.root = &args[0], &envs[0], &slash[0]
	for _, d := range []struct {
		from *os.File
		to   *uintptr
	}{{null, &r.null}, {file, &r.file}} {
		fd, err := unix.FcntlInt(d.from.Fd(), unix.F_DUPFD_CLOEXEC, lowest)
		if err != nil {
			return fmt.Errorf("duplicate a descriptor: %w", err)
		}
		defer unix.Close(fd)
		*d.to = uintptr(fd)
	}
	r.close = closeRange
	if _, _, errno := unix.RawSyscall(closeRange, nowhere, nowhere, 0); errno != 0 {
		r.top = highest()
	}
	pid := start(r)
	runtime.KeepAlive(r)
	if pid < 0 {
		return fmt.Errorf("clone: %w", unix.Errno(-pid))
	}
	for {
		// Who waits for every kind of child may have been faster.
		if _, err := unix.Wait4(pid, nil, unix.WCLONE, nil); err != unix.EINTR {
			break
		}
	}
	if r.err != 0 {
		return fmt.Errorf("execute %s: %w", path, unix.Errno(r.err))
	}
	return nil
}

func adopts() bool {
	var subreaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0)
	return os.Getpid() == 1 || err == nil && subreaper != 0
}

// highest is the largest descriptor that is open.
func highest() uintptr {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	top := 0
	for _, n := range names {
		if fd, err := strconv.Atoi(n); err == nil {
			top = max(top, fd)
		}
	}
	return uintptr(top)
}

var _ = [1]struct{}{}[unsafe.Offsetof(request{}.mask)-80] // the last one, as the assembly has it
