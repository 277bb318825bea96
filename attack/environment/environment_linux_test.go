package environment

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/shm"
)

var mounts = syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}

func in(dir string) []string { return []string{shm.EnvDir + "=" + dir} }

func TestItWorksWhereItIsBuilt(t *testing.T) { world{program: "all"}.works(t) }

func TestItWorksWithFewDescriptors(t *testing.T) {
	world{program: "all", steps: []string{"limit 64"}}.works(t)
}

func TestItWorksOnOneProcessor(t *testing.T) {
	world{program: "all", steps: []string{"processor"}}.works(t)
}

func TestItWorksWithOneThreadForGoCode(t *testing.T) {
	world{program: "all", env: []string{"GOMAXPROCS=1"}}.works(t)
}

func TestItWorksWithHugePagesAndPrefaulted(t *testing.T) {
	for _, env := range [][]string{{shm.EnvHugePages + "=on"}, {shm.EnvPrefault + "=on"}, {shm.EnvHugePages + "=on", shm.EnvPrefault + "=on"}} {
		world{program: "all", env: env}.works(t)
	}
}

func TestItWorksAmongManyThreads(t *testing.T) { world{program: "threads"}.works(t) }

// A filter refuses the calls of a feature with EPERM, as if it were not there.
func TestItWorksUnderAFilterOfSystemCalls(t *testing.T) {
	all := []string{"timer"}
	for _, f := range feature.All {
		if f == feature.MapLock { // no call of its own
			continue
		}
		all = append(all, string(f))
		t.Run(string(f), func(t *testing.T) { world{program: "all", steps: []string{"refuse " + string(f)}}.works(t) })
	}
	t.Run("all", func(t *testing.T) {
		world{program: "all", steps: []string{"refuse " + strings.Join(all, ",")}}.works(t)
	})
	t.Run("what it needs", func(t *testing.T) {
		world{program: "all", steps: []string{"refuse fallocate"}}.refuses(t, `reserve memory in .*operation not permitted`)
	})
}

func TestItWorksInAnotherDirectory(t *testing.T) {
	for _, fs := range []string{"tmpfs", "overlay"} {
		for _, off := range []string{"", string(feature.TmpFile)} {
			t.Run(fs+" "+off, func(t *testing.T) {
				dir := t.TempDir()
				options := "size=64m"
				if fs == "overlay" {
					base := t.TempDir()
					options = "userxattr,lowerdir=" + base + "/l,upperdir=" + base + "/u,workdir=" + base + "/w"
					for _, d := range []string{"/l", "/u", "/w"} {
						if err := os.Mkdir(base+d, 0o700); err != nil {
							t.Fatal(err)
						}
					}
				}
				world{program: "all", attr: mounts, steps: []string{"mount " + fs + " " + dir + " " + options},
					env: append(in(dir), "TANDEM_DISABLE="+off)}.works(t)
			})
		}
	}
	t.Run("on a disk", func(t *testing.T) { world{program: "all", env: in(t.TempDir())}.works(t) })
}

func TestAFileSystemWithoutReservationIsRefused(t *testing.T) {
	dir := t.TempDir()
	world{program: "all", attr: mounts, steps: []string{"mount ramfs " + dir + " mode=700"}, env: in(dir)}.
		refuses(t, `reserve memory in `+dir+`.*not supported`)
}

func TestADirectoryThatIsNotThereIsRefusedByName(t *testing.T) {
	world{program: "all", env: in("/no/such/directory")}.refuses(t, `/no/such/directory: no such file or directory`)
	world{program: "all", attr: mounts, steps: []string{"noshm " + t.TempDir()}, env: in("")}.
		refuses(t, `/dev/shm: no such file or directory`)
}

func TestAReadOnlyDirectoryIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	world{program: "all", attr: mounts, steps: []string{"readonly " + dir}, env: in(dir)}.
		refuses(t, dir+`.*: read-only file system`)
}

func TestItWorksInAReadOnlyRoot(t *testing.T) {
	world{program: "all", attr: mounts, steps: []string{"readonly /"}}.works(t)
}

func TestATinyFileSystemIsFullAndNothingWorse(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []string{"100k", "1m", "4m"} {
		t.Run(size, func(t *testing.T) {
			out := world{program: "fill", attr: mounts, steps: []string{"mount tmpfs " + dir + " size=" + size}, env: in(dir)}.run(t)
			if !strings.HasPrefix(out, "full: ") || !strings.Contains(out, "of ") || !strings.HasSuffix(out, "\nfine") {
				t.Errorf("%s", out)
			}
		})
	}
}

// Without /proc there are Spaces and connections, but this program cannot be started again.
func TestWithoutProcOneErrorSaysSo(t *testing.T) {
	world{program: "all", attr: mounts, steps: []string{"mount tmpfs /proc size=4k"}}.
		refuses(t, `/proc/self/exe: no such file or directory`)
	world{program: "fill", attr: mounts, steps: []string{"mount tmpfs /proc size=4k"}}.works(t)
}

func TestItWorksAsTheFirstProcessOfANamespace(t *testing.T) {
	first := syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	for _, p := range []string{"all", "init"} {
		t.Run(p, func(t *testing.T) { world{program: p, attr: first, steps: []string{"proc"}}.works(t) })
	}
	t.Run("without a /proc of its own", func(t *testing.T) { world{program: "all", attr: first}.works(t) })
	t.Run("with large numbers", func(t *testing.T) {
		world{program: "all", attr: first, steps: []string{"proc", "pids"}}.works(t)
	})
}

func init() {
	// member says whose deaths it sees.
	parts["member"] = func(p *roles.Peer, args []string) {
		sp, err := shm.OpenSpace(args[0])
		p.Must(err)
		_, err = sp.OnDeath(func(d *shm.MemberDied) { p.Say("died %d", d.Member.Slot()) })
		p.Must(err)
		p.Say("in %d", os.Getpid())
		p.Hear()
		p.Must(shm.Exit())
		p.Say("left")
	}
}

func TestMembersInTwoNamespacesSeeEachOthersDeath(t *testing.T) {
	attr := namespaces(t, syscall.CLONE_NEWPID)
	for killed := range 2 {
		var members []*roles.Proc
		for range 2 {
			p := roles.StartAs(t, nil, attr, "member", "two")
			p.Expect("in 1") // each is process 1
			members = append(members, p)
		}
		members[killed].Kill()
		members[1-killed].Expect(fmt.Sprintf("died %d", killed+1))
		if got := members[1-killed].Ask("leave"); got != "left" {
			t.Fatal(got)
		}
	}
}

func TestAnUnprivilegedUserNeedsNothing(t *testing.T) {
	needRoot(t, "to become another user")
	const nobody = 65534
	dir, err := os.MkdirTemp(shm.Dir(), "nobody")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(shm.Dir(), 0o711), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	world{program: "all", env: in(dir),
		attr: syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true}}}.works(t)
}

// Another user's files that bear our names are in nobody's way, but for the one Space whose name they take.
func TestAnotherUsersFilesAreInNobodysWay(t *testing.T) {
	needRoot(t, "to give files away")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o1777); err != nil {
		t.Fatal(err)
	}
	foreign := []string{"p.0123456789abcdef", "n.other", "t.0123456789abcdef", "g.0123456789abcdef.1.1.1", "x", ""}
	for _, f := range foreign {
		path := filepath.Join(dir, fmt.Sprintf("tandem.%d.%s", os.Geteuid(), f))
		if err := errors.Join(os.WriteFile(path, []byte("foreign"), 0o666), os.Chown(path, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
	}
	world{program: "all", env: append(in(dir), envForeign+"=1")}.works(t)
	if left, err := os.ReadDir(dir); err != nil || len(left) != len(foreign) {
		t.Errorf("of another user's %d files %d are left, %v", len(foreign), len(left), err)
	}
	path := filepath.Join(dir, fmt.Sprintf("tandem.%d.n.environment", os.Geteuid()))
	if err := errors.Join(os.WriteFile(path, []byte("foreign"), 0o666), os.Chown(path, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	world{program: "all", env: append(in(dir), envForeign+"=1")}.refuses(t, path+`.*(user|uid).*`)
}

func TestFilesMayBeUnlinkedUnderneath(t *testing.T) {
	out := world{program: "unlinked"}.run(t)
	if !strings.Contains(out, "the object does not exist any more") || !strings.HasSuffix(out, "a new process ends with an error: true\nfine") {
		t.Errorf("%s", out)
	}
}

// A Space takes half of the memory that its control group may use, and says so when that is full.
func TestTheMemoryOfAControlGroupIsALimit(t *testing.T) {
	needRoot(t, "to make a control group")
	const limit = 64 << 20
	procs := memoryGroup(t, limit)
	out := world{program: "fill", steps: []string{"group " + procs}}.run(t)
	if !strings.HasPrefix(out, "full: ") || !strings.Contains(out, fmt.Sprintf("limit of %d bytes", limit/2)) ||
		!strings.Contains(out, "control group") || !strings.HasSuffix(out, "\nfine") {
		t.Errorf("%s", out)
	}
}

// memoryGroup makes a group that may use so much memory, of either version of the interface, and returns the file that
// takes its processes.
func memoryGroup(t *testing.T, limit int) string {
	t.Helper()
	name := fmt.Sprintf("tandem-environment-%d", os.Getpid())
	for _, v := range []struct{ dir, limit string }{
		{"/sys/fs/cgroup", "memory.max"}, {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
	} {
		dir := filepath.Join(v.dir, name)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		procs := filepath.Join(dir, "cgroup.procs") // not in a directory that is none of a control group
		if _, err := os.Stat(procs); err == nil && os.WriteFile(filepath.Join(dir, v.limit), []byte(fmt.Sprint(limit)), 0) == nil {
			t.Cleanup(func() {
				for end := time.Now().Add(guardTime); ; time.Sleep(10 * time.Millisecond) { // until its last process is gone
					if err := os.Remove(dir); err == nil {
						return
					} else if time.Now().After(end) {
						t.Error(err)
						return
					}
				}
			})
			return procs
		}
		os.Remove(dir)
	}
	t.Skip("needs a control group of memory: none can be made below /sys/fs/cgroup")
	return ""
}
