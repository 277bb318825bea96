package shm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// Cleaning. A Space is leaked when nobody holds the MAPPED lock of its root and it is not exempt: no process that
// follows the protocol can come back to it. A growth segment is judged by its root: it may hold data of a dead member
// for the living, though nobody maps it yet. Only if the root is leaked or gone, and nobody maps the segment either, is
// it garbage. Whoever unlinks or renames a file holds the NAME lock of its inode, so looking at a name and taking it away
// are one step among those who follow the protocol.

// EnvSweep turns the sweep on first use off: TANDEM_SWEEP=off.
const EnvSweep = "TANDEM_SWEEP"

// removeIfLeaked removes the Space whose root is f, if it is leaked. path is a name that it had. f holds no locks before
// and after.
func removeIfLeaked(f *os.File, dir, path string) (bool, error) {
	info, err := fstat(f)
	if err != nil {
		return false, err
	}
	unnamed, _ := unnamedPath(f, dir, path)
	// Asked before the locks, which would be in the way of who comes to a mailbox. What is kept is so until its name is given
	// up, by somebody who judges after us; what is not will never be.
	if at, ok := nameOf(info.id, path, unnamed); ok {
		if kept, err := keeps(f, at); err != nil || kept {
			return false, err
		}
	}
	return removeUnused(f, dir, path)
}

// unnamedPath is the path of the root f once its name is given up; known tells whether f says so. Path is one that it had.
func unnamedPath(f *os.File, dir, path string) (unnamed string, known bool) {
	nonce, known := nonceIn(f)
	uid, _, _, _ := parseFile(filepath.Base(path))
	return inDir(dir, privateFileOf(uid, nonce)), known
}

// removeUnused removes the Space whose root is f, exempt or not, if nobody uses it.
func removeUnused(f *os.File, dir, path string) (bool, error) {
	if ok, err := tryLock(f, writeLock, layout.LockName); err != nil {
		return false, err
	} else if !ok {
		return false, fmt.Errorf("%s: somebody is about to remove or rename it: %w", path, ErrBusy)
	}
	defer tryLock(f, noLock, layout.LockName)
	if ok, err := tryLock(f, writeLock, layout.LockMapped); err != nil || !ok {
		return false, err
	}
	defer tryLock(f, noLock, layout.LockMapped)
	info, err := fstat(f)
	if err != nil {
		return false, err
	}
	unnamed, known := unnamedPath(f, dir, path)
	path, ok := nameOf(info.id, path, unnamed)
	if !ok {
		return false, nil // gone, or another Space by now
	}
	if known {
		// From here on nobody attaches, even if we are killed before the root is gone: its segments may be missing.
		if err := doom(f); err != nil {
			return false, err
		}
		if err := removeGrowth(dir, unnamed); err != nil {
			return false, err
		}
	}
	return true, ignoreMissing(os.Remove(path))
}

// removeIfLast removes the Space whose root is f if nobody uses it any more, for who has just left. Who looks at it in this
// moment may have found us still there: then it is ours to remove, once that one is gone.
func removeIfLast(f *os.File, dir, path string) error {
	for end := time.Now().Add(retryFor); ; time.Sleep(time.Millisecond) {
		_, err := removeIfLeaked(f, dir, path)
		if !errors.Is(err, ErrBusy) {
			return err
		}
		if time.Now().After(end) {
			return nil // stopped in the middle: the next sweep does it
		}
	}
}

// nameOf finds under which of its possible names an inode is.
func nameOf(id fileID, paths ...string) (string, bool) {
	for _, p := range paths {
		if now, err := lstat(p); err == nil && now.id == id {
			return p, true
		}
	}
	return "", false
}

// removeGrowth removes the growth segments of a leaked Space, whose root has unnamed as its private path.
func removeGrowth(dir, unnamed string) error {
	uid, _, nonce, _ := parseFile(filepath.Base(unnamed))
	names, err := list(dir, prefixOf(uid)+"g."+nonce+".")
	if err != nil {
		return err
	}
	for _, n := range names {
		if _, err := removeGrown(inDir(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// removeGrown removes a growth segment, or a file that was never born, unless somebody maps it. The root was judged.
func removeGrown(path string) (bool, error) {
	f, err := openOwned(path, os.O_RDWR)
	if err != nil {
		return false, err
	}
	defer f.Close() // and its locks
	for _, at := range []int64{layout.LockName, layout.LockMapped} {
		if ok, err := tryLock(f, writeLock, at); err != nil || !ok {
			return false, err
		}
	}
	info, err := fstat(f)
	if err != nil {
		return false, err
	}
	if _, ok := nameOf(info.id, path); !ok {
		return false, nil
	}
	return true, os.Remove(path)
}

// removeLeaked removes the Space at file if it is leaked.
func removeLeaked(dir, file string) (bool, error) {
	f, err := openOwned(inDir(dir, file), os.O_RDWR)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return removeIfLeaked(f, dir, inDir(dir, file))
}

// openOwned opens a file of any user: a regular one of him whom its name names, and no trap for who has more rights.
func openOwned(path string, how int) (*os.File, error) {
	uid, _, _, _ := parseFile(filepath.Base(path))
	fits := func(info fileInfo, err error) error {
		if err == nil && (!info.regular || info.uid != uint32(uid)) {
			err = fmt.Errorf("%s is no regular file of user %d: %w", path, uid, ErrCorrupt)
		}
		return err
	}
	if err := fits(lstat(path)); err != nil {
		return nil, err
	}
	f, err := openFile(path, how)
	if err != nil {
		return nil, err
	}
	if err := fits(fstat(f)); err != nil { // it was replaced
		f.Close()
		return nil, err
	}
	return f, nil
}

// keeps tells whether a root that is found at path is exempt from cleaning: it was made so, and has its name still. What is
// no root is not. A root of another layout version is judged as its own programs would: the words read here are where they
// are in every version.
func keeps(f io.ReaderAt, path string) (bool, error) {
	if _, kind, _, _ := parseFile(filepath.Base(path)); kind != "n" {
		return false, nil
	}
	var r layout.Root
	if _, err := f.ReadAt(bytesOf(&r)[:layout.RootDoomed+4], 0); err != nil {
		return false, nil // too short to be one
	}
	// What is doomed has begun to go, and what has flags that nobody of its version sets is damaged: neither is anybody's
	// mailbox.
	damaged := r.Seg.Version == layout.Version && r.Flags&^(layout.RootKeep|layout.RootPrivate) != 0
	return r.Seg.Magic == layout.Magic && r.Seg.Kind == layout.SegRoot && r.Doomed.Load() == 0 &&
		r.Flags&layout.RootKeep != 0 && !damaged, nil
}

// nonceIn reads the nonce of a root.
func nonceIn(f io.ReaderAt) (uint64, bool) {
	var h layout.SegmentHeader
	if _, err := f.ReadAt(bytesOf(&h), 0); err != nil || h.Magic != layout.Magic || h.Kind != layout.SegRoot {
		return 0, false
	}
	return h.Nonce, true
}

func doom(f *os.File) error {
	var one [4]byte
	binary.LittleEndian.PutUint32(one[:], 1)
	_, err := f.WriteAt(one[:], layout.RootDoomed)
	return err
}

// list returns the names in dir that begin with prefix.
func list(dir, prefix string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	all, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	names := all[:0]
	for _, n := range all {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names, nil
}

// sweep removes what killed processes of a user left in dir, until end, if there is one. It never waits, and what it
// cannot judge it leaves alone.
func sweep(dir string, uid int, end time.Time) (removed []string, err error) {
	names, err := list(dir, prefixOf(uid))
	if err != nil {
		return nil, err
	}
	late := func() bool { return !end.IsZero() && time.Now().After(end) }
	alive := map[uint64]bool{}
	var grown []string
	note := func(name string, gone bool, e error) {
		if gone {
			removed = append(removed, name)
		}
		if e != nil && !errors.Is(e, fs.ErrNotExist) && !errors.Is(e, ErrBusy) {
			err = errors.Join(err, e)
		}
	}
	for _, name := range names {
		if late() {
			return removed, err
		}
		switch _, kind, _, _ := parseFile(name); kind {
		case "p", "n":
			gone, e := removeLeaked(dir, name)
			note(name, gone, e)
		case "t":
			gone, e := removeGrown(inDir(dir, name))
			note(name, gone, e)
		case "g":
			grown = append(grown, name)
		}
	}
	for _, name := range grown {
		if late() {
			return removed, err
		}
		_, _, rest, _ := parseFile(name)
		nonce, ok := nonceOf(rest)
		if !ok {
			continue
		}
		if _, asked := alive[nonce]; !asked {
			root, e := rootExists(dir, uid, nonce)
			if e != nil {
				note(name, false, e)
				continue
			}
			alive[nonce] = root
		}
		if !alive[nonce] {
			gone, e := removeGrown(inDir(dir, name))
			note(name, gone, e)
		}
	}
	return removed, err
}

// rootExists tells whether there is a root with this nonce. Its name may change once, from n to p, while we look: so p is
// asked before and after.
func rootExists(dir string, uid int, nonce uint64) (bool, error) {
	unnamed := func() (bool, error) {
		info, err := lstat(inDir(dir, privateFileOf(uid, nonce)))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil && info.regular && info.uid == uint32(uid), err
	}
	if yes, err := unnamed(); yes || err != nil {
		return yes, err
	}
	names, err := list(dir, prefixOf(uid)+"n.")
	if err != nil {
		return false, err
	}
	for _, n := range names {
		f, err := openOwned(inDir(dir, n), os.O_RDONLY)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrCorrupt) {
				continue // gone, or somebody else's
			}
			return false, err
		}
		have, _ := nonceIn(f)
		f.Close()
		if have == nonce {
			return true, nil
		}
	}
	return unnamed()
}

// Sweep removes what killed processes of this user left behind, and returns the names of the files. The first use of a
// Space in a process does it too.
func Sweep() ([]string, error) {
	if !supported {
		return nil, errLinux
	}
	removed, err := sweep(directory(), os.Geteuid(), time.Time{})
	if err != nil {
		return removed, fmt.Errorf("shm: sweep: %w", err)
	}
	return removed, nil
}

// Clean removes what killed processes of this user left behind, as Sweep does, and describes what it was; of every user, as far
// as permitted, if everyone is true. An error is about what should have gone and is still there.
func Clean(everyone bool) (removed []SpaceInfo, err error) {
	before, err := Inspect()
	if err != nil {
		return nil, err
	}
	users := map[int]bool{os.Geteuid(): true}
	for _, e := range before.Spaces {
		if everyone && e.State == StateLeaked {
			users[e.UID] = true
		}
	}
	gone := map[string]int{} // files, and whose they were
	for uid := range users {
		files, failed := sweep(before.Dir, uid, time.Time{})
		err = errors.Join(err, failed)
		for _, file := range files {
			gone[file] = uid
		}
	}
	for _, e := range before.Spaces {
		if _, is := gone[e.Files[0]]; is {
			removed = append(removed, e)
			delete(gone, e.Files[0])
		}
	}
	for _, file := range slices.Sorted(maps.Keys(gone)) {
		removed = append(removed, SpaceInfo{Kind: KindSegment, UID: gone[file], Files: []string{file}}) // left behind since we looked
	}
	if err != nil {
		return removed, fmt.Errorf("shm: clean: %w", err)
	}
	return removed, nil
}
