//go:build !linux

package ops

import "errors"

func memoryOf(string) (int64, error) { return 0, errors.ErrUnsupported }
