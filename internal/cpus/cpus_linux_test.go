package cpus

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// Who pins one thread leaves the others to the process; who confines the process leaves it what that is.
func TestUsableIsWhatAnyThreadMayRunOn(t *testing.T) {
	unpinned := count()
	undo := Pin(0)
	defer undo()
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil || mine.Count() != 1 {
		t.Fatalf("pinned to %d processors, %v", mine.Count(), err)
	}
	if n := count(); n != unpinned {
		t.Fatalf("%d usable processors with one thread pinned, %d without", n, unpinned)
	}
	if n := confined(t); n != 1 {
		t.Fatalf("%d usable processors in a process that has one", n)
	}
}

// confined counts in a process that may use what this thread may.
func confined(t *testing.T) (n int) {
	cmd := exec.Command(os.Args[0], "-test.run", "^TestCountForAnother$", "-test.v")
	cmd.Env = append(os.Environ(), "CPUS_TEST=count")
	out, err := cmd.CombinedOutput() // started by this thread: what it may run on is inherited
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := fmt.Sscanf(string(out[strings.Index(string(out), "usable "):]), "usable %d", &n); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return n
}

func TestCountForAnother(t *testing.T) {
	if os.Getenv("CPUS_TEST") == "count" {
		fmt.Printf("usable %d\n", count())
	}
}
