package roles

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Stop stops the process and waits until all its threads stand still.
func (p *Proc) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGSTOP)
	for {
		err := unix.Waitid(unix.P_PID, p.Cmd.Process.Pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			p.t.Fatalf("wait for role %s to stop: %v", p.name, err)
		}
	}
}
