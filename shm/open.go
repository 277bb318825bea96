package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// An Option changes how a Space is opened.
type Option func(*options)

type options struct {
	create, attach bool
	limit          int64
	keep           bool
	huge, prefault bool
}

// Create makes OpenSpace fail with fs.ErrExist if the Space exists.
func Create() Option { return func(o *options) { o.create = true } }

// Attach makes OpenSpace fail with fs.ErrNotExist unless the Space exists: a living process is attached to it, or it is kept.
func Attach() Option { return func(o *options) { o.attach = true } }

// Limit bounds the Space's memory, in bytes, all segments together; it counts when the Space is created. The default is half
// of the file system, or half of what the control groups of the process that creates it allow, if that is less. A Space
// starts with about 1.2 MiB.
func Limit(bytes int64) Option { return func(o *options) { o.limit = bytes } }

// Keep makes a mailbox: a Space that outlives its users. OpenSpace fails with fs.ErrExist if the Space exists and was made
// without; who opens a mailbox need not say Keep, but then makes a Space that is none if it is not there. Neither its last member nor a
// sweep removes it, only Unlink does (or a restart of the machine). What is bound in its directory stays with it: a binding
// holds an object, or the end of one that it names, like a process that never dies, until Unbind. Objects that are not bound
// go with their last holder, as everywhere. The next one who attaches settles what dead members have left.
func Keep() Option { return func(o *options) { o.keep = true } }

// OpenSpace attaches to the named Space, and creates it if need be. Unrelated programs of the same user meet by the name:
// 1 to 200 letters, digits, '.', '_', '-'. Unless it was made with Keep, a Space lives as long as a process is attached to it:
// one that was left behind by killed processes is removed and made anew.
//
// Errors: ErrName, fs.ErrExist and fs.ErrNotExist as Create, Keep and Attach want it, ErrNoSpace, ErrTooMany members, ErrCorrupt and
// *VersionError for a file that is no Space of this version, ErrBusy if somebody who removes or renames it is stopped in
// the middle (after 250 ms), and what the system says.
func OpenSpace(name string, opts ...Option) (*Space, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if err := CheckName(name); err != nil {
		return nil, fmt.Errorf("shm: open space: %w", err)
	}
	fail := func(err error) (*Space, error) {
		return nil, fmt.Errorf("shm: open space %q: %w", name, err)
	}
	if o.create && o.attach {
		return fail(fmt.Errorf("Create and Attach exclude each other: %w", fs.ErrInvalid))
	}
	if err := firstUse(); err != nil {
		return fail(err)
	}
	sp, err := open(directory(), namedFile(name), name, o)
	if err != nil {
		return fail(err)
	}
	return sp, nil
}

// The private Space of this process tree.
var private struct {
	mu   sync.Mutex
	base *Space // our own reason to stay
	file string // set by Inherit: where it is
}

// Private returns the private Space of this process tree: that of the parent in a child started by package process, else
// one of our own, created by the first call. The process stays attached until it ends or calls Exit; the returned Space
// is closed on its own.
func Private() (*Space, error) {
	if err := firstUse(); err != nil {
		return nil, fmt.Errorf("shm: private space: %w", err)
	}
	private.mu.Lock()
	defer private.mu.Unlock()
	if private.base == nil {
		sp, err := openPrivate()
		if err != nil {
			return nil, fmt.Errorf("shm: private space: %w", err)
		}
		private.base = sp
	}
	s, err := private.base.enter()
	if err != nil {
		return nil, err
	}
	return opened(s), nil
}

func openPrivate() (*Space, error) {
	if private.file != "" {
		return open(directory(), private.file, "", options{attach: true})
	}
	for {
		nonce := randomNonce()
		tellTracker(nonce)
		s, err := birth(directory(), privateFile(nonce), "", nonce, options{}.withEnvironment())
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return register(s)
	}
}

// Inherit makes Private attach to the private Space that h lies in: that of the parent. It is for package process, before
// anything else is used.
func Inherit(h Handle) error {
	private.mu.Lock()
	defer private.mu.Unlock()
	if private.base != nil {
		return fmt.Errorf("shm: inherit a private space: there is one already: %w", fs.ErrInvalid)
	}
	private.file = privateFile(h.Nonce)
	return nil
}

// Exit closes everything that this process has open in any Space, and leaves them: what a process that ends in order does
// for its peers' sake, who see an end and not a death. Zero-copy views that were not given back keep their Space.
func Exit() error {
	private.mu.Lock()
	private.base = nil
	private.mu.Unlock()
	return errors.Join(closeAll(true), untrack())
}

// CloseObjects closes the shared objects that this process has open in any Space, and stays a member.
func CloseObjects() error { return closeAll(false) }

func closeAll(spaces bool) error {
	attached.mu.Lock()
	var all []*space
	for _, s := range attached.by {
		s.retain()
		all = append(all, s)
	}
	attached.mu.Unlock()
	var err error
	for _, s := range all {
		locals, opens := s.everything()
		for _, l := range locals {
			err = errors.Join(err, l.Close())
		}
		if spaces {
			for _, sp := range opens {
				err = errors.Join(err, sp.Close())
			}
		}
		err = errors.Join(err, s.release())
	}
	return err
}

// open attaches to an existing root or makes one.
func open(dir, file, name string, o options) (*Space, error) {
	path := inDir(dir, file)
	o = o.withEnvironment()
	var end time.Time
	for {
		if !o.create {
			s, err := attachTo(dir, path, o)
			switch {
			case err == nil:
				return s, nil
			case errors.Is(err, errRemoved):
				continue
			case errors.Is(err, errAgain):
				// Another process is in the middle of a few system calls about it, or is stopped there.
				if end.IsZero() {
					end = time.Now().Add(retryFor)
				} else if time.Now().After(end) {
					return nil, fmt.Errorf("%s is being removed by another process: %w (%w)", path, ErrBusy, err)
				}
				time.Sleep(time.Millisecond)
				continue
			case !errors.Is(err, fs.ErrNotExist) || o.attach:
				return nil, err
			}
		}
		s, err := birth(dir, file, name, randomNonce(), o)
		switch {
		case err == nil:
			return register(s)
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
		if o.create {
			// The name is taken. By the living?
			switch removed, err := removeLeaked(dir, file); {
			case removed:
				continue
			case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrBusy):
				return nil, err
			}
			return nil, &os.PathError{Op: "create", Path: path, Err: fs.ErrExist}
		}
	}
}

var (
	errAgain   = errors.New("in the hands of a cleaner")
	errRemoved = errors.New("left behind, and removed now")
)

// attachTo attaches to the root at path. fs.ErrNotExist: there is none, or it was left behind and has been removed.
func attachTo(dir, path string, o options) (*Space, error) {
	f, err := openSegment(path)
	if err != nil {
		return nil, err
	}
	info, err := fstat(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	attached.mu.Lock()
	if s := attached.by[info.id]; s != nil {
		defer attached.mu.Unlock()
		defer f.Close()
		if err := s.mayBe(o); err != nil {
			return nil, err
		}
		s.retain()
		return opened(s), nil
	}
	attached.mu.Unlock()

	s, err := attach(f, dir, path, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	return register(s)
}

// register makes the attachment known in this process. If another goroutine was faster, ours leaves again.
func register(s *space) (*Space, error) {
	attached.mu.Lock()
	if other := attached.by[s.id]; other != nil {
		other.retain()
		attached.mu.Unlock()
		if err := s.leave(); err != nil {
			return nil, errors.Join(err, other.release())
		}
		return opened(other), nil
	}
	if attached.by == nil {
		attached.by = map[fileID]*space{}
	}
	attached.by[s.id] = s
	attached.mu.Unlock()
	return opened(s), nil
}

// attach makes this process a member of the Space whose root is f. f is the caller's again if it fails.
func attach(f *os.File, dir, path string, o options) (*space, error) {
	h, err := readHeader(f, layout.SegRoot)
	if err != nil {
		return nil, err
	}
	if err := enterRoot(f, dir, path); err != nil {
		return nil, err
	}
	s, err := becomeMember(f, h, dir, path, o)
	if err != nil {
		return nil, errors.Join(err, giveUp(f, dir, path))
	}
	s.settleIn(f)
	if s.kept {
		// Nobody may have been there to settle the last ones who died.
		if _, err := s.settleDead(); err != nil {
			return nil, errors.Join(err, s.leave())
		}
	}
	return s, nil
}

// becomeMember maps the root f, whose header h was checked and in which we have a place, and finds a slot.
func becomeMember(f *os.File, h layout.SegmentHeader, dir, path string, o options) (*space, error) {
	probe, err := reopen(f, path)
	if err != nil {
		return nil, err
	}
	g, err := mapSegment(f, h)
	if err != nil {
		return nil, errors.Join(err, probe.Close())
	}
	info, err := fstat(f)
	if err != nil {
		return nil, errors.Join(err, g.unmap(), probe.Close())
	}
	s := newSpace(dir, path, h, info.id, g, probe, o)
	err = s.tune(g)
	if err == nil {
		err = s.admit(f, o)
	}
	if err != nil {
		return nil, errors.Join(err, g.unmap(), probe.Close())
	}
	return s, nil
}

// enterRoot takes the place of one who maps f, so that no cleaner takes it away any more. errAgain, errRemoved: look again.
// It asks before: a Space that was left behind is removed, not revived, for what it held belongs to nobody.
func enterRoot(f *os.File, dir, path string) error {
	held, err := whoLocks(f, layout.LockMapped)
	if err != nil {
		return err
	}
	switch held {
	case writeLock:
		return errAgain // in the hands of a cleaner
	case noLock:
		kept, err := keeps(f, path)
		if err != nil {
			return err
		}
		if !kept {
			removed, err := removeIfLeaked(f, dir, path)
			if removed {
				return errRemoved
			}
			return errors.Join(errAgain, err)
		}
	}
	if ok, err := tryLock(f, readLock, layout.LockMapped); err != nil {
		return err
	} else if !ok {
		return errAgain
	}
	info, err := fstat(f)
	if err != nil {
		return errors.Join(err, giveUp(f, dir, path))
	}
	if now, err := lstat(path); err != nil || info.links == 0 || now.id != info.id {
		return errors.Join(errAgain, giveUp(f, dir, path)) // removed, or replaced, before we had our place
	}
	return nil
}

// giveUp takes the place back that enterRoot took. The last one who left meanwhile found it taken: then it is ours to
// remove the files.
func giveUp(f *os.File, dir, path string) error {
	if _, err := tryLock(f, noLock, layout.LockMapped); err != nil {
		return err
	}
	return removeIfLast(f, dir, path)
}

// admit finds this process a slot, if it may be a member at all.
func (s *space) admit(f *os.File, o options) error {
	if s.root.Doomed.Load() != 0 {
		return errAgain
	}
	if err := s.mayBe(o); err != nil {
		return err
	}
	if unknown := s.root.Kinds.Load() >> layout.Kinds; unknown != 0 {
		return fmt.Errorf("%s holds objects of kinds %#x that this program does not know: %w", f.Name(),
			unknown<<layout.Kinds, errors.ErrUnsupported)
	}
	return s.join(f)
}

// mayBe tells whether the Space is what the options ask for. It does not become a mailbox later: its members have bound names
// that hold nothing, and judge who holds what without looking at names.
func (s *space) mayBe(o options) error {
	if o.keep && !s.kept {
		return fmt.Errorf("%s exists, and is no mailbox: it was made without Keep: %w", *s.path.Load(), fs.ErrExist)
	}
	return nil
}

func newSpace(dir, path string, h layout.SegmentHeader, id fileID, g *segment, probe *os.File, o options) *space {
	s := &space{
		id: id, dir: dir, nonce: h.Nonce, probe: probe, refs: 1, opens: map[*Space]bool{}, holds: map[LocalKey]int{}, locals: map[LocalKey]Local{},
		root:  view[layout.Root](g.mem, 0),
		slots: views[atomic.Uint64](g.mem, layout.RootMembers, layout.Slots+1),
		table: views[atomic.Uint64](g.mem, layout.RootSegments, layout.Segments),
	}
	s.path.Store(&path)
	s.limit = int64(s.root.Limit)
	s.huge, s.prefault = o.huge, o.prefault
	s.kept = s.root.Flags&layout.RootKeep != 0
	s.name = string(s.root.Name[:min(int(s.root.NameLen), len(s.root.Name))])
	s.segs[0].Store(g)
	return s
}

// settleIn begins what a member does besides its user's work, once it has its slot. It takes f.
func (s *space) settleIn(f *os.File) {
	s.segs[0].Load().keep(f)
	s.announce()
	s.poll = startPoller(s)
}
