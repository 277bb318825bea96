package environment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/process"
	"github.com/tandem-ipc/tandem/shm/shmtest"
)

// A process of this binary with envSteps set makes its environment, by the steps listed there, and becomes the program
// named in envProgram.
const (
	envSteps   = "TANDEM_TEST_STEPS"
	envProgram = "TANDEM_TEST_PROGRAM"
	envForeign = "TANDEM_TEST_FOREIGN" // set: files of others stay
)

func TestMain(m *testing.M) {
	if list, ok := os.LookupEnv(envSteps); ok {
		os.Unsetenv(envSteps)
		if err := makeEnvironment(list); err != nil {
			fmt.Println("cannot make the environment:", err)
			os.Exit(3)
		}
	}
	process.Init()
	if name := os.Getenv(envProgram); name != "" {
		process.Main(func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, guardTime)
			defer cancel()
			return programs[name](ctx)
		})
	}
	roles.Run(parts)
	shmtest.Main(m)
}

const guardTime = time.Minute // against hanging, never a measure

// world is an environment.
type world struct {
	program string
	steps   []string // what is done to the process before it becomes the program; see steps
	attr    syscall.SysProcAttr
	env     []string
}

// run runs a program in a world and returns what it printed, or skips the test where the world cannot be made.
func (w world) run(t *testing.T) string {
	t.Helper()
	var attr *syscall.SysProcAttr
	if w.attr.Cloneflags != 0 {
		attr = namespaces(t, w.attr.Cloneflags)
	} else {
		attr = &w.attr
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*guardTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.SysProcAttr = attr
	cmd.Env = append(append(os.Environ(), envSteps+"="+strings.Join(w.steps, ";"), envProgram+"="+w.program), w.env...)
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if failed != nil && failed.Sys().(syscall.WaitStatus).Signaled() {
		t.Fatalf("killed by %v:\n%s", failed.Sys().(syscall.WaitStatus).Signal(), out)
	}
	if strings.Contains(string(out), "cannot make the environment: ") {
		t.Skip(strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out))
}

// works fails the test unless the program says that all is well, and nothing else.
func (w world) works(t *testing.T) {
	t.Helper()
	if out := w.run(t); out != "fine" {
		t.Errorf("%s", out)
	}
}

// refuses fails the test unless the program ends with one line, an error that says what is in its way.
func (w world) refuses(t *testing.T, want string) {
	t.Helper()
	if out := w.run(t); strings.Contains(out, "\n") || !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("want %q:\n%s", want, out)
	}
}

// namespaces are the attributes of a process in namespaces of its own; a user who is not root gets one of users too.
func namespaces(t *testing.T, flags uintptr) *syscall.SysProcAttr {
	t.Helper()
	attr := &syscall.SysProcAttr{Cloneflags: flags}
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

func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: " + why)
	}
}
