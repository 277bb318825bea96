// Package children lists the children of this process, also those that it has inherited.
//
// # Concurrency
//
// List may be called from any goroutine. Children come and go meanwhile.
//
// # Crash behaviour
//
// None.
package children

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// List lists those that live, and the dead that nobody has waited for.
func List() (alive, dead []int) {
	self := strconv.Itoa(os.Getpid())
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		// 12 (comm) S 1 …
		rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(rest) < 2 || rest[1] != self {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if rest[0] == "Z" {
			dead = append(dead, pid)
		} else {
			alive = append(alive, pid)
		}
	}
	return alive, dead
}
