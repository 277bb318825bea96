package shm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/edsrzf/mmap-go"
	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/feature"
)

// What Linux does for us: locks, files without names, reservation, mapping. Everything here retries EINTR.

const supported = true

// tryLock sets or removes a lock on one byte of f's open file description and never waits. The kernel drops it when the
// description goes: when it is neither open nor mapped anywhere.
func tryLock(f *os.File, kind int16, at int64) (bool, error) {
	return lockByte(f, kind, at, unix.FcntlFlock)
}

func lockByte(f *os.File, kind int16, at int64, fcntl func(fd uintptr, cmd int, l *unix.Flock_t) error) (bool, error) {
	l := unix.Flock_t{Type: kind, Whence: 0, Start: at, Len: 1}
	for {
		switch err := fcntl(f.Fd(), unix.F_OFD_SETLK, &l); err {
		case nil:
			return true, nil
		case unix.EAGAIN, unix.EACCES:
			return false, nil
		case unix.EINTR:
		default:
			return false, fmt.Errorf("lock byte %d: %w", at, err)
		}
	}
}

// whoLocks tells what kind of lock others have on one byte of f's inode: readLock, writeLock, or noLock. Asking takes
// nothing, so it is in nobody's way.
func whoLocks(f *os.File, at int64) (int16, error) {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: at, Len: 1}
	for {
		switch err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err {
		case nil:
			return l.Type, nil
		case unix.EINTR:
		default:
			return noLock, fmt.Errorf("ask for locks on byte %d: %w", at, err)
		}
	}
}

const (
	readLock  = int16(unix.F_RDLCK)
	writeLock = int16(unix.F_WRLCK)
	noLock    = int16(unix.F_UNLCK)
)

// openSegment opens an existing file and nothing else: no link, no device, no FIFO that would block.
func openSegment(path string) (*os.File, error) { return openFile(path, os.O_RDWR) }

func openFile(path string, how int) (*os.File, error) {
	fd, err := eintr(func() (int, error) {
		return unix.Open(path, how|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// A fileID names an inode.
type fileID struct{ dev, ino uint64 }

type fileInfo struct {
	id       fileID
	size     int64
	memory   int64 // what it occupies
	modified time.Time
	links    uint64
	uid      uint32
	regular  bool
}

func infoOf(st *unix.Stat_t) fileInfo {
	return fileInfo{
		id: fileID{uint64(st.Dev), st.Ino}, size: st.Size, links: uint64(st.Nlink), uid: st.Uid,
		regular: st.Mode&unix.S_IFMT == unix.S_IFREG, memory: int64(st.Blocks) * 512, modified: time.Unix(st.Mtim.Unix()),
	}
}

func fstat(f *os.File) (fileInfo, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fileInfo{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return infoOf(&st), nil
}

func lstat(path string) (fileInfo, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fileInfo{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return infoOf(&st), nil
}

// newFile makes a file without a name in dir, or, where that is impossible, one with a temporary name that sweepers
// recognise; temporary is "" in the first case. A file without a name can be named only through /proc. EPERM is what
// filters of system calls say.
func newFile(dir, temporaryName string) (f *os.File, temporary string, err error) {
	if !feature.TmpFile.Off() && hasProc() {
		fd, err := eintr(func() (int, error) { return unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600) })
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), dir+"/(unnamed)"), "", nil
		case !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM):
			return nil, "", &os.PathError{Op: "create a file in", Path: dir, Err: err}
		}
	}
	temporary = filepath.Join(dir, temporaryName)
	fd, err := eintr(func() (int, error) {
		return unix.Open(temporary, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return nil, "", &os.PathError{Op: "create", Path: temporary, Err: err}
	}
	return os.NewFile(uintptr(fd), temporary), temporary, nil
}

// nameFile gives f its name, in one step and only if the name is free: fs.ErrExist if it is not.
func nameFile(f *os.File, temporary, path string) error {
	var err error
	if temporary == "" {
		err = unix.Linkat(unix.AT_FDCWD, procFD(f), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	} else {
		err = renameNew(temporary, path)
	}
	if err != nil {
		return &os.LinkError{Op: "name", Old: f.Name(), New: path, Err: err}
	}
	return nil
}

// renameNew renames without replacing.
func renameNew(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

// hasProc tells whether open files have names in /proc.
var hasProc = sync.OnceValue(func() bool { return unix.Access("/proc/self/fd", unix.F_OK) == nil })

func procFD(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// reopen opens f's inode a second time: a description of its own, that holds none of f's locks. path is a name of f, for
// systems without /proc; "" if it has none.
func reopen(f *os.File, path string) (*os.File, error) {
	fd, err := eintr(func() (int, error) { return unix.Open(procFD(f), unix.O_RDWR|unix.O_CLOEXEC, 0) })
	if err == nil {
		return os.NewFile(uintptr(fd), f.Name()), nil
	}
	if path == "" {
		return nil, &os.PathError{Op: "reopen", Path: f.Name(), Err: err}
	}
	g, err := openSegment(path)
	if err != nil {
		return nil, err
	}
	a, err1 := fstat(f)
	b, err2 := fstat(g)
	if err1 != nil || err2 != nil || a.id != b.id {
		g.Close()
		return nil, &os.PathError{Op: "reopen", Path: path, Err: errors.Join(errReplaced, err1, err2)}
	}
	return g, nil
}

var errReplaced = errors.New("the file was replaced")

// reserve makes sure that [off, off+n) of f is backed by memory: a full file system is an error now, not a fault later.
// What is reserved already costs nothing.
func reserve(f *os.File, off, n int64) error {
	_, err := eintr(func() (int, error) { return 0, unix.Fallocate(int(f.Fd()), 0, off, n) })
	if err != nil {
		return &os.PathError{Op: "reserve memory in", Path: f.Name(), Err: err}
	}
	return nil
}

// populate makes sure that pages of a mapping are backed by memory, as reserve does without a descriptor. ErrUnsupported:
// this kernel cannot.
func populate(mem []byte) error {
	if feature.Populate.Off() {
		return errors.ErrUnsupported
	}
	_, err := eintr(func() (int, error) { return 0, unix.Madvise(mem, unix.MADV_POPULATE_WRITE) })
	switch err {
	case nil:
		return nil
	case unix.EINVAL:
		return errors.ErrUnsupported
	case unix.EFAULT: // what would be a SIGBUS
		err = unix.ENOSPC
	}
	return fmt.Errorf("reserve %d bytes again: %w", len(mem), err)
}

// canPopulate tries it.
func canPopulate() bool {
	m, err := mmap.MapRegion(nil, os.Getpagesize(), mmap.RDWR, mmap.ANON, 0)
	if err != nil {
		return false
	}
	defer m.Unmap()
	return populate(m) == nil
}

// release gives the memory of whole pages back to the file system: they are a hole.
func release(mem []byte) error {
	_, err := eintr(func() (int, error) { return 0, unix.Madvise(mem, unix.MADV_REMOVE) })
	return err
}

// mapFile maps a whole file. The mapping is not inherited by a forked child, which would keep its parent alive, and not
// dumped with a core.
func mapFile(f *os.File, size int64) (mmap.MMap, error) {
	m, err := mmap.MapRegion(f, int(size), mmap.RDWR, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of %s: %w", size, f.Name(), err)
	}
	if err := protect(m); err != nil {
		return nil, errors.Join(err, m.Unmap())
	}
	return m, nil
}

func protect(m []byte) error {
	if err := unix.Madvise(m, unix.MADV_DONTFORK); err != nil {
		return fmt.Errorf("keep the mapping from forked children: %w", err)
	}
	if err := unix.Madvise(m, unix.MADV_DONTDUMP); err != nil {
		return fmt.Errorf("keep the mapping out of core dumps: %w", err)
	}
	return nil
}

// spaceIn tells how many bytes dir's file system has in all and free.
func spaceIn(dir string) (total, free int64, err error) {
	var st unix.Statfs_t
	if _, err := eintr(func() (int, error) { return 0, unix.Statfs(dir, &st) }); err != nil {
		return 0, 0, &os.PathError{Op: "ask the size of", Path: dir, Err: err}
	}
	return int64(st.Blocks) * int64(st.Bsize), int64(st.Bavail) * int64(st.Bsize), nil
}

func eintr(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// memoryOfMachine is what the machine has.
func memoryOfMachine() int64 {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return 0
	}
	return int64(si.Totalram) * int64(si.Unit)
}
