package process

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/shm"
)

// life is the pipe whose write end lives as long as this process; every child has the read end. It is open while there
// are children.
var life struct {
	mu          sync.Mutex
	users       int
	read, write *os.File
}

func takeLifeline() (*os.File, error) {
	life.mu.Lock()
	defer life.mu.Unlock()
	if life.users == 0 {
		var err error
		if life.read, life.write, err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	life.users++
	return life.read, nil
}

func dropLifeline() {
	life.mu.Lock()
	defer life.mu.Unlock()
	if life.users--; life.users == 0 {
		life.read.Close()
		life.write.Close()
	}
}

// spawn starts this program again. The environment says where its work lies; nothing else differs from us.
func spawn(handle string) (*os.Process, error) {
	line, err := takeLifeline()
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		dropLifeline()
		return nil, err
	}
	defer null.Close()
	child, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Env:   environment(handle),
		Files: []*os.File{null, os.Stdout, os.Stderr, line},
	})
	if err != nil {
		dropLifeline()
		return nil, err
	}
	return child, nil
}

// reap waits for a child's end and returns its exit code, negative for a signal.
func reap(child *os.Process) (int, error) {
	awaitEnd(child)
	st, err := child.Wait()
	if err != nil {
		return -1, fmt.Errorf("wait for the child: %w", err)
	}
	ws := st.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return -int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// awaitEnd waits for the end of a child without a thread of its own, where a process descriptor can be polled. It is only
// about the thread: Wait, which follows, waits too.
func awaitEnd(child *os.Process) {
	if feature.PidFD.Off() {
		return
	}
	fd := -1
	err := child.WithHandle(func(h uintptr) {
		fd, _ = unix.FcntlInt(h, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil || fd < 0 {
		return
	}
	if err := unix.SetNonblock(fd, true); err != nil { // makes os.NewFile hand it to the poller
		unix.Close(fd)
		return
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(fd uintptr) bool {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		return err != nil || info.Signo != 0
	})
	runtime.KeepAlive(child)
}

func signalConstant(n int) string { return unix.SignalName(syscall.Signal(n)) }

// environment is the child's: ours, and where its Space is. A directory that was named relative to our working directory is
// named in full; of two values the first one counts.
func environment(handle string) []string {
	var dir []string
	if os.Getenv(shm.EnvDir) != "" {
		dir = []string{shm.EnvDir + "=" + shm.Dir()}
	}
	return append(append(dir, os.Environ()...), shm.EnvSpace+"="+handle)
}
