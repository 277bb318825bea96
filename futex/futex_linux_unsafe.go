//go:build linux

package futex

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/feature"
)

const (
	opWake       = 1
	opWaitBitset = 9
	matchAny     = 0xffffffff
	size32       = 2 // futex_waitv: 32-bit word, shared because FUTEX2_PRIVATE is not set
	maxWords     = 128
	pollEvery    = 20 * time.Millisecond
)

// waiter is struct futex_waitv.
type waiter struct {
	value, address uint64
	flags, _       uint32
}

// origin ties Go's monotonic time, which time.Time does not show, to CLOCK_MONOTONIC, which it is.
var origin = sync.OnceValue(func() (o struct {
	at   time.Time
	mono int64
}) {
	var ts unix.Timespec
	o.at = time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("futex: CLOCK_MONOTONIC: " + err.Error())
	}
	o.mono = ts.Nano()
	return o
})

func timespec(t time.Time) unix.Timespec {
	o := origin()
	return unix.NsecToTimespec(max(0, o.mono+int64(t.Sub(o.at))))
}

// wait uses an absolute deadline (FUTEX_WAIT_BITSET), so that a signal costs a look and no arithmetic.
func wait(w *atomic.Uint32, value uint32, deadline time.Time) (Result, error) {
	ts := timespec(deadline)
	_, _, errno := syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(w)), opWaitBitset,
		uintptr(value), uintptr(unsafe.Pointer(&ts)), 0, matchAny)
	return result("wait", errno)
}

func result(what string, errno syscall.Errno) (Result, error) {
	switch errno {
	case 0, unix.EINTR:
		return Woken, nil
	case unix.EAGAIN:
		return Changed, nil
	case unix.ETIMEDOUT:
		return TimedOut, nil
	}
	return Woken, fmt.Errorf("futex: %s: %w", what, errno)
}

// wake never blocks, so it need not tell the scheduler.
func wake(w *atomic.Uint32, n int) (int, error) {
	woken, _, errno := syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(w)), opWake, uintptr(n), 0, 0, 0)
	if errno != 0 {
		return 0, fmt.Errorf("futex: wake: %w", errno)
	}
	return int(woken), nil
}

// CanWaitAny tells whether WaitAny sleeps on all of its words at once: otherwise it sleeps on the first and looks at the others
// every 20 ms.
func CanWaitAny() bool { return hasWaitV() }

// hasWaitV asks with an empty list: EINVAL from a kernel that knows the call. Anything else (ENOSYS, or EPERM from an old
// container filter) is a no.
var hasWaitV = sync.OnceValue(func() bool {
	if feature.WaitV.Off() {
		return false
	}
	_, _, errno := syscall.Syscall6(unix.SYS_FUTEX_WAITV, 0, 0, 0, 0, 0, 0)
	return errno == unix.EINVAL
})

func waitAny(words []Word, deadline time.Time) (Result, error) {
	switch {
	case len(words) == 0 || len(words) > maxWords:
		return Woken, fmt.Errorf("futex: wait on %d words: the limit is 1 to %d", len(words), maxWords)
	case len(words) == 1:
		return wait(words[0].Word, words[0].Value, deadline)
	case !hasWaitV():
		return pollAny(words, deadline)
	}
	var list [maxWords]waiter
	for i, w := range words {
		list[i] = waiter{value: uint64(w.Value), address: uint64(uintptr(unsafe.Pointer(w.Word))), flags: size32}
	}
	ts := timespec(deadline)
	_, _, errno := syscall.Syscall6(unix.SYS_FUTEX_WAITV, uintptr(unsafe.Pointer(&list)), uintptr(len(words)), 0,
		uintptr(unsafe.Pointer(&ts)), unix.CLOCK_MONOTONIC, 0)
	return result("wait for any", errno)
}

// pollAny sleeps on the first word and looks at the others now and then.
func pollAny(words []Word, deadline time.Time) (Result, error) {
	for {
		for _, w := range words {
			if w.Word.Load() != w.Value {
				return Changed, nil
			}
		}
		slice := time.Now().Add(pollEvery)
		if slice.After(deadline) {
			slice = deadline
		}
		r, err := wait(words[0].Word, words[0].Value, slice)
		if err != nil || r != TimedOut || !time.Now().Before(deadline) {
			return r, err
		}
	}
}
