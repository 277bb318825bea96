package sweep

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/attack/internal/children"
)

// grace is for what is about to go by itself, such as a tracker whose last member has just died.
const grace = 2 * time.Second

// settled waits until there are none, or grace is over, and returns those there are.
func settled[T any](list func() []T) []T {
	for deadline := time.Now().Add(grace); ; time.Sleep(time.Millisecond) {
		if left := list(); len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

const trialDirPrefix = "attack-trial-"

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

// processes looks for those that trials leave. An orphan of a role becomes a child of this process, which makes itself a
// subreaper, so none gets away.
type processes struct {
	known  []int
	reaper bool // it was one before
}

func watchProcesses() (*processes, error) {
	known, _ := children.List()
	p := &processes{reaper: isSubreaper(), known: known}
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
func (p *processes) take() (left []string) {
	pids := settled(func() []int {
		alive, dead := children.List()
		for _, pid := range dead { // when no role is left they are orphans that it inherited
			syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
		return slices.DeleteFunc(alive, func(c int) bool { return slices.Contains(p.known, c) })
	})
	for _, pid := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		left = append(left, fmt.Sprintf("%d %s", pid, bytes.ReplaceAll(b, []byte{0}, []byte{' '})))
		syscall.Kill(pid, syscall.SIGKILL)
		syscall.Wait4(pid, nil, 0, nil)
	}
	return left
}
