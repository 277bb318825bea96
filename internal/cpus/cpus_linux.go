package cpus

import (
	"bufio"
	"math"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func count() int {
	n := runtime.NumCPU()
	if set, ok := affinity("/proc/self/task"); ok {
		n = set.Count()
	}
	if q := quota("/proc/self/cgroup", "/sys/fs/cgroup"); q > 0 {
		n = min(n, int(math.Ceil(q)))
	}
	return n
}

// affinity is what any thread of the process may run on: who pins a thread does not take the other processors from the rest.
func affinity(tasks string) (all unix.CPUSet, ok bool) {
	threads, err := os.ReadDir(tasks)
	if err != nil {
		return all, unix.SchedGetaffinity(0, &all) == nil
	}
	for _, t := range threads {
		var set unix.CPUSet
		tid, err := strconv.Atoi(t.Name())
		if err != nil || unix.SchedGetaffinity(tid, &set) != nil {
			continue // it has ended
		}
		for i := range all {
			all[i] |= set[i]
		}
		ok = true
	}
	return all, ok
}

// quota is the smallest CPU quota on the way from our cgroup to the root, in processors; 0 is none. It reads both
// versions of cgroups.
func quota(self, mount string) float64 {
	f, err := os.Open(self)
	if err != nil {
		return 0
	}
	defer f.Close()
	least := 0.0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// hierarchy:controllers:path, for version 2 "0::path".
		part := strings.SplitN(lines.Text(), ":", 3)
		if len(part) != 3 {
			continue
		}
		read, top := version2, mount
		if part[0] != "0" || part[1] != "" {
			if !has(part[1], "cpu") {
				continue
			}
			read, top = version1, path.Join(mount, "cpu")
		}
		for dir := path.Clean("/" + part[2]); ; dir = path.Dir(dir) {
			if q := read(path.Join(top, dir)); q > 0 && (least == 0 || q < least) {
				least = q
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

func has(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// version2 reads "max 100000" or "150000 100000".
func version2(dir string) float64 {
	b, err := os.ReadFile(path.Join(dir, "cpu.max"))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) != 2 {
		return 0
	}
	return ratio(f[0], f[1])
}

func version1(dir string) float64 {
	q, err := os.ReadFile(path.Join(dir, "cpu.cfs_quota_us"))
	if err != nil {
		return 0
	}
	p, err := os.ReadFile(path.Join(dir, "cpu.cfs_period_us"))
	if err != nil {
		return 0
	}
	return ratio(strings.TrimSpace(string(q)), strings.TrimSpace(string(p)))
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

// Pin keeps the calling goroutine on a thread of its own, on the k-th of the processors that it may use, until undo. Where
// that is impossible it only keeps the thread.
func Pin(k int) (undo func()) {
	runtime.LockOSThread()
	var was, only unix.CPUSet
	if unix.SchedGetaffinity(0, &was) != nil {
		return runtime.UnlockOSThread
	}
	for cpu := range 64 * len(was) {
		if !was.IsSet(cpu) {
			continue
		}
		if k--; k < 0 {
			only.Set(cpu)
			break
		}
	}
	if only.Count() == 0 || unix.SchedSetaffinity(0, &only) != nil {
		return runtime.UnlockOSThread
	}
	return func() {
		if unix.SchedSetaffinity(0, &was) == nil {
			runtime.UnlockOSThread() // otherwise the thread ends with the goroutine
		}
	}
}
