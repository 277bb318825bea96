package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/shm"
)

// diagnosed runs doctor in a process of its own, in an environment of its own.
func diagnosed(t *testing.T, want int, environ []string, attr *syscall.SysProcAttr, args ...string) (d jsonDoctor) {
	t.Helper()
	p := roles.StartAs(t, environ, attr, "tandem", append(args, "doctor", "--json")...)
	var text strings.Builder
	for line := range p.Lines() {
		text.WriteString(line + "\n")
	}
	if got := p.Wait(); got != want {
		t.Fatalf("status %d, want %d\n%s", got, want, text.String())
	}
	decode(t, text.String(), &d)
	if d.OK != (want == exitDone) || d.OK != (len(d.Problems) == 0) {
		t.Errorf("%+v", d)
	}
	return d
}

// told looks for a problem, and what to do about it.
func told(t *testing.T, d jsonDoctor, what, do string) {
	t.Helper()
	if !slices.ContainsFunc(d.Problems, func(p jsonProblem) bool {
		return strings.Contains(p.What, what) && strings.Contains(p.Do, do)
	}) {
		t.Errorf("no problem with %q: %q in %+v", what, do, d.Problems)
	}
}

func TestDoctorSaysWhatIsInForce(t *testing.T) {
	d := diagnosed(t, exitDone, []string{"TANDEM_RING=131072", "TANDEM_DISABLE=waitv,pidfd"}, nil)
	if d.Directory.Path != os.Getenv(shm.EnvDir) || d.Directory.Type != "tmpfs" || d.Directory.Size < 1 || d.Directory.Free < 1 ||
		!d.Directory.SpaceMade || !slices.Contains(d.Directory.Options, "rw") || d.Memory.Limit < 1 || d.Tracker != "on" {
		t.Errorf("%+v", d)
	}
	if d.CPUs.Usable < 1 || d.CPUs.Affinity < d.CPUs.Usable || d.Costs.Wake < 1 || d.Costs.Spin < 1 {
		t.Errorf("%+v %+v", d.CPUs, d.Costs)
	}
	if len(d.Features) != len(feature.All) {
		t.Errorf("%+v", d.Features)
	}
	for _, f := range d.Features {
		if off := f.Name == "waitv" || f.Name == "pidfd"; off != (f.State == "off") {
			t.Errorf("%+v", f)
		}
	}
	if !slices.Contains(d.Policy, jsonSetting{"ring", "131072", "environment", "TANDEM_RING"}) {
		t.Errorf("%+v", d.Policy)
	}
	if d := diagnosed(t, exitDone, []string{"TANDEM_TRACKER=off"}, nil); d.Tracker != "off" {
		t.Errorf("%+v", d)
	}
	// As the first process of a container: a fact, no problem.
	if d := diagnosed(t, exitDone, nil, nil, "adopting"); d.Tracker != "none" {
		t.Errorf("%+v", d)
	}
	if got := left(t); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestDoctorPrintsTables(t *testing.T) {
	p := roles.Start(t, "tandem", "doctor")
	var text strings.Builder
	for line := range p.Lines() {
		text.WriteString(line + "\n")
	}
	if p.Wait() != exitDone {
		t.Error(text.String())
	}
	for _, want := range []string{"HERE\ndirectory ", "\nFEATURE ", "\nPOLICY ", "\nspin ", "\na wake-up costs "} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}

func TestDoctorFindsProblems(t *testing.T) {
	d := diagnosed(t, exitProblem, []string{shm.EnvDir + "=/nonexistent"}, nil)
	told(t, d, "/nonexistent", shm.EnvDir)
	d = diagnosed(t, exitProblem, []string{"TANDEM_RING=many", "TANDEM_DISABLE=waitv,sleep"}, nil)
	told(t, d, "TANDEM_RING=many", "unset")
	told(t, d, `"sleep"`, "unset")
	d = diagnosed(t, exitProblem, []string{"TANDEM_TRACKER=never", "TANDEM_SWEEP=no"}, nil)
	told(t, d, "TANDEM_TRACKER=never: want on, off", "unset")
	told(t, d, "TANDEM_SWEEP=no", "unset")
	if len(d.Problems) != 2 {
		t.Errorf("%+v", d.Problems)
	}

	p, _ := start(t, "crashed")
	p.Kill()
	told(t, diagnosed(t, exitProblem, nil, nil), "left 1 Spaces", "tandem clean")
	ok(t, "clean")
	diagnosed(t, exitDone, nil, nil)

	box, err := shm.OpenSpace("newer", shm.Keep())
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	overwrite(t, "newer", []byte{99}, 8) // its version
	told(t, diagnosed(t, exitProblem, nil, nil), "layout version 99", "use it with programs of layout version 99, or tandem rm --force newer")
	ok(t, "rm", "newer")

	q, _ := start(t, "torn")
	overwrite(t, "torn", []byte("not a Space"), 0)
	told(t, diagnosed(t, exitProblem, nil, nil), `"torn"`, "tandem rm --force torn")
	ok(t, "rm", "--force", "torn")
	q.Kill()
	ok(t, "clean")
}

// overwrite changes the file of a named Space.
func overwrite(t *testing.T, name string, b []byte, at int64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.Getenv(shm.EnvDir), "tandem."+strconv.Itoa(os.Geteuid())+".n."+name), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// inNamespaces are the attributes of a process that may mount.
func inNamespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

func TestDoctorFindsADirectoryThatDoesNotDo(t *testing.T) {
	d := diagnosed(t, exitProblem, nil, inNamespaces(), t.TempDir()+":size=64k")
	told(t, d, "only 64 KiB in all", "--shm-size")
	told(t, d, "no Space can be made", "")
	d = diagnosed(t, exitProblem, nil, inNamespaces(), t.TempDir()+":size=64m,ro")
	told(t, d, "is read-only", "mount it for writing")
	if d.Directory.SpaceMade || !slices.Contains(d.Directory.Options, "ro") {
		t.Errorf("%+v", d)
	}
	d = diagnosed(t, exitDone, nil, inNamespaces(), t.TempDir()+":size=64m")
	if d.Memory.Limit != 32<<20 || d.Directory.HugePages == "" {
		t.Errorf("%+v", d)
	}
	if d.Directory.HugePages != "available" { // unless the kernel is told to force them
		d = diagnosed(t, exitProblem, []string{"TANDEM_HUGEPAGES=on"}, inNamespaces(), t.TempDir()+":size=64m")
		told(t, d, "TANDEM_HUGEPAGES=on, but ", "huge=advise")
	}
}
