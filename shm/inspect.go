package shm

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/tandem-ipc/tandem/internal/terminal"
)

// Inspection: what lies in the directory for segments, seen by one who takes no part. It opens files for reading, reads them
// by pread, asks the kernel who has locks, and closes them: no mapping, no lock, no slot. So it never counts as being
// attached, and an inspector that is killed, or stopped for ever, is in nobody's way. What it reads is as old as the
// reading, and may be anything: every value is checked, and a file that is not as it should be becomes an entry that says so.

// An Inventory is what Inspect has found.
type Inventory struct {
	Dir    string
	Spaces []SpaceInfo
	Blocks []PlainBlock // other programs' shared memory
}

// A State says whether anybody uses a Space.
type State string

// States of a Space.
const (
	StateAlive   State = "alive"   // a process is attached
	StateKept    State = "kept"    // nobody is, and it is exempt from cleaning
	StateLeaked  State = "leaked"  // nobody is: the next cleaner removes it
	StateUnknown State = "unknown" // we may not look, or it is nothing that a cleaner touches
)

// A FileKind says what the files of an entry are.
type FileKind string

// Kinds of entries.
const (
	KindSpace   FileKind = "space"   // a root, and the segments it grew
	KindSegment FileKind = "segment" // a grown segment whose root is gone, or that cannot be read
	KindUnborn  FileKind = "unborn"  // was being made
)

// SpaceInfo describes a Space, or another file of Tandem, as its files say at one moment. What could not be read is zero.
type SpaceInfo struct {
	Kind     FileKind
	Name     string // "" without one: a private Space, or one whose name was given up
	OldName  string // the name that was given up
	ID       string // 16 hexadecimal digits
	UID      int    // whose it is
	State    State
	Keep     bool // exempt from cleaning as long as it has its name
	Created  time.Time
	Memory   int64 // bytes that its files occupy: what comes back when it is removed
	Used     int64 // bytes in blocks that are not free
	Limit    int64
	Segments int
	Files    []string // the root first
	Members  []MemberInfo
	Err      error // what is wrong with it: ErrCorrupt, *VersionError, fs.ErrPermission
}

// A PlainBlock is a file that is not of Tandem: POSIX shared memory of another program. Nobody but its owner can know whether
// it is in use.
type PlainBlock struct {
	Name     string
	UID      int
	Size     int64 // bytes of the file
	Memory   int64 // bytes that it occupies
	Modified time.Time
}

// Inspect looks at everything in the directory for segments, of all users, as far as permitted. It neither counts as being
// attached nor changes anything. It takes time in proportion to the memory in use; while others come and go it looks again, at
// most twice.
func Inspect() (*Inventory, error) {
	if !supported {
		return nil, errLinux
	}
	const passes = 3
	for pass := 1; ; pass++ {
		v := &inspector{dir: directory()}
		if err := v.look(); err != nil {
			return nil, fmt.Errorf("shm: inspect: %w", err)
		}
		if !v.moved || pass == passes {
			return v.inventory(), nil
		}
	}
}

// inspector is one pass over the directory.
type inspector struct {
	dir    string
	moved  bool // something came, went, or changed its name meanwhile
	roots  []*SpaceInfo
	others []*SpaceInfo
	blocks []PlainBlock
	grown  map[spaceID][]*source
}

// A spaceID is what joins a root and its segments.
type spaceID struct {
	uid   int
	nonce uint64
}

func (v *inspector) look() error {
	names, err := list(v.dir, "")
	if err != nil {
		return err
	}
	v.grown = map[spaceID][]*source{}
	var roots []string
	for _, name := range names {
		uid, kind, rest, ours := parseFile(name)
		nonce, numbered := nonceOf(rest)
		switch {
		case !ours:
			v.plain(name)
		case kind == "n" || kind == "p":
			roots = append(roots, name)
		case !numbered:
			v.odd(name, uid, fmt.Errorf("%s has no number in its name: %w", name, ErrCorrupt))
		case kind == "g":
			v.growth(spaceID{uid, nonce}, name)
		default:
			v.unborn(name, uid, rest)
		}
	}
	// Roots come after the segments: a segment that a root names was there before.
	for _, name := range roots {
		v.root(name)
	}
	for id, grown := range v.grown {
		v.orphans(id, grown)
	}
	return nil
}

func (v *inspector) inventory() *Inventory {
	all := append(v.roots, v.others...)
	slices.SortFunc(all, func(a, b *SpaceInfo) int {
		return cmp.Or(cmp.Compare(a.UID, b.UID), cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.Name, b.Name),
			a.Created.Compare(b.Created), slices.Compare(a.Files, b.Files))
	})
	inv := &Inventory{Dir: v.dir, Blocks: v.blocks}
	for _, e := range all {
		inv.Spaces = append(inv.Spaces, *e)
	}
	slices.SortFunc(inv.Blocks, func(a, b PlainBlock) int {
		return cmp.Or(cmp.Compare(a.UID, b.UID), strings.Compare(a.Name, b.Name))
	})
	return inv
}

// plain notes a file of another program.
func (v *inspector) plain(name string) {
	if info, err := lstat(inDir(v.dir, name)); err == nil && info.regular {
		v.blocks = append(v.blocks, PlainBlock{Name: name, UID: int(info.uid), Size: info.size, Memory: info.memory,
			Modified: info.modified})
	}
}

// odd notes a file that nothing can be said about but what its name says, and err.
func (v *inspector) odd(name string, uid int, err error) {
	e := &SpaceInfo{Kind: KindSegment, UID: uid, State: StateUnknown, Files: []string{name}, Err: err}
	_, kind, rest, _ := parseFile(name)
	switch kind {
	case "n":
		e.Kind, e.Name = KindSpace, terminal.Printable(rest)
	case "p":
		e.Kind = KindSpace
	case "t":
		e.Kind = KindUnborn
	}
	if nonce, ok := nonceOf(rest); ok && kind != "n" {
		e.ID = nonceText(nonce)
	}
	if info, err := lstat(inDir(v.dir, name)); err == nil {
		e.Memory = info.memory
	}
	v.others = append(v.others, e)
}

// open opens a file of Tandem. What is gone by now, or must not be looked at, is noted; then there is no source.
func (v *inspector) open(name string, uid int) *source {
	f, err := lookInto(inDir(v.dir, name))
	switch {
	case err == nil:
		return f
	case errors.Is(err, fs.ErrNotExist):
		v.moved = true
	default:
		v.odd(name, uid, err)
	}
	return nil
}

// growth remembers a grown segment until its root is found.
func (v *inspector) growth(id spaceID, name string) {
	if f := v.open(name, id.uid); f != nil {
		f.readGrowth(name, id)
		f.close()
		v.grown[id] = append(v.grown[id], f)
	}
}

func (v *inspector) unborn(name string, uid int, id string) {
	f := v.open(name, uid)
	if f == nil {
		return
	}
	defer f.close()
	e := &SpaceInfo{Kind: KindUnborn, ID: id, UID: uid, Created: f.info.modified, Memory: f.info.memory, Files: []string{name}}
	e.State, e.Err = f.state()
	v.others = append(v.others, e)
}

// root notes a root with its segments.
func (v *inspector) root(name string) {
	uid, kind, rest, _ := parseFile(name)
	f := v.open(name, uid)
	if f == nil {
		return
	}
	defer f.close()
	e := &SpaceInfo{Kind: KindSpace, UID: uid, Memory: f.info.memory, Segments: 1, Files: []string{name}}
	if kind == "n" {
		e.Name = rest
	}
	r, bad := f.readRoot()
	if r.nonce == 0 && kind == "p" {
		r.nonce, _ = nonceOf(rest)
	}
	r.describe(e)
	v.adopt(e, r, f)
	e.Keep, _ = keeps(f, name) // what cannot be read is not kept
	state, err := f.state()
	if state == StateLeaked && e.Keep {
		state = StateKept
	}
	e.State, e.Err = state, errors.Join(bad, err, e.Err)
	v.roots = append(v.roots, e)
}

// adopt adds the segments of a root. What its table names must be there, unless it has come since we listed, or all is going.
func (v *inspector) adopt(e *SpaceInfo, r *rootSeen, f *source) {
	id := spaceID{e.UID, r.nonce}
	published := map[uint64]bool{}
	for _, g := range v.grown[id] {
		e.Memory += g.info.memory
		e.Files = append(e.Files, g.name)
		if g.err != nil {
			e.Err = errors.Join(e.Err, g.err)
		} else if r.segment(int(g.header.Index)) == g.header.Self {
			published[g.header.Self] = true
			e.Segments++
			e.Used += g.used
		}
	}
	delete(v.grown, id)
	for i := 1; r.segment(i) != 0; i++ {
		if w := r.segment(i); !published[w] {
			file := growthFileOf(e.UID, r.nonce, i, grower(w))
			if _, here := nameOf(f.info.id, inDir(v.dir, f.name)); !here || !missing(inDir(v.dir, file)) || f.doomed() {
				v.moved = true
				return
			}
			e.Err = errors.Join(e.Err, fmt.Errorf("segment %d, %s, is not there, or not the one that was published: %w", i,
				file, ErrCorrupt))
			return
		}
	}
}

func missing(path string) bool {
	_, err := lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// orphans notes segments whose root we have not met.
func (v *inspector) orphans(id spaceID, grown []*source) {
	there, err := rootExists(v.dir, id.uid, id.nonce)
	if there {
		v.moved = true // it has come, or has another name, or cannot be read and was noted
		return
	}
	for _, f := range grown {
		e := &SpaceInfo{Kind: KindSegment, ID: nonceText(id.nonce), UID: id.uid, State: f.at, Created: f.info.modified,
			Memory: f.info.memory, Used: f.used, Files: []string{f.name}, Err: errors.Join(f.err, err)}
		if err != nil {
			e.State = StateUnknown
		}
		v.others = append(v.others, e)
	}
}

// Title names an entry for people.
func (e *SpaceInfo) Title() string {
	switch {
	case e.Name != "":
		return fmt.Sprintf("space %q", e.Name)
	case e.Kind == KindSpace && e.ID != "":
		return "private space " + e.ID
	}
	return e.Files[0]
}

// alive are the members that have not been proven dead.
func (e *SpaceInfo) alive() (all []MemberInfo) {
	for _, m := range e.Members {
		if !m.Dead {
			all = append(all, m)
		}
	}
	return all
}
