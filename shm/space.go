package shm

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// A Space is a growable region of shared memory and the processes attached to it. A process attaches to a Space once,
// however often it is opened; each *Space is closed on its own.
type Space struct {
	_      noCopy
	s      *space
	closed atomic.Bool
}

type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// space is the attachment of this process: one per inode of a root.
type space struct {
	id             fileID
	dir            string
	nonce          uint64
	limit          int64
	name           string                 // as created; "" if private
	huge, prefault bool                   // what this process wants of its mappings
	kept           bool                   // it outlives its members, and names hold what they are bound to
	path           atomic.Pointer[string] // of the root; Unlink changes it

	root    *layout.Root
	slots   []atomic.Uint64 // slot words, indexed by slot
	table   []atomic.Uint64 // who grew segment i
	segs    [layout.Segments]atomic.Pointer[segment]
	lives   *lives
	probe   *os.File // a second description of the root, holding nothing at rest
	proving [layout.Slots + 1]sync.Mutex

	self Member
	page *layout.Page
	poll *poller

	growing sync.Mutex                                               // one grower per process
	stuck   sync.Map                                                 // claims that we have waited for in vain: value by word
	rousing sync.Mutex                                               // guards our hazard word
	naming  sync.Mutex                                               // one unlinker per process
	found   [layout.ClassObject + layout.ObjectClasses]atomic.Uint64 // where a block of each class was found last: ref of the slab

	holding sync.Mutex       // guards holds, and joining and leaving sets
	holds   map[LocalKey]int // how often this process has opened what it holds: for the others it holds it once

	mu     sync.Mutex
	refs   int // reasons to stay a member: open Spaces, objects
	left   bool
	opens  map[*Space]bool
	locals map[LocalKey]Local
}

// opened makes a Space for the user of a reference that the caller has taken.
func opened(s *space) *Space {
	sp := &Space{s: s}
	s.mu.Lock()
	s.opens[sp] = true
	s.mu.Unlock()
	return sp
}

// attached are the attachments of this process, so that opening the same file twice gives the same member: two of them
// in one process would wait for each other.
var attached struct {
	mu sync.Mutex
	by map[fileID]*space
}

// attachedAnywhere tells whether this process is a member of any Space.
func attachedAnywhere() bool {
	attached.mu.Lock()
	defer attached.mu.Unlock()
	return len(attached.by) > 0
}

// Name is the name of the Space; that of a private one is random.
func (sp *Space) Name() string { return sp.s.title() }

// Limit is the most memory that the Space may use, in bytes.
func (sp *Space) Limit() int64 { return sp.s.limit }

// String names the Space and its file.
func (sp *Space) String() string { return fmt.Sprintf("%v (%s)", sp.s, *sp.s.path.Load()) }

func (s *space) title() string {
	if s.name == "" {
		return nonceText(s.nonce)
	}
	return s.name
}

func (s *space) String() string {
	if s.name == "" {
		return "private space " + nonceText(s.nonce)
	}
	return fmt.Sprintf("space %q", s.name)
}

// enter keeps the Space attached for the length of an operation; leave it with release.
func (sp *Space) enter() (*space, error) {
	s := sp.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left || sp.closed.Load() {
		return nil, fmt.Errorf("shm: %v: %w", s, ErrClosed)
	}
	s.refs++
	return s, nil
}

// Close gives up the Space. It is idempotent. The process stays attached while objects that it opened in the Space are
// open; with the last of them it leaves, and whoever leaves last removes the files.
func (sp *Space) Close() error {
	if sp.closed.Swap(true) {
		return nil
	}
	sp.s.mu.Lock()
	delete(sp.s.opens, sp)
	sp.s.mu.Unlock()
	return sp.s.release()
}

// disown closes sp without giving back its reference, which is the caller's from now on.
func (sp *Space) disown() *space {
	sp.closed.Store(true)
	sp.s.mu.Lock()
	delete(sp.s.opens, sp)
	sp.s.mu.Unlock()
	return sp.s
}

// retain adds a reason to stay a member, for who has one already.
func (s *space) retain() {
	s.mu.Lock()
	s.refs++
	s.mu.Unlock()
}

// release takes a reason back; the last one leaves the Space.
func (s *space) release() error {
	attached.mu.Lock()
	s.mu.Lock()
	s.refs--
	if s.refs < 0 {
		panic("shm: a Space was released more often than it was retained")
	}
	last := s.refs == 0
	if last {
		// From here on nobody finds this attachment; opening the file again attaches anew.
		delete(attached.by, s.id)
		s.left = true
	}
	s.mu.Unlock()
	attached.mu.Unlock()
	if !last {
		return nil
	}
	return s.leave()
}

// leave is how a process stops being a member while it lives: it settles what it held as a survivor would, gives up its
// slot, and lets the memory go. Killed anywhere in here it is a dead member like any other.
func (s *space) leave() error {
	s.poll.stop()
	settled := s.settleAll(s.self, left)
	// Another one may take the slot once it is CLEAN: our nodes must not point there any more.
	err := errors.Join(settled, s.lives.unmap())
	if settled == nil {
		s.end(s.self, layout.SlotLive)
	}
	return errors.Join(err, s.unmap())
}

// unmap lets the memory go, and with it our life and our place; then, if we were the last, removes the files. The rule
// must run after unmapping: before, our own place would refuse it.
func (s *space) unmap() error {
	var err error
	for i := layout.Segments - 1; i >= 0; i-- { // the root last: its lock is what the others are judged by
		if g := s.segs[i].Swap(nil); g != nil {
			err = errors.Join(err, g.unmap())
		}
	}
	if err = errors.Join(err, removeIfLast(s.probe, s.dir, *s.path.Load()), s.probe.Close()); err != nil {
		return fmt.Errorf("shm: leave %v: %w", s, err)
	}
	return nil
}

// segment returns the mapped segment i, mapping it if need be. Nil without an error: there is none.
func (s *space) segment(i int) (*segment, error) {
	if i < 0 || i >= layout.Segments {
		return nil, fmt.Errorf("segment %d: %w", i, ErrCorrupt)
	}
	if g := s.segs[i].Load(); g != nil {
		return g, nil
	}
	if i == 0 {
		return nil, fmt.Errorf("%v: %w", s, ErrClosed)
	}
	w := s.table[i].Load()
	if w == 0 {
		return nil, nil
	}
	return s.openGrown(i, w)
}

// segments calls f for every segment there is.
func (s *space) segments(f func(*segment) error) error {
	for i := range layout.Segments {
		g, err := s.segment(i)
		if err != nil {
			return err
		}
		if g == nil {
			return nil // the table has no gaps
		}
		if err := f(g); err != nil {
			return err
		}
	}
	return nil
}
