// Package scratch makes directories that tell whose they are, so that those of the killed can be removed.
//
// # Concurrency
//
// All functions may be called from any goroutine.
//
// # Crash behaviour
//
// What a killed process leaves is removed by the next RemoveStale with the same prefix.
package scratch

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// New makes a directory in dir whose name begins with prefix and this process's id.
func New(dir, prefix string) (string, error) {
	return os.MkdirTemp(dir, prefix+strconv.Itoa(os.Getpid())+"-")
}

// RemoveStale removes those in dir whose process is gone.
func RemoveStale(dir, prefix string) {
	dirs, _ := filepath.Glob(filepath.Join(dir, prefix+"*"))
	for _, d := range dirs {
		text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(d), prefix), "-")
		if pid, err := strconv.Atoi(text); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			os.RemoveAll(d)
		}
	}
}
