// Package cgroup reads what the control groups of this process allow it: both versions, and the ancestors, whose limits
// count as well.
//
// # Concurrency
//
// Everything may be called from any goroutine; nothing is remembered.
//
// # Crash behaviour
//
// It only reads.
package cgroup

import (
	"bufio"
	"os"
	"path"
	"strconv"
	"strings"
)

// self and mount are where the kernel tells which groups we are in, and where their files are.
const (
	self  = "/proc/self/cgroup"
	mount = "/sys/fs/cgroup"
)

// CPUs is the smallest CPU quota, in processors; 0 is none.
func CPUs() float64 { return cpus(self, mount) }

// Memory is the smallest limit of memory, in bytes, and the file that says so; 0 is none.
func Memory() (bytes int64, file string) { return memory(self, mount) }

func cpus(self, mount string) (least float64) {
	each(self, mount, "cpu", func(dir string, version int) {
		q := 0.0
		if version == 2 { // "max 100000" or "150000 100000"
			if f := strings.Fields(read(dir, "cpu.max")); len(f) == 2 {
				q = ratio(f[0], f[1])
			}
		} else {
			q = ratio(read(dir, "cpu.cfs_quota_us"), read(dir, "cpu.cfs_period_us"))
		}
		if q > 0 && (least == 0 || q < least) {
			least = q
		}
	})
	return least
}

// most is more memory than any machine has: version 1 says "none" by the largest number of whole pages.
const most = 1 << 60

func memory(self, mount string) (least int64, file string) {
	each(self, mount, "memory", func(dir string, version int) {
		name := "memory.max"
		if version == 1 {
			name = "memory.limit_in_bytes"
		}
		n, err := strconv.ParseInt(read(dir, name), 10, 64)
		if err == nil && n > 0 && n < most && (least == 0 || n < least) { // "max" is no number
			least, file = n, path.Join(dir, name)
		}
	})
	return least, file
}

// each calls f for our group and all its ancestors, in every hierarchy that has the controller.
func each(self, mount, controller string, f func(dir string, version int)) {
	list, err := os.Open(self)
	if err != nil {
		return
	}
	defer list.Close()
	for lines := bufio.NewScanner(list); lines.Scan(); {
		// hierarchy:controllers:path, for version 2 "0::path".
		part := strings.SplitN(lines.Text(), ":", 3)
		if len(part) != 3 {
			continue
		}
		version, tops := 2, []string{mount, path.Join(mount, "unified")}
		if part[0] != "0" || part[1] != "" {
			if !has(part[1], controller) {
				continue
			}
			version, tops = 1, []string{path.Join(mount, controller)}
		}
		for _, top := range tops {
			// In a container the path may be that of the host, and the top our own group.
			for dir := path.Clean("/" + part[2]); ; dir = path.Dir(dir) {
				f(path.Join(top, dir), version)
				if dir == "/" {
					break
				}
			}
		}
	}
}

func has(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// read is the text of a file; "" if there is none.
func read(dir, name string) string {
	b, _ := os.ReadFile(path.Join(dir, name)) // what is not there limits nothing
	return strings.TrimSpace(string(b))
}

func ratio(q, p string) float64 {
	a, err := strconv.ParseFloat(q, 64)
	if err != nil || a <= 0 { // "max" or -1
		return 0
	}
	b, err := strconv.ParseFloat(p, 64)
	if err != nil || b <= 0 {
		return 0
	}
	return a / b
}
