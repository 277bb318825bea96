package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/cpuid/v2"
	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/bench/crows"
)

func readMachine() (*Machine, error) {
	cpus, err := allowedCPUs()
	if err != nil {
		return nil, err
	}
	m := &Machine{
		CPU: cpuModel(), Virtual: virtual(), CPUs: cpus, Quota: cgroupQuota(), Caches: caches(cpus[0]),
		Kernel: kernel(), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		Compiler: crows.Compiler(), Python: pythonVersion(),
	}
	m.Pair, m.PairPlace = choosePair(cpus)
	return m, nil
}

func cpuModel() string {
	if name := strings.Join(strings.Fields(cpuid.CPU.BrandName), " "); name != "" {
		return name
	}
	info := readTrimmed("/proc/cpuinfo")
	for line := range strings.Lines(info) {
		if key, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return runtime.GOARCH
}

func virtual() string {
	switch {
	case strings.HasPrefix(cpuid.CPU.HypervisorVendorString, "KVM"):
		return "KVM"
	case cpuid.CPU.HypervisorVendorString != "":
		return cpuid.CPU.HypervisorVendorString
	case cpuid.CPU.VM():
		return "yes"
	case runtime.GOARCH == "amd64":
		return "no"
	}
	return "unknown"
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "Linux"
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

func readTrimmed(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func cpuPath(cpu int, rest string) string {
	return fmt.Sprintf("/sys/devices/system/cpu/cpu%d/%s", cpu, rest)
}

// caches are those of one CPU: L1d 48K, L2 1024K, L3 32768K shared by 0-1.
func caches(cpu int) string {
	var all []string
	dirs, _ := filepath.Glob(cpuPath(cpu, "cache/index*"))
	slices.Sort(dirs)
	for _, dir := range dirs {
		kind := readTrimmed(dir + "/type")
		if kind == "Instruction" {
			continue
		}
		name := "L" + readTrimmed(dir+"/level")
		if kind == "Data" {
			name += "d"
		}
		name += " " + readTrimmed(dir+"/size")
		if with := readTrimmed(dir + "/shared_cpu_list"); with != strconv.Itoa(cpu) && with != "" {
			name += " shared by " + with
		}
		all = append(all, name)
	}
	if len(all) == 0 {
		return "unknown"
	}
	return strings.Join(all, ", ")
}

// cgroupQuota is the tightest limit of this process's control groups in CPUs, 0 for none.
func cgroupQuota() float64 {
	tightest := 0.0
	note := func(quota, period string) {
		q, err1 := strconv.ParseFloat(quota, 64)
		p, err2 := strconv.ParseFloat(period, 64)
		if err1 == nil && err2 == nil && q > 0 && p > 0 && (tightest == 0 || q/p < tightest) {
			tightest = q / p
		}
	}
	for line := range strings.Lines(readTrimmed("/proc/self/cgroup")) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		for dir := part[2]; ; dir = filepath.Dir(dir) {
			switch {
			case part[1] == "": // version 2: "max 100000" or "50000 100000"
				f := strings.Fields(readTrimmed(filepath.Join("/sys/fs/cgroup", dir, "cpu.max")))
				if len(f) == 2 {
					note(f[0], f[1])
				}
			case slices.Contains(strings.Split(part[1], ","), "cpu"):
				base := filepath.Join("/sys/fs/cgroup/cpu", dir)
				note(readTrimmed(base+"/cpu.cfs_quota_us"), readTrimmed(base+"/cpu.cfs_period_us"))
			}
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return tightest
}

// choosePair picks two CPUs for rows on two: two cores of one package with a common last cache if there are such, two
// threads of one core only if there is nothing else.
func choosePair(cpus []int) ([]int, string) {
	if len(cpus) < 2 {
		return nil, "no second CPU"
	}
	best, bestScore := []int(nil), -1
	for _, c := range cpus[1:] {
		score := 0
		if !sameIn(cpus[0], c, "topology/thread_siblings_list") {
			score += 4
		}
		if sameIn(cpus[0], c, "topology/physical_package_id") {
			score += 2
		}
		if sameIn(cpus[0], c, lastCache(cpus[0])) {
			score++
		}
		if score > bestScore {
			best, bestScore = []int{cpus[0], c}, score
		}
	}
	how := []string{"two cores"}
	if bestScore&4 == 0 {
		how[0] = "two threads of one core"
	}
	if bestScore&2 == 0 {
		how = append(how, "different packages")
	}
	if bestScore&1 != 0 {
		how = append(how, "one last-level cache")
	} else {
		how = append(how, "different last-level caches")
	}
	return best, fmt.Sprintf("cpu%d+cpu%d (%s)", best[0], best[1], strings.Join(how, ", "))
}

func sameIn(a, b int, file string) bool {
	v := readTrimmed(cpuPath(a, file))
	return v != "" && v == readTrimmed(cpuPath(b, file))
}

func lastCache(cpu int) string {
	dirs, _ := filepath.Glob(cpuPath(cpu, "cache/index*"))
	if len(dirs) == 0 {
		return "cache/none"
	}
	slices.Sort(dirs)
	return "cache/" + filepath.Base(dirs[len(dirs)-1]) + "/shared_cpu_list"
}
