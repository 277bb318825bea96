package cpus

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestQuotaIsTheSmallestOnTheWayUp(t *testing.T) {
	for _, c := range []struct {
		name, self string
		files      map[string]string
		want       float64
	}{
		{"version 2, limit on a parent", "0::/a/b\n", map[string]string{
			"cpu.max": "max 100000", "a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 1.5},
		{"version 2, the leaf is stricter", "0::/a/b\n", map[string]string{
			"a/cpu.max": "400000 100000", "a/b/cpu.max": "50000 100000"}, 0.5},
		{"version 1", "4:memory:/x\n3:cpu,cpuacct:/x\n", map[string]string{
			"cpu/x/cpu.cfs_quota_us": "300000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 3},
		{"version 1, no limit", "3:cpu:/x\n", map[string]string{
			"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 0},
		{"nothing readable", "0::/gone\n", nil, 0},
		{"nonsense", "0::/a\n::\nx\n", map[string]string{"a/cpu.max": "what 1 2"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				p := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			self := filepath.Join(dir, "self")
			if err := os.WriteFile(self, []byte(c.self), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := quota(self, dir); got != c.want {
				t.Fatalf("quota %v, want %v", got, c.want)
			}
		})
	}
}

func TestUsableFollowsTheAffinityOfTheThread(t *testing.T) {
	runtime.LockOSThread() // and never unlock: the thread dies with the goroutine
	var one unix.CPUSet
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for i := range 1024 {
		if all.IsSet(i) {
			one.Set(i)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	defer unix.SchedSetaffinity(0, &all)
	if n := count(); n != 1 {
		t.Fatalf("%d usable processors with an affinity of one", n)
	}
}
