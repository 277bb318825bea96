//go:build amd64 || arm64

package detach

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const env = "DETACH_TEST"

// In the new process this says what it is, to whoever has the other end of descriptor 3.
func TestMain(m *testing.M) {
	switch os.Getenv(env) {
	case "":
		os.Exit(m.Run())
	case "crowded":
		os.Exit(crowded())
	}
	out := os.NewFile(3, "out")
	dir, _ := os.Getwd()
	sid, _ := unix.Getsid(0)
	var mask unix.Sigset_t
	unix.PthreadSigmask(unix.SIG_BLOCK, nil, &mask)
	fmt.Fprintln(out, strings.Join(os.Args, " "), dir, sid == os.Getpid(), mask.Val[0]&(1<<(unix.SIGUSR1-1)) != 0)
	for i := range 200 {
		if _, err := unix.FcntlInt(uintptr(i), unix.F_GETFD, 0); err == nil {
			to, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", i))
			// The Go runtime has a poller, and looks at its control group.
			if !strings.HasPrefix(to, "anon_inode:[event") && !strings.HasPrefix(to, "/sys/fs/cgroup/") {
				fmt.Fprint(out, i, " ")
			}
		}
	}
}

func run(t *testing.T, path string) (string, error) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// A descriptor that this process lets its children have.
	if _, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD, 100); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(100)
	err = Start(path, []string{"detached", "one", "two"}, []string{env + "=1"}, null, w)
	w.Close()
	said, rerr := io.ReadAll(r)
	return string(said), errors.Join(err, rerr)
}

func TestTheNewProcessHasWhatItWasGivenAndNothingElse(t *testing.T) {
	const none = 1 << 20
	for _, closeRange = range []uintptr{none, unix.SYS_CLOSE_RANGE} { // also without it, as before Linux 5.9
		said, err := run(t, "/proc/self/exe")
		if want := "detached one two / true true\n0 1 2 3 "; err != nil || said != want {
			t.Fatalf("%q, %v; want %q", said, err, want)
		}
	}
	if _, err := unix.Wait4(-1, nil, unix.WALL|unix.WNOHANG, nil); err != unix.ECHILD {
		t.Fatalf("there is a child: %v", err)
	}
}

func TestAProgramThatCannotBeExecutedIsAnError(t *testing.T) {
	if said, err := run(t, "/nowhere"); !errors.Is(err, fs.ErrNotExist) || said != "" {
		t.Fatalf("%q, %v", said, err)
	}
	if _, err := unix.Wait4(-1, nil, unix.WALL|unix.WNOHANG, nil); err != unix.ECHILD {
		t.Fatalf("there is a child: %v", err)
	}
}

func TestWhoAdoptsOrphansStartsNone(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	if said, err := run(t, "/proc/self/exe"); !errors.Is(err, ErrAdopts) || said != "" {
		t.Fatalf("%q, %v", said, err)
	}
}

// crowded may not have another process.
func crowded() int {
	none := unix.Rlimit{}
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &none); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(Start("/proc/self/exe", []string{"detached"}, nil, os.Stdin, os.Stdin))
	return 0
}

func TestWhoMayNotHaveAnotherProcessGetsAnError(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), env+"=crowded")
	if os.Geteuid() == 0 { // whom the limit does not concern
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}}
	}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "clone: resource temporarily unavailable\n" {
		t.Fatalf("%q, %v", out, err)
	}
}
