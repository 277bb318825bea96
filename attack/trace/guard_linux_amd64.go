package trace

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// guard kills the victim when ctx ends. The function it returns takes the guard off and says whether it struck.
func (v *Victim) guard(ctx context.Context) (off func() bool) {
	struck := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(struck)
		v.doing = v.activity()
		v.struck.Store(true)
		v.kill()
		// An exec of the traced thread takes the number away that the tracer waits for, and the kernel wakes it for no
		// other: let it look again.
		unix.Tgkill(os.Getpid(), v.t.tid, unix.SIGURG)
		v.out.SetReadDeadline(past)
	})
	return func() bool {
		if !stop() {
			<-struck
		}
		return v.struck.Load()
	}
}

// activity asks the kernel which system call the operation's thread is in.
func (v *Victim) activity() string {
	tid := v.tid
	if tid == 0 {
		tid = v.pid
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", v.pid, tid))
	if err != nil {
		return "already dead"
	}
	number, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 {
		return "running"
	}
	return "in system call " + systemCallName(uint64(n))
}
