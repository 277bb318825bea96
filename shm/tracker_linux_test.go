package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/csrc"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/leak"
	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/internal/tracker"
)

func init() {
	// tree is a process tree of one, or of one more if it inherits.
	parts["tree"] = func(p *roles.Peer, args []string) {
		var sp *Space
		var err error
		switch args[0] {
		case "private":
			sp, err = Private()
		case "inherit":
			var h Handle
			p.Must(h.UnmarshalText([]byte(args[1])))
			p.Must(Inherit(h))
			sp, err = Private()
		default:
			var opts []Option
			if len(args) > 1 {
				opts = append(opts, Keep())
			}
			sp, err = OpenSpace(args[0], opts...)
		}
		p.Must(err)
		p.Say("in")
		for {
			switch cmd := p.Hear(); cmd {
			case "object":
				o, err := sp.NewObject(testObject(4096))
				p.Must(err)
				p.Say("%v", o.Handle())
			case "grow":
				_, err := sp.s.alloc(2 * rootHeap)
				p.Must(err)
				p.Say("grown")
			case "tracked":
				p.Say("%v", TrackerError())
			case "exit":
				p.Must(Exit())
				p.Say("left")
			case "again":
				sp, err = Private()
				p.Must(err)
				p.Say("in")
			}
		}
	}
	// reaper waits for any child and listens for SIGCHLD while it gets trackers.
	parts["reaper"] = func(p *roles.Peer, args []string) {
		hold, stay, err := os.Pipe()
		p.Must(err)
		child, err := syscall.ForkExec("/proc/self/exe", []string{"held"}, &syscall.ProcAttr{
			Env: append(os.Environ(), "TANDEM_TEST_ROLE=held"), Files: []uintptr{hold.Fd(), 1, 2}})
		p.Must(err)
		signals := make(chan os.Signal, 10)
		signal.Notify(signals, syscall.SIGCHLD)
		met := make(chan int)
		go func() {
			pid, err := unix.Wait4(-1, nil, 0, nil)
			p.Must(err)
			met <- pid
		}()
		for range 20 {
			_, err := Private()
			p.Must(err)
			p.Must(TrackerError())
			p.Must(Exit())
		}
		tasks, err := filepath.Glob("/proc/self/task/*/children")
		p.Must(err)
		var all []string
		for _, f := range tasks {
			if b, err := os.ReadFile(f); err == nil {
				all = append(all, strings.Fields(string(b))...)
			}
		}
		stay.Close()
		<-signals
		p.Say("met its own child: %v, of %d, %d more signals", <-met == child, len(all), len(signals))
	}
	parts["held"] = func(p *roles.Peer, args []string) { p.Hear() }
	// procless has no /proc.
	parts["procless"] = func(p *roles.Peer, args []string) {
		p.Must(unix.Mount("tmpfs", "/proc", "tmpfs", 0, ""))
		sp, err := Private()
		p.Must(err)
		if err := TrackerError(); !errors.Is(err, ErrNoTracker) || !errors.Is(err, fs.ErrNotExist) {
			p.Say("tracked: %v", err)
		}
		p.Must(sp.Close())
		p.Must(Exit())
		p.Say("worked")
	}
}

// startTree starts a role that has a tracker, in a directory of its own.
func startTree(t testing.TB, dir string, args ...string) *roles.Proc {
	t.Helper()
	p := roles.StartAs(t, []string{EnvDir + "=" + dir, EnvTracker + "=on"}, nil, "tree", args...)
	p.Expect("in")
	return p
}

func treeDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(directory(), "tree")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// trackerOf waits until the tracker of a tree has its name, and returns its pid.
func trackerOf(t *testing.T, p *roles.Proc) (pid int) {
	t.Helper()
	eventually(t, "there is a tracker", func() bool { pid = findTracker(p); return pid != 0 })
	return pid
}

func awaitNoTracker(t *testing.T, p *roles.Proc) {
	t.Helper()
	eventually(t, "the tracker has ended", func() bool { return findTracker(p) == 0 })
}

// findTracker finds the tracker of a tree; 0 if there is none.
func findTracker(p *roles.Proc) int { return leak.TrackerOf(p.Cmd.Process.Pid) }

func isEmpty(dir string) bool {
	all, err := os.ReadDir(dir)
	return err == nil && len(all) == 0
}

func TestTheTrackerRemovesWhatAKilledTreeLeaves(t *testing.T) {
	for _, space := range []string{"private", "prices"} {
		dir := treeDir(t)
		p := startTree(t, dir, space)
		p.Ask("grow")
		if n, _ := list(dir, prefix()); len(n) != 2 {
			t.Fatalf("%s: files: %v", space, n)
		}
		if got := p.Ask("tracked"); got != "<nil>" {
			t.Fatal(got)
		}
		p.Kill()
		eventually(t, "the files are gone", func() bool { return isEmpty(dir) })
		awaitNoTracker(t, p)
	}
}

// A child that outlives its parent keeps what is theirs, and has no tracker of its own.
func TestTheTrackerWaitsForTheChildren(t *testing.T) {
	dir := treeDir(t)
	p := startTree(t, dir, "private")
	c := startTree(t, dir, "inherit", p.Ask("object"))
	trackerOf(t, p)
	if other := findTracker(c); other != 0 {
		t.Fatalf("the child has a tracker of its own, %d", other)
	}
	p.Kill()
	if c.Ask("grow") != "grown" || c.Ask("tracked") != "<nil>" {
		t.Fatal("the child cannot go on")
	}
	// The tracker asks for the private Space now, and sleeps again.
	eventually(t, "the tracker waits for the child", func() bool { return somebodyWaits(t, dir) })
	c.Kill()
	eventually(t, "the files are gone", func() bool { return isEmpty(dir) })
}

// somebodyWaits tells whether a process sleeps until it can lock a file in dir.
func somebodyWaits(t *testing.T, dir string) bool {
	t.Helper()
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	all, err := list(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		info, err := lstat(inDir(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		// 1: -> OFDLCK ADVISORY WRITE -1 00:1a:INODE 1 1
		if regexp.MustCompile(fmt.Sprintf(`(?m)^\d+: -> OFDLCK .* WRITE .*:%d %d %[2]d$`, info.id.ino, layout.LockMapped)).Match(locks) {
			return true
		}
	}
	return false
}

// Two trees share a named Space; each tracker removes what is nobody's, and no more.
func TestTheTrackerLeavesOthersAlone(t *testing.T) {
	dir := treeDir(t)
	a, b := startTree(t, dir, "shared"), startTree(t, dir, "shared")
	c := startTree(t, dir, "private")
	c.Ask("grow")
	a.Kill()
	awaitNoTracker(t, a)
	if n, _ := list(dir, prefix()); len(n) != 3 {
		t.Fatalf("after a: %v", n)
	}
	b.Kill()
	eventually(t, "what a and b shared is gone", func() bool { n, _ := list(dir, prefix()+"n."); return len(n) == 0 })
	if n, _ := list(dir, prefix()); len(n) != 2 {
		t.Fatalf("after b: %v", n)
	}
	if got := c.Ask("grow"); got != "grown" {
		t.Fatal(got)
	}
}

func TestAKilledTrackerIsNotMissed(t *testing.T) {
	dir := treeDir(t)
	a, b := startTree(t, dir, "private"), startTree(t, dir, "private")
	a.Ask("grow")
	if err := syscall.Kill(trackerOf(t, a), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitNoTracker(t, a)
	if got := a.Ask("grow"); got != "grown" {
		t.Fatal(got)
	}
	before, _ := list(dir, prefix())
	a.Kill()
	if left, _ := list(dir, prefix()); len(left) != len(before) {
		t.Fatalf("left: %v, before: %v", left, before)
	}
	removed, err := sweep(dir, os.Geteuid(), time.Time{})
	if left, _ := list(dir, prefix()); err != nil || len(removed) != 1 || len(left) != 1 {
		t.Fatalf("the sweep removed %v, left %v: %v", removed, left, err)
	}
	if got := b.Ask("grow"); got != "grown" {
		t.Fatal(got)
	}
}

// It holds nothing while it waits, so what it would do can be done by others; later it finds nothing to do.
func TestAStoppedTrackerIsInNobodysWay(t *testing.T) {
	dir := treeDir(t)
	p := startTree(t, dir, "private")
	pid := trackerOf(t, p)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.Ask("grow")
	p.Kill()
	removed, err := sweep(dir, os.Geteuid(), time.Time{})
	if err != nil || len(removed) != 1 || !isEmpty(dir) {
		t.Fatalf("the sweep removed %v: %v", removed, err)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	awaitNoTracker(t, p)
}

func TestExitLetsTheTrackerGo(t *testing.T) {
	dir := treeDir(t)
	p := startTree(t, dir, "private")
	for range 3 {
		trackerOf(t, p)
		p.Ask("exit")
		awaitNoTracker(t, p)
		if !isEmpty(dir) {
			t.Fatal("files are left")
		}
		p.Ask("again")
	}
}

// The tracker holds nothing that anybody could wait for, nor is it anybody's business.
func TestTheTrackerHasNothingOfItsTree(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	unix.FcntlInt(w.Fd(), unix.F_SETFD, 0) // what a careless parent leaks
	dir := treeDir(t)
	p := startTree(t, dir, "private")
	w.Close()
	pid := trackerOf(t, p)
	in := func(name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
	for i := range 4 {
		want := os.DevNull
		if i == layout.TreeFile {
			want = "/memfd:tandem-tree (deleted)"
		}
		if to, err := os.Readlink(in("fd/" + strconv.Itoa(i))); err != nil || to != want {
			t.Errorf("descriptor %d is %q, want %q: %v", i, to, want, err)
		}
	}
	eventually(t, "it waits", func() bool { b, err := os.ReadFile(in("comm")); return err == nil && string(b) == tracker.Name+"\n" })
	if fds, err := os.ReadDir(in("fd")); err != nil || csrc.Available && len(fds) != 4 {
		t.Errorf("descriptors: %v, %v", fds, err)
	}
	if to, err := os.Readlink(in("cwd")); err != nil || to != "/" {
		t.Errorf("works in %q: %v", to, err)
	}
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("session %d: %v", sid, err)
	}
	b, err := os.ReadFile(in("status"))
	if err != nil {
		t.Fatal(err)
	}
	var kb int
	for line := range strings.Lines(string(b)) {
		fmt.Sscanf(line, "VmRSS: %d kB", &kb)
	}
	t.Logf("RSS %d kB", kb)
	if csrc.Available && (kb == 0 || kb > 4096) {
		t.Errorf("RSS is %d kB", kb)
	}
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
	}
	p.Kill()
	if n, err := r.Read(make([]byte, 1)); n != 0 {
		t.Errorf("read %d bytes, %v", n, err)
	}
	eventually(t, "signals have not ended it", func() bool { return isEmpty(dir) })
}

func TestTheTrackerIsNobodysChild(t *testing.T) {
	p := roles.StartAs(t, []string{EnvTracker + "=on"}, nil, "reaper")
	p.Expect("met its own child: true, of 1, 0 more signals")
	p.Wait()
}

func TestTheTrackerCanBeTurnedOff(t *testing.T) {
	dir := treeDir(t)
	p := roles.StartAs(t, []string{EnvDir + "=" + dir, EnvTracker + "=off"}, nil, "tree", "private")
	p.Expect("in")
	if got := p.Ask("tracked"); got != "shm: no tracker: turned off by TANDEM_TRACKER" || findTracker(p) != 0 {
		t.Fatal(got)
	}
}

func TestTheTrackerLeavesMailboxesAlone(t *testing.T) {
	dir := treeDir(t)
	p := startTree(t, dir, "mailbox", "keep")
	p.Kill()
	awaitNoTracker(t, p)
	if n, _ := list(dir, prefix()); len(n) != 1 {
		t.Fatalf("files: %v", n)
	}
}

func TestASpaceWorksWhereNoTrackerCanBeStarted(t *testing.T) {
	attr := inNamespaces(t)
	p := roles.StartAs(t, []string{EnvTracker + "=on", "TANDEM_DISABLE=otmpfile"}, attr, "procless")
	p.Expect("worked")
	p.Wait()
}
