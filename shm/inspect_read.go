package shm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/terminal"
)

// A source is one file under inspection.
type source struct {
	io.ReaderAt
	name  string
	info  fileInfo
	held  func(at int64) (int16, error) // what kind of lock anybody has on a byte
	close func()

	// Of a grown segment, once read:
	header layout.SegmentHeader
	used   int64
	at     State
	err    error
}

// lookInto opens a file for reading only.
func lookInto(path string) (*source, error) {
	f, err := openOwned(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	info, err := fstat(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &source{ReaderAt: f, name: filepath.Base(path), info: info, close: func() { f.Close() },
		held: func(at int64) (int16, error) { return whoLocks(f, at) }}, nil
}

// read fills b from at on: a file that is too short is damaged.
func (f *source) read(b []byte, at int64) error {
	if n, err := f.ReadAt(b, at); n < len(b) {
		if errors.Is(err, io.EOF) {
			err = ErrCorrupt
		}
		return fmt.Errorf("%s: %d bytes at %d: %w", f.name, len(b), at, err)
	}
	return nil
}

// state tells whether anybody maps the file.
func (f *source) state() (State, error) {
	switch held, err := f.held(layout.LockMapped); {
	case err != nil:
		return StateUnknown, err
	case held == readLock:
		return StateAlive, nil
	}
	return StateLeaked, nil // nobody, or a cleaner already
}

// doomed tells whether a cleaner has begun to remove the Space of this root, now.
func (f *source) doomed() bool {
	var word [4]byte
	return f.read(word[:], layout.RootDoomed) == nil && word != [4]byte{}
}

// readGrowth reads a grown segment of a Space.
func (f *source) readGrowth(name string, id spaceID) {
	f.at, f.err = f.state()
	if f.err != nil {
		return
	}
	if f.header, f.err = headerOf(f, f.name, layout.SegGrowth, f.info.size); f.err != nil {
		return
	}
	own := growthFileOf(id.uid, id.nonce, int(f.header.Index), grower(f.header.Self))
	if f.header.Nonce != id.nonce || own != name {
		f.err = fmt.Errorf("%s is not what its name says: %w", f.name, ErrCorrupt)
		return
	}
	f.used, f.err = f.blocks(f.header)
}

// rootSeen is a root, as far as it could be read.
type rootSeen struct {
	nonce   uint64
	known   bool // what follows
	root    layout.Root
	table   []byte
	members []MemberInfo
	used    int64
}

// readRoot reads a root. The first thing that is wrong ends the reading; what came before it is there.
func (f *source) readRoot() (*rootSeen, error) {
	r := &rootSeen{}
	r.nonce, _ = nonceIn(f)
	if _, err := headerOf(f, f.name, layout.SegRoot, f.info.size); err != nil {
		return r, err
	}
	if err := f.read(bytesOf(&r.root), 0); err != nil {
		return r, err
	}
	if h := &r.root; h.Limit == 0 || h.Limit > math.MaxInt64 || h.NameLen > layout.NameMax || h.Doomed.Load() > 1 ||
		h.Flags&^(layout.RootKeep|layout.RootPrivate) != 0 || h.Seg.Nonce != r.nonce {
		return r, fmt.Errorf("%s: impossible root: %w", f.name, ErrCorrupt)
	}
	r.known = true
	r.table = make([]byte, 8*layout.Segments)
	if err := f.read(r.table, layout.RootSegments); err != nil {
		r.table = nil
		return r, err
	}
	var err error
	if r.members, err = f.readMembers(); err != nil {
		return r, err
	}
	r.used, err = f.blocks(r.root.Seg)
	return r, err
}

// segment is the word of the table for segment i; 0: there is none.
func (r *rootSeen) segment(i int) uint64 {
	if 8*i+8 > len(r.table) {
		return 0
	}
	return binary.LittleEndian.Uint64(r.table[8*i:])
}

func (r *rootSeen) describe(e *SpaceInfo) {
	if r.nonce != 0 {
		e.ID = nonceText(r.nonce)
	}
	if !r.known {
		return
	}
	if name := string(r.root.Name[:r.root.NameLen]); e.Name == "" && name != "" {
		e.OldName = terminal.Printable(name)
	}
	e.Created = time.Unix(0, int64(r.root.Seg.Created))
	e.Limit = int64(r.root.Limit)
	e.Used = r.used
	e.Members = r.members
}

// readMembers reads the slots that are in use and the pages of their members, and asks who of them lives.
func (f *source) readMembers() ([]MemberInfo, error) {
	words := make([]byte, 8*(layout.Slots+1))
	if err := f.read(words, layout.RootMembers); err != nil {
		return nil, err
	}
	var all []MemberInfo
	for slot := 1; slot <= layout.Slots; slot++ {
		w := layout.SlotWord(binary.LittleEndian.Uint64(words[8*slot:]))
		if w.State() == layout.SlotClean {
			continue
		}
		if w.State() > layout.SlotDead || w != layout.MakeSlotWord(w.State(), w.Gen()) {
			return all, fmt.Errorf("%s: slot %d says %#x: %w", f.name, slot, uint64(w), ErrCorrupt)
		}
		var page [pageHead]byte
		if err := f.read(page[:], pageOf(slot)); err != nil {
			return all, err
		}
		held, err := f.held(layout.LockSlot + int64(slot))
		if err != nil {
			return all, err
		}
		all = append(all, MemberInfo{
			Member: layout.MakeMember(slot, w.Gen()), PID: int(binary.LittleEndian.Uint32(page[0:])),
			Started: time.Unix(0, int64(binary.LittleEndian.Uint64(page[8:]))), Command: terminal.Printable(cString(page[16:])),
			Dead: w.State() == layout.SlotDead || held != writeLock,
		})
	}
	return all, nil
}

// pageHead is as much of a slot page as tells who its member is.
const pageHead = 128

// blocks adds up what is in use of a segment's heap, whose header has been checked. It reads no more of tables than the file
// has memory: a sparse file can claim any number of blocks.
func (f *source) blocks(h layout.SegmentHeader) (used int64, err error) {
	at := int64(layout.RootTable)
	if h.Kind == layout.SegGrowth {
		at = layout.GrowthTable
	}
	table := make([]byte, int(h.Units)*layout.SizeEntry)
	if err := f.read(table, at); err != nil {
		return 0, err
	}
	word := func(i int) layout.Word { return layout.Word(binary.LittleEndian.Uint64(table[i*layout.SizeEntry:])) }
	budget := f.info.memory
	for i := 0; i < int(h.Units); {
		n := 1
		switch w := word(i); w.State() {
		case layout.Free, layout.Holed, layout.Cont:
		case layout.Slab:
			var b layout.SlabHeader
			start := int64(h.Heap) + int64(i)<<h.UnitShift
			if err := f.read(bytesOf(&b), start); err != nil {
				return used, err
			}
			if budget -= int64(b.Count) * layout.SizeEntry; budget < 0 || !validSlab(b, w, i, int(h.Units), uint(h.UnitShift)) {
				return used, fmt.Errorf("%s: slab at unit %d: %w", f.name, i, ErrCorrupt)
			}
			count, err := f.usedEntries(start+layout.SlabHead, int64(b.Count))
			if err != nil {
				return used, err
			}
			used += count * int64(b.Block)
			n = int(b.Units)
		default:
			for i+n < int(h.Units) && word(i+n).State() == layout.Cont && word(i+n).A() == n {
				n++
			}
			used += int64(n) << h.UnitShift
		}
		i += n
	}
	return used, nil
}

// usedEntries counts those of n entries that are not free.
func (f *source) usedEntries(at, n int64) (used int64, err error) {
	var chunk [512 * layout.SizeEntry]byte
	for n > 0 {
		b := chunk[:min(n*layout.SizeEntry, int64(len(chunk)))]
		if err := f.read(b, at); err != nil {
			return used, err
		}
		at += int64(len(b))
		n -= int64(len(b)) / layout.SizeEntry
		for ; len(b) > 0; b = b[layout.SizeEntry:] {
			if layout.Word(binary.LittleEndian.Uint64(b)).State() != layout.Free {
				used++
			}
		}
	}
	return used, nil
}
