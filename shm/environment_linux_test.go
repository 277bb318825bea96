package shm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/roles"
)

func init() {
	// tiny fills a Space on a small file system of its own.
	parts["tiny"] = func(p *roles.Peer, args []string) {
		p.Must(unix.Mount("tmpfs", args[0], "tmpfs", 0, "size="+args[1]))
		os.Setenv(EnvDir, args[0])
		p.Say("%s", fillTiny())
		p.Must(Exit())
		left, err := os.ReadDir(args[0])
		p.Must(err)
		p.Say("left %d", len(left))
		p.Must(unix.Unmount(args[0], 0))
	}
}

// fillTiny uses memory until there is none, and touches every byte of it: with an error in the end, and no fault.
func fillTiny() string {
	sp, err := OpenSpace("tiny", Limit(1<<30))
	if err != nil {
		return fmt.Sprint("cannot open: ", errors.Is(err, ErrNoSpace), " ", err)
	}
	total := 0
	for size := int64(256 << 10); size >= 64; {
		b, err := sp.s.alloc(size)
		if err != nil {
			if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "bytes free") {
				return fmt.Sprint("wrong error: ", err)
			}
			size /= 2
			continue
		}
		for i := range b.Bytes {
			b.Bytes[i] = 1
		}
		total += len(b.Bytes)
	}
	return fmt.Sprint("used ", total)
}

// inNamespaces are the attributes of a process that may mount: root in namespaces of its own.
func inNamespaces(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	try := exec.Command("/proc/self/exe", "-test.run=^$")
	try.SysProcAttr = attr
	if err := try.Run(); err != nil {
		t.Skipf("needs namespaces of its own (root, or user namespaces for everybody): %v", err)
	}
	return attr
}

func TestScenarioD7AFullFileSystemIsAnErrorAndNoFault(t *testing.T) {
	for _, size := range []string{"64k", "200k", "400k", "1m", "5m"} {
		t.Run(size, func(t *testing.T) {
			p := roles.StartAs(t, nil, inNamespaces(t), "tiny", t.TempDir(), size)
			line := p.Hear()
			var used int
			if n, _ := fmt.Sscanf(line, "used %d", &used); n == 1 {
				if used < 64<<10 {
					t.Errorf("only %d bytes could be used", used)
				}
			} else if !strings.HasPrefix(line, "cannot open: true") || !strings.Contains(line, "bytes free") {
				t.Error(line)
			}
			p.Expect("left 0")
			if code := p.Wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestItWorksForAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to become another user; this whole run is one")
	}
	dir := userDir(t, 65534)
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}}
	env := []string{EnvDir + "=" + dir}
	a := roles.StartAs(t, env, attr, "member", "user")
	a.Hear()
	a.Ask("grow")
	b := roles.StartAs(t, env, attr, "member", "user")
	b.Hear()
	h := a.Ask("object")
	if got := b.Ask("open " + h); got != "from the other process" {
		t.Fatal(got)
	}
	a.Kill()
	eventually(t, "b settled a", func() bool { return b.Ask("members") == "1" })
	if got := b.Ask("exit"); got != "left" {
		t.Fatal(got)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
}

// userDir makes a directory for segments that belongs to another user.
func userDir(t *testing.T, uid int) string {
	t.Helper()
	dir, err := os.MkdirTemp(directory(), "user")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := errors.Join(os.Chmod(directory(), 0o711), os.Chown(dir, uid, uid)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAnotherUsersFileIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to give files away")
	}
	sp := openSpace(t, "owned")
	path := filepath.Join(directory(), namedFile("foreign"))
	b, err := os.ReadFile(*sp.s.path.Load())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, b, 0o666), os.Chown(path, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	if _, err := OpenSpace("foreign"); !errors.Is(err, os.ErrPermission) {
		t.Fatal(err)
	}
}

// A member in another PID namespace is noticed, proven dead and settled as any other: no pid is involved.
func TestMembersInOtherPIDNamespaces(t *testing.T) {
	sp := openSpace(t, "namespaces")
	died := make(chan *MemberDied, 1)
	stop, err := sp.OnDeath(func(d *MemberDied) { died <- d })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	attr := inNamespaces(t)
	attr.Cloneflags |= syscall.CLONE_NEWPID
	p := roles.StartAs(t, nil, attr, "member", "namespaces")
	p.Expect("in 1")
	p.Ask("alloc a 100")
	p.Kill()
	if d := <-died; d.PID != 1 {
		t.Fatal(d)
	}
	if n := used(t, sp.s); n != 0 {
		t.Fatalf("%d blocks left", n)
	}
}

// The dead are found by asking when nobody gives notice: the words are not marked, or the watchers are gone.
func TestDeathsAreFoundWithoutNotice(t *testing.T) {
	sp := openSpace(t, "quiet")
	p := roles.StartAs(t, []string{"TANDEM_DISABLE=robustlist"}, nil, "member", "quiet")
	p.Hear()
	if v := sp.s.lifeWord(2, 0).Load(); v != 0 {
		t.Fatalf("the life word is %x", v)
	}
	p.Kill()
	eventually(t, "settled", func() bool { return attachedNow(sp.s) == 1 })
}

// A settler that was killed half-way leaves a slot that says DEAD. Whoever looks finishes it.
func TestAnUnfinishedSettlementIsFinished(t *testing.T) {
	sp := openSpace(t, "unfinished")
	sp.s.slots[9].Store(uint64(layout.MakeSlotWord(layout.SlotDead, 3)))
	eventually(t, "clean", func() bool { return sp.s.slot(9).State() == layout.SlotClean })
}

// In the middle of removing a Space a cleaner holds NAME and MAPPED. Stopped there it delays that one name, for a while.
func TestAStoppedCleanerIsBusyAndNotAHang(t *testing.T) {
	p := roles.Start(t, "member", "cleaned")
	p.Hear()
	p.Kill()
	f, err := openSegment(filepath.Join(directory(), namedFile("cleaned")))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{layout.LockName, layout.LockMapped} {
		if ok, err := tryLock(f, writeLock, at); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if _, err := OpenSpace("cleaned"); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "cleaned") {
		t.Fatal(err)
	}
	openSpace(t, "another")
	f.Close() // it is killed
	openSpace(t, "cleaned")

	// Likewise for who gives up a name.
	sp := openSpace(t, "unlinking")
	f, err = reopen(sp.s.probe, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if ok, err := tryLock(f, writeLock, layout.LockName); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := sp.Unlink(); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	openSpace(t, "unlinking") // attaching needs no NAME
}

// A cleaner that was killed after it had begun leaves a root without segments: nobody may revive it.
func TestADoomedSpaceIsNotRevived(t *testing.T) {
	sp := openSpace(t, "doomed")
	old := sp.s
	if err := doom(old.probe); err != nil {
		t.Fatal(err)
	}
	path := *old.path.Load()
	f, err := openSegment(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := attach(f, directory(), path, options{}); !errors.Is(err, errAgain) {
		t.Fatalf("attached: %v", err)
	}
}

// Who fails to attach after it has taken its place was in the way of the last leaver: then it removes the files.
func TestWhoIsInTheWayOfTheLastLeaverRemovesTheFiles(t *testing.T) {
	sp := openSpace(t, "inway")
	path := *sp.s.path.Load()
	f, err := openSegment(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := enterRoot(f, directory(), path); err != nil {
		t.Fatal(err)
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	if len(files(t)) == 0 {
		t.Fatal("removed under a process that is attaching")
	}
	if err := giveUp(f, directory(), path); err != nil {
		t.Fatal(err)
	}
	if left := files(t); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
}

// Asking whether a Space is in use takes no lock that the last leaver, or another asker, could meet.
func TestAskingForLocksTakesNone(t *testing.T) {
	sp := openSpace(t, "asked")
	ask := func(at int64, want int16) {
		t.Helper()
		if held, err := whoLocks(sp.s.probe, at); err != nil || held != want {
			t.Errorf("byte %d: %d, %v; want %d", at, held, err, want)
		}
	}
	ask(layout.LockMapped, readLock)
	ask(layout.LockName, noLock)
	other, err := reopen(sp.s.probe, *sp.s.path.Load())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if ok, err := tryLock(other, writeLock, layout.LockName); err != nil || !ok {
		t.Fatalf("after asking: %v, %v", ok, err)
	}
	ask(layout.LockName, writeLock)
}

func TestLateSweepsFindNamesOfUnbornFiles(t *testing.T) {
	path := filepath.Join(directory(), bornFile(42))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// While its maker holds it, it is being born.
	f, err := openSegment(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if ok, err := tryLock(f, readLock, layout.LockMapped); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if removed, err := Sweep(); err != nil || len(removed) != 0 {
		t.Fatal(removed, err)
	}
	f.Close()
	if removed, err := Sweep(); err != nil || len(removed) != 1 {
		t.Fatal(removed, err)
	}
}

func TestImportingAloneDoesNothing(t *testing.T) {
	// Another run of this binary that runs no test: no goroutine of ours, no file, no output.
	cmd := exec.Command("/proc/self/exe", "-test.run=^$", "-test.v")
	cmd.Env = append(os.Environ(), "TANDEM_TEST_ROLE=idle")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != "goroutines 1\n" {
		t.Fatalf("%q", out)
	}
}

func init() {
	parts["wanderer"] = func(p *roles.Peer, args []string) {
		p.Must(os.Chdir(args[0]))
		p.Must(os.Setenv(EnvDir, "below"))
		sp, err := OpenSpace("wandering")
		p.Must(err)
		p.Must(os.Chdir("/"))
		_, err = sp.s.alloc(2 * rootHeap) // in another segment
		p.Must(err)
		p.Must(Exit())
		p.Say("left")
	}
	parts["idle"] = func(p *roles.Peer, args []string) { p.Say("goroutines %d", runtime.NumGoroutine()) }
}

func TestARelativeDirectoryIsThatOfTheFirstUse(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "below")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	p := roles.Start(t, "wanderer", dir)
	p.Expect("left")
	if left, err := os.ReadDir(below); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Where files are born with a name a sweep may take one for leaked, and then another one is made.
func TestSweepsDisturbNoBirth(t *testing.T) {
	done := make(chan struct{})
	var sweeping sync.WaitGroup
	for range 2 {
		sweeping.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := Sweep(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 300 {
		sp, err := OpenSpace("born")
		if err != nil {
			t.Error(err)
			break
		}
		if err := sp.Close(); err != nil {
			t.Error(err)
		}
	}
	close(done)
	sweeping.Wait()
}
