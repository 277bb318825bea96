//go:build !linux

package futex

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

var errLinux = fmt.Errorf("futex: needs Linux: %w", errors.ErrUnsupported)

func wait(*atomic.Uint32, uint32, time.Time) (Result, error) { return Woken, errLinux }

func waitAny([]Word, time.Time) (Result, error) { return Woken, errLinux }

func wake(*atomic.Uint32, int) (int, error) { return 0, errLinux }
