package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Stop stops the whole process for good: the traced thread where it stands, all others by SIGSTOP. It returns when
// no thread of it can run.
func (v *Victim) Stop(ctx context.Context) error {
	return v.on(ctx, "stop", func() bool { return v.where != detached && v.where != starting && !v.gone }, func() error {
		if err := syscall.Kill(v.pid, syscall.SIGSTOP); err != nil {
			return err
		}
		v.frozen = true
		// Twice, for a thread that was born while the first look went on.
		for still := 0; ; {
			all, err := allStopped(v.pid)
			if err != nil {
				return err
			}
			if all {
				still++
			} else {
				still = 0
			}
			if still == 2 {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(50 * time.Microsecond)
		}
	})
}

// Resume lets a stopped victim run on, to the end of its operation.
func (v *Victim) Resume(ctx context.Context) error {
	return v.on(ctx, "resume", func() bool { return v.frozen && !v.gone }, func() error {
		v.frozen = false
		if err := syscall.Kill(v.pid, syscall.SIGCONT); err != nil {
			return err
		}
		if v.where == atEnd {
			return nil
		}
		return v.runToEnd()
	})
}

// allStopped reads the state of every thread: T (stopped), t (stopped by a tracer), and the dead, Z and X.
func allStopped(pid int) (bool, error) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	threads, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, t := range threads {
		b, err := os.ReadFile(dir + "/" + t.Name() + "/stat")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return false, err
		}
		// 12 (comm) S …: the name may hold anything, also parentheses.
		if i := bytes.LastIndexByte(b, ')'); i < 0 || i+2 >= len(b) || !bytes.ContainsRune([]byte("TtZX"), rune(b[i+2])) {
			return false, nil
		}
	}
	return true, nil
}
