package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/edsrzf/mmap-go"
	"golang.org/x/sys/unix"

	_ "github.com/tandem-ipc/tandem/csrc" // where a tracker waits, with cgo
	"github.com/tandem-ipc/tandem/internal/detach"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/tracker"
)

// The tracker of a process tree is this program again, started by the tree's root process before it opens its first Space.
// It waits until the kernel lets it lock the tree file, which is when the root process is dead; then until nobody holds the
// tree's private Space any more, which is when its children are; then it sweeps. The tree file has no name, so nothing of
// this can be left behind. Killed or never started, the tracker is not missed: the sweeps of others do the same later.

// tree is the tree file, in a root process.
var tree struct {
	mu     sync.Mutex
	begun  bool         // since the process had no Space
	mapped mmap.MMap    // holds the lock
	kept   *os.File     // holds it where mappings do not
	told   *layout.Tree // what the tracker reads; nil if there is none
	err    error        // why there is none
}

// track makes sure that this process tree has a tracker. Whether it can be had changes nothing for the caller.
func track() error {
	if !isOn(EnvTracker, true) || private.file != "" { // a child has its parent's
		return nil
	}
	tree.mu.Lock()
	defer tree.mu.Unlock()
	if !tree.begun {
		tree.begun = true
		tree.err = startTracker()
	}
	return nil
}

// tracking tells why there is no tracker.
func tracking() error {
	tree.mu.Lock()
	defer tree.mu.Unlock()
	if !tree.begun {
		return errors.New("no Space was used yet")
	}
	return tree.err
}

// startTracker makes the tree file and starts the tracker.
func startTracker() error {
	if err := mainIsOurs(); err != nil {
		return err
	}
	f, err := newTreeFile()
	if err != nil {
		return err
	}
	m, err := mapFile(f, int64(os.Getpagesize()))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if err := launch(f); err != nil {
		return errors.Join(err, m.Unmap(), f.Close())
	}
	tree.mapped, tree.told = m, view[layout.Tree](m, 0)
	if mappingsHoldLocks() {
		return f.Close()
	}
	tree.kept = f
	return nil
}

// newTreeFile makes a page of memory without a name, with our lock on it.
func newTreeFile() (*os.File, error) {
	const name = "tandem-tree"
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	size := int64(os.Getpagesize())
	_, err = tryLock(f, readLock, layout.LockMapped) // nobody else has it
	if err := errors.Join(err, f.Truncate(size), reserve(f, 0, size)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// launch starts the tracker of the tree file f.
func launch(f *os.File) error {
	// In a directory of its own it needs to know ours.
	dir, err := filepath.Abs(directory())
	if err != nil {
		return err
	}
	second, err := reopen(f, "")
	if err != nil {
		return err
	}
	defer second.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	argv := []string{tracker.Name, strconv.Itoa(os.Getpid())}
	env := append([]string{tracker.Env + "=1", EnvDir + "=" + dir}, os.Environ()...) // the first one counts
	return detach.Start("/proc/self/exe", argv, env, null, second)
}

// mainIsOurs tells whether this program's start leads to this package before main. As a library of a program in another
// language it does not: that one's main would run in the tracker.
func mainIsOurs() error {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return nil
	}
	for _, s := range info.Settings {
		if s.Key == "-buildmode" && strings.HasPrefix(s.Value, "c-") {
			return fmt.Errorf("built as a library (%s)", s.Value)
		}
	}
	return nil
}

// tellTracker names the tree's private Space, before it gets its name in the file system.
func tellTracker(nonce uint64) {
	tree.mu.Lock()
	defer tree.mu.Unlock()
	if tree.told != nil {
		tree.told.Nonce.Store(nonce)
	}
}

// untrack lets the tracker go when this process has left every Space. Children that live on keep it.
func untrack() error {
	tree.mu.Lock()
	defer tree.mu.Unlock()
	if tree.told == nil || attachedAnywhere() {
		return nil
	}
	if _, err := lstat(inDir(directory(), privateFile(tree.told.Nonce.Load()))); errors.Is(err, fs.ErrNotExist) {
		tree.told.Over.Store(1) // nobody is left there either
	}
	err := tree.mapped.Unmap()
	if tree.kept != nil {
		err = errors.Join(err, tree.kept.Close())
	}
	tree.begun, tree.mapped, tree.kept, tree.told = false, nil, nil, nil
	return err
}

// In a tracker this package is as far as the program goes. What the user's packages do before this, because they do not
// import it, they do here too; main is not reached.
func init() {
	if tracker.Tracking {
		cleanUp()
		syscall.Exit(0) // not os.Exit: nobody's hooks
	}
}

// lookFor is how long the tracker goes on looking for what a process holds that is dead but not gone: the kernel lets go of
// a process's mappings one by one, in no order to rely on.
const lookFor = 500 * time.Millisecond

// cleanUp removes what the tree has left, and what others have.
func cleanUp() {
	var told layout.Tree
	page := os.NewFile(layout.TreeFile, "tree file")
	if _, err := page.ReadAt(bytesOf(&told), 0); err != nil || told.Over.Load() != 0 {
		return
	}
	dir := directory()
	awaitPrivate(inDir(dir, privateFile(told.Nonce.Load())))
	for wait := time.Millisecond; wait < lookFor; wait *= 2 {
		_, _ = sweep(dir, os.Geteuid(), time.Time{})
		if names, err := list(dir, prefix()); err != nil || len(names) == 0 {
			return
		}
		time.Sleep(wait)
	}
}

// awaitPrivate returns when nobody is left in the tree's private Space.
func awaitPrivate(path string) {
	f, err := openSegment(path)
	if err != nil {
		return // it is gone, or never was
	}
	defer f.Close() // and the lock: removing is for who holds NAME
	lockByte(f, writeLock, layout.LockMapped, func(fd uintptr, _ int, l *unix.Flock_t) error {
		return unix.FcntlFlock(fd, unix.F_OFD_SETLKW, l)
	})
}
