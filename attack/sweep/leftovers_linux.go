package sweep

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// grace is for what is about to go by itself, such as a tracker whose last member has just died.
const grace = 2 * time.Second

// settled waits until there are none, or grace is over, and returns those there are.
func settled(list func() []string) []string {
	for deadline := time.Now().Add(grace); ; time.Sleep(time.Millisecond) {
		if left := list(); len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

const trialDirPrefix = "attack-trial-"

// newTrialDir makes a directory that tells whose it is.
func newTrialDir(dir string) (string, error) {
	return os.MkdirTemp(dir, trialDirPrefix+strconv.Itoa(os.Getpid())+"-")
}

// emptyTrialDir removes the directory, and tells what was in it.
func emptyTrialDir(dir string) (left []string) {
	left = settled(func() (names []string) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	})
	os.RemoveAll(dir)
	return left
}

// removeStaleTrialDirs removes those of sweeps that were killed.
func removeStaleTrialDirs(dir string) {
	dirs, _ := filepath.Glob(filepath.Join(dir, trialDirPrefix+"*"))
	for _, d := range dirs {
		text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(d), trialDirPrefix), "-")
		if pid, err := strconv.Atoi(text); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			os.RemoveAll(d)
		}
	}
}

// processes looks for those that trials leave. An orphan of a role becomes a child of this process, which makes itself a
// subreaper, so none gets away.
type processes struct {
	known  []string
	reaper bool // it was one before
}

func watchProcesses() (*processes, error) {
	p := &processes{reaper: isSubreaper(), known: children(false)}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	return p, nil
}

func (p *processes) end() {
	if !p.reaper {
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	}
}

// take gives the children that nobody waits for and that do not go, and kills them.
func (p *processes) take() []string {
	left := settled(func() []string {
		return slices.DeleteFunc(children(true), func(c string) bool { return slices.Contains(p.known, c) })
	})
	for i, c := range left {
		pid, _ := strconv.Atoi(c)
		b, _ := os.ReadFile("/proc/" + c + "/cmdline")
		left[i] = c + " " + string(bytes.ReplaceAll(b, []byte{0}, []byte{' '}))
		syscall.Kill(pid, syscall.SIGKILL)
		syscall.Wait4(pid, nil, 0, nil)
	}
	return left
}

// children lists this process's live children. With bury it waits for the dead: when no role is left they are orphans
// that it inherited.
func children(bury bool) (pids []string) {
	self := strconv.Itoa(os.Getpid())
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		// 12 (comm) S 1 …
		rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(rest) < 2 || rest[1] != self {
			continue
		}
		pid := filepath.Base(filepath.Dir(f))
		if rest[0] == "Z" {
			if n, _ := strconv.Atoi(pid); bury {
				syscall.Wait4(n, nil, syscall.WNOHANG, nil)
			}
			continue
		}
		pids = append(pids, pid)
	}
	return pids
}
