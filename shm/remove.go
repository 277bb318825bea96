package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
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
	f, dir, path, err := openNamed(name)
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

// Unlink gives up the name of the Space: OpenSpace makes a new one from now on. Members go on using the old one, which
// keeps existing under a random name until the last of them leaves. ErrBusy: another process is about to do the same.
func (sp *Space) Unlink() error {
	s, err := sp.enter()
	if err != nil {
		return err
	}
	defer s.release()
	if s.name == "" {
		return nil
	}
	if err := s.unlink(); err != nil {
		return fmt.Errorf("shm: unlink %v: %w", s, err)
	}
	return nil
}

func (s *space) unlink() error {
	s.naming.Lock() // goroutines share the description, so its lock does not keep them apart
	defer s.naming.Unlock()
	now, err := giveUpName(s.probe, s.dir, *s.path.Load(), s.nonce)
	if err == nil && now != "" {
		s.path.Store(&now)
	}
	return err
}

// Unlink gives up the name of a Space without attaching to it: that of a mailbox (see Keep) above all. If nobody is
// attached to it, it is removed, whatever the file holds; else its last member does it. fs.ErrNotExist: there is none.
func Unlink(name string) error {
	fail := func(err error) error { return fmt.Errorf("shm: unlink space %q: %w", name, err) }
	f, dir, path, err := openNamed(name)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	nonce, known := nonceIn(f)
	if !known {
		nonce = randomNonce()
	}
	// Killed after this it is no mailbox any more: a sweep finds it.
	now, err := giveUpName(f, dir, path, nonce)
	if err != nil {
		return fail(err)
	}
	if now == "" {
		return fail(fs.ErrNotExist) // somebody else was faster
	}
	if err := removeIfLast(f, dir, now); err != nil {
		return fail(err)
	}
	return nil
}

// giveUpName renames the root f, found at path, to its private name, and returns that; "" if it has another name already.
func giveUpName(f *os.File, dir, path string, nonce uint64) (now string, err error) {
	for end := time.Now().Add(retryFor); ; time.Sleep(time.Millisecond) {
		ok, err := tryLock(f, writeLock, layout.LockName)
		if err != nil {
			return "", err
		}
		if ok {
			break
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("its name is held by a process that is stopped or about to remove it: %w", ErrBusy)
		}
	}
	defer tryLock(f, noLock, layout.LockName)
	info, err := fstat(f)
	if err != nil {
		return "", err
	}
	to := inDir(dir, privateFile(nonce))
	if _, ok := nameOf(info.id, path); !ok || path == to {
		return "", nil
	}
	if err := renameNew(path, to); err != nil {
		return "", &os.LinkError{Op: "rename", Old: path, New: to, Err: err}
	}
	return to, nil
}

// openNamed opens the root of the named Space of this user, whatever it holds.
func openNamed(name string) (f *os.File, dir, path string, err error) {
	if err := CheckName(name); err != nil {
		return nil, "", "", err
	}
	if !supported {
		return nil, "", "", errLinux
	}
	dir = directory()
	path = inDir(dir, namedFile(name))
	f, err = openOwned(path, os.O_RDWR)
	return f, dir, path, err
}
