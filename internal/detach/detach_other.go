//go:build !linux || !(amd64 || arm64)

package detach

import (
	"errors"
	"os"
)

// Start executes path. null becomes descriptors 0 to 2 of the new process, and file 3.
func Start(string, []string, []string, *os.File, *os.File) error { return errors.ErrUnsupported }
