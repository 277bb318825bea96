//go:build !linux

package futex

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// CanWaitAny tells whether WaitAny sleeps on all of its words at once.
func CanWaitAny() bool { return false }

var errLinux = fmt.Errorf("futex: needs Linux: %w", errors.ErrUnsupported)

func wait(*atomic.Uint32, uint32, time.Time) (Result, error) { return Woken, errLinux }

func waitAny([]Word, time.Time) (Result, error) { return Woken, errLinux }

func wake(*atomic.Uint32, int) (int, error) { return 0, errLinux }
