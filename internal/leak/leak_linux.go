// Package leak finds what a test run left behind: segments, descriptors, processes, trackers among them. The run gets a directory for
// segments of its own, so that neighbours that run at the same time do not disturb.
package leak

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/tracker"
)

const (
	parent  = "/dev/shm"
	pattern = "tandemtest."
	patient = 2 * time.Second // for descriptors and children that are on their way out
)

// A Watch is what there was before.
type Watch struct {
	env  string
	dir  string
	lock *os.File // a lock on the directory says that its owner lives
	fds  map[string]string
}

// Start makes the directory, names it in the variable env, and looks around.
func Start(env string) (*Watch, error) {
	removeStale()
	w, err := lockedDirectory()
	if err != nil {
		return nil, err
	}
	w.env = env
	if err := os.Setenv(env, w.dir); err != nil {
		return nil, err
	}
	w.fds, err = descriptors()
	return w, err
}

// lockedDirectory makes a directory that gets the name by which removeStale finds it when it is locked.
func lockedDirectory() (*Watch, error) {
	born, err := os.MkdirTemp(parent, "born."+pattern)
	if err != nil {
		return nil, err
	}
	lock, err := os.Open(born)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, err
	}
	dir := filepath.Join(parent, strings.TrimPrefix(filepath.Base(born), "born."))
	return &Watch{dir: dir, lock: lock}, os.Rename(born, dir)
}

// removeStale removes the directories of runs that were killed.
func removeStale() {
	dirs, _ := filepath.Glob(filepath.Join(parent, pattern+"*"))
	for _, d := range dirs {
		f, err := os.Open(d)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.RemoveAll(d)
		}
		f.Close()
	}
}

// Dir is the directory for segments.
func (w *Watch) Dir() string { return w.dir }

// Left lists what is there now and was not before, and removes the directory.
func (w *Watch) Left() []string {
	var left []string
	for end := time.Now().Add(patient); ; time.Sleep(5 * time.Millisecond) {
		if left = w.look(); len(left) == 0 || time.Now().After(end) {
			break
		}
	}
	os.RemoveAll(w.dir)
	w.lock.Close()
	return left
}

func (w *Watch) look() []string {
	var left []string
	names, err := os.ReadDir(w.dir)
	if err != nil {
		left = append(left, err.Error())
	}
	for _, n := range names {
		left = append(left, "segment "+filepath.Join(w.dir, n.Name()))
	}
	fds, err := descriptors()
	if err != nil {
		left = append(left, err.Error())
	}
	for fd, to := range fds {
		if was, ok := w.fds[fd]; !ok || was != to {
			left = append(left, fmt.Sprintf("descriptor %s -> %s", fd, to))
		}
	}
	for _, c := range children() {
		left = append(left, "child process "+c)
	}
	for _, p := range w.users() {
		left = append(left, "process that uses the directory "+p)
	}
	slices.Sort(left)
	return left
}

// descriptors lists what is open, but for what the Go runtime opens when it first needs it.
func descriptors() (map[string]string, error) {
	const dir = "/proc/self/fd"
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	self := strconv.Itoa(int(d.Fd()))
	d.Close()
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, n := range names {
		to, err := os.Readlink(filepath.Join(dir, n))
		if n == self || err != nil || to == "anon_inode:[eventpoll]" || to == "anon_inode:[eventfd]" {
			continue
		}
		all[n] = to
	}
	return all, nil
}

func children() []string {
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	var all []string
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue // the thread has ended
		}
		for pid := range strings.FieldsSeq(string(b)) {
			all = append(all, described(pid))
		}
	}
	return all
}

// users lists the other processes that were started with the variable that names the directory: children of children, and
// those that are nobody's children. An ended process has no environment any more.
func (w *Watch) users() []string {
	variable := []byte(w.env + "=" + w.dir)
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	var all []string
	for _, e := range environs {
		pid := filepath.Base(filepath.Dir(e))
		b, err := os.ReadFile(e)
		if err != nil || pid == strconv.Itoa(os.Getpid()) {
			continue // it has ended, or is not ours to look at
		}
		for v := range bytes.SplitSeq(b, []byte{0}) {
			if rest, ok := bytes.CutPrefix(v, variable); ok && (len(rest) == 0 || rest[0] == '/') { // or one inside
				all = append(all, described(pid))
			}
		}
	}
	return all
}

// TrackerOf finds the tracker that a process has started, by what it is called; 0 if there is none.
func TrackerOf(pid int) int {
	want := tracker.Name + "\x00" + strconv.Itoa(pid) + "\x00"
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range all {
		if b, err := os.ReadFile(f); err == nil && string(b) == want {
			found, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			return found
		}
	}
	return 0
}

func described(pid string) string {
	cmd, _ := os.ReadFile("/proc/" + pid + "/cmdline")
	return pid + " " + strings.ReplaceAll(strings.TrimRight(string(cmd), "\x00"), "\x00", " ")
}
