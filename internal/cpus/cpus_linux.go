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
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) == nil {
		n = set.Count()
	}
	if q := quota("/proc/self/cgroup", "/sys/fs/cgroup"); q > 0 {
		n = min(n, int(math.Ceil(q)))
	}
	return n
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
