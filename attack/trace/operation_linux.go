package trace

import (
	"fmt"
	"os"
	"sync"
	"syscall"
)

// link is the victim's side of the two pipes.
type link struct{ out, in int }

// theLink is read at start-up, so that what the victim starts before its operation does not inherit it.
var theLink = openLink()

var takeOnce sync.Once

// takeLink returns the link to the tracer to the first caller, nil to all others and in a process that is not traced.
func takeLink() (l *link) {
	takeOnce.Do(func() { l = theLink })
	return l
}

func openLink() *link {
	v, ok := os.LookupEnv(linkVariable)
	if !ok {
		return nil
	}
	os.Unsetenv(linkVariable)
	l := new(link)
	if n, err := fmt.Sscanf(v, "%d,%d", &l.out, &l.in); n != 2 || err != nil {
		panic(fmt.Sprintf("trace: %s=%q", linkVariable, v))
	}
	syscall.CloseOnExec(l.out)
	syscall.CloseOnExec(l.in)
	return l
}

func (l *link) report() {
	if _, err := fmt.Fprintf(fdWriter(l.out), "%d\n", syscall.Gettid()); err != nil {
		panic("trace: report to the tracer: " + err.Error())
	}
}

// await blocks in the kernel, not in the runtime: the thread must be the one that was reported.
func (l *link) await() {
	var b [1]byte
	for {
		n, err := syscall.Read(l.in, b[:])
		if err == syscall.EINTR {
			continue
		}
		if n != 1 {
			panic(fmt.Sprintf("trace: the tracer is gone: %d, %v", n, err))
		}
		return
	}
}

func (l *link) close() {
	syscall.Close(l.out)
	syscall.Close(l.in)
}

type fdWriter int

func (w fdWriter) Write(p []byte) (int, error) { return syscall.Write(int(w), p) }

func markBegin(end uintptr) {
	syscall.RawSyscall(syscall.SYS_GETPID, magic1, magic2, end)
}
