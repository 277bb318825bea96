package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

// tree makes the files of control groups, and returns where they are and what /proc/self/cgroup says.
func tree(t *testing.T, text string, files map[string]string) (self, mount string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	self = filepath.Join(dir, "self")
	if err := os.WriteFile(self, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return self, dir
}

func TestTheQuotaIsTheSmallestOnTheWayUp(t *testing.T) {
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
			if got := cpus(tree(t, c.self, c.files)); got != c.want {
				t.Fatalf("quota %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheMemoryLimitIsTheSmallestOnTheWayUp(t *testing.T) {
	for _, c := range []struct {
		name, self string
		files      map[string]string
		want       int64
		file       string
	}{
		{"version 2, limit on a parent", "0::/a/b\n", map[string]string{
			"a/memory.max": "1073741824\n", "a/b/memory.max": "max\n"}, 1 << 30, "a/memory.max"},
		{"version 2, the leaf is stricter", "0::/a/b\n", map[string]string{
			"a/memory.max": "1073741824\n", "a/b/memory.max": "4096\n"}, 4096, "a/b/memory.max"},
		{"version 2 beside version 1", "0::/\n4:memory:/x\n", map[string]string{
			"unified/memory.max": "8192\n", "memory/x/memory.limit_in_bytes": "16384\n"}, 8192, "unified/memory.max"},
		{"version 1, in a container: the path is the host's", "9:memory,hugetlb:/docker/abc\n", map[string]string{
			"memory/memory.limit_in_bytes": "536870912\n"}, 512 << 20, "memory/memory.limit_in_bytes"},
		{"version 1, none", "9:memory:/x\n", map[string]string{
			"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/x/memory.limit_in_bytes": "9223372036854771712\n"}, 0, ""},
		{"another controller", "9:cpu:/x\n", map[string]string{"memory/x/memory.limit_in_bytes": "4096\n"}, 0, ""},
		{"absurd", "0::/a/b\n", map[string]string{"memory.max": "0\n", "a/memory.max": "-5\n", "a/b/memory.max": "99999999999999999999\n"}, 0, ""},
		{"nothing readable", "0::/gone\n", nil, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			self, mount := tree(t, c.self, c.files)
			want := c.file
			if want != "" {
				want = filepath.Join(mount, want)
			}
			if got, file := memory(self, mount); got != c.want || file != want {
				t.Fatalf("limit %d by %q, want %d by %q", got, file, c.want, want)
			}
		})
	}
}
