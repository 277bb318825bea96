package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// InUseError is returned for a Space that cannot be removed because processes are attached to it. It matches ErrBusy.
type InUseError struct {
	Members []MemberInfo // empty: a process is about to attach, or has left and still uses the memory
}

func (e *InUseError) Error() string {
	if len(e.Members) == 0 {
		return "in use by a process that is coming or going"
	}
	who := make([]string, len(e.Members))
	for i, m := range e.Members {
		who[i] = fmt.Sprintf("%d (%s)", m.PID, m.Command)
	}
	return "in use by process " + strings.Join(who, ", ")
}

// Is makes an InUseError match ErrBusy.
func (e *InUseError) Is(target error) bool { return target == ErrBusy }

// Remove removes the named Space of this user, also a mailbox or a damaged file, unless a process is attached to it. What
// Unlink does instead: it takes the name at once, and the memory when the last process leaves.
//
// Errors: *InUseError, fs.ErrNotExist, ErrBusy if somebody who removes or renames it is stopped in the middle (after 250 ms).
func Remove(name string) error {
	fail := func(err error) error { return fmt.Errorf("shm: remove space %q: %w", name, err) }
	if err := CheckName(name); err != nil {
		return fail(err)
	}
	if !supported {
		return errLinux
	}
	dir := directory()
	path := inDir(dir, namedFile(name))
	f, err := openOwned(path, os.O_RDWR)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	for end := time.Now().Add(retryFor); ; time.Sleep(time.Millisecond) {
		removed, err := removeUnused(f, dir, path)
		if errors.Is(err, ErrBusy) && time.Now().Before(end) {
			continue
		}
		if err != nil {
			return fail(err)
		}
		if removed {
			return nil
		}
		break
	}
	info, err := fstat(f)
	if err != nil {
		return fail(err)
	}
	if _, here := nameOf(info.id, path); !here {
		return fail(fs.ErrNotExist) // somebody else was faster
	}
	e := &InUseError{}
	inv, err := Inspect()
	if err != nil {
		return fail(errors.Join(e, err))
	}
	for _, sp := range inv.Spaces {
		if sp.Files[0] == namedFile(name) {
			e.Members = sp.alive()
		}
	}
	return fail(e)
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
