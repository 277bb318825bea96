package ops

import (
	"os"
	"syscall"
)

// memoryOf is how much memory a file of a tmpfs has.
func memoryOf(path string) (int64, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Blocks * 512, nil
}
