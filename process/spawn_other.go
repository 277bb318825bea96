//go:build !linux

package process

import (
	"errors"
	"fmt"
	"os"
)

var errLinux = fmt.Errorf("processes need Linux: %w", errors.ErrUnsupported)

func spawn(string) (*os.Process, error) { return nil, errLinux }

func reap(*os.Process) (int, error) { return -1, errLinux }

func dropLifeline() {}

func signalConstant(n int) string { return fmt.Sprint(n) }
