// Package leftover fails a test binary that leaves something behind: a name in /dev/shm, a descriptor or a child.
//
// # Concurrency
//
// Run is called once, from TestMain.
//
// # Crash behaviour
//
// None: a test binary that crashes has failed already.
package leftover

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Run calls tests and compares. Names count if they begin with a prefix, which should be this process's own: others may
// test at the same time.
func Run(tests func() int, prefixes ...string) int {
	before := look(prefixes)
	status := tests()
	var left []string
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(20 * time.Millisecond) { // for what is ending
		left = slices.DeleteFunc(look(prefixes), func(s string) bool { return slices.Contains(before, s) })
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, s := range left {
		fmt.Fprintln(os.Stderr, "left behind:", s)
	}
	if len(left) > 0 && status == 0 {
		status = 1
	}
	return status
}

func look(prefixes []string) (all []string) {
	for _, p := range prefixes {
		names, _ := filepath.Glob("/dev/shm/" + p + "*")
		all = append(all, names...)
	}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, f := range fds {
		to, err := os.Readlink(f)
		if err == nil && !strings.HasPrefix(to, "anon_inode:[event") { // the runtime's poller
			all = append(all, "descriptor of "+to)
		}
	}
	self := strconv.Itoa(os.Getpid())
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		b, _ := os.ReadFile(f)
		if fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])); len(fields) > 1 && fields[1] == self {
			all = append(all, "child "+string(b[:bytes.LastIndexByte(b, ')')+1]))
		}
	}
	return all
}
