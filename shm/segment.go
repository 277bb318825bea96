package shm

import (
	"fmt"
	"io"
	"math/bits"
	"os"
	"sync/atomic"
	"time"

	"github.com/edsrzf/mmap-go"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// A segment is one mapped file of a Space. Its geometry is copied from the header once and never read again.
type segment struct {
	index   int
	mem     mmap.MMap
	heap    int64 // offset of unit 0
	units   int
	shift   uint
	entries []layout.Entry // of the units
	hint    atomic.Uint32  // where to look for free units next
	freed   atomic.Bool    // this process has freed units, and not looked for idle ones since
	whole   atomic.Bool    // the system takes nothing back of it
	kept    *os.File       // only where locks do not live with the mapping
}

const (
	rootHeap   = int64(1 << 20) // of a root, if there is room
	leastHeap  = int64(1 << 16)
	firstGrown = int64(1 << 20)
	mostGrown  = int64(64 << 20)
)

// unitShift chooses the size of a unit for a heap: at most layout.Units of them, none smaller than 4 KiB.
func unitShift(heap int64) uint {
	shift := uint(layout.UnitMinShift)
	for heap>>shift > layout.Units {
		shift++
	}
	return shift
}

// header describes a new segment. heap is rounded up to whole units by the caller.
func newHeader(kind uint32, nonce uint64, index int, heap int64) layout.SegmentHeader {
	at := int64(layout.RootHeap)
	if kind == layout.SegGrowth {
		at = layout.GrowthHeap
	}
	shift := unitShift(heap)
	return layout.SegmentHeader{
		Magic: layout.Magic, Version: layout.Version, Kind: kind, Nonce: nonce, Size: uint64(at + heap), Heap: uint64(at),
		Units: uint32(heap >> shift), UnitShift: uint32(shift), Index: uint32(index), UID: uint32(os.Geteuid()),
		Created: uint64(time.Now().UnixNano()),
	}
}

// roundHeap rounds a heap up to whole units.
func roundHeap(heap int64) int64 {
	unit := int64(1) << unitShift(heap)
	return (heap + unit - 1) / unit * unit
}

// readHeader reads and checks the header of an open file, without mapping it: a truncated file is an error here and
// would be a fault there.
func readHeader(f *os.File, kind uint32) (layout.SegmentHeader, error) {
	info, err := fstat(f)
	if err != nil {
		return layout.SegmentHeader{}, err
	}
	switch {
	case !info.regular:
		return layout.SegmentHeader{}, fmt.Errorf("%s is no regular file: %w", f.Name(), ErrCorrupt)
	case info.uid != uint32(os.Geteuid()):
		return layout.SegmentHeader{}, fmt.Errorf("%s belongs to user %d: %w", f.Name(), info.uid, os.ErrPermission)
	}
	return headerOf(f, f.Name(), kind, info.size)
}

// headerOf reads and checks the header of a file that has size bytes.
func headerOf(f io.ReaderAt, name string, kind uint32, size int64) (layout.SegmentHeader, error) {
	var h layout.SegmentHeader
	if _, err := f.ReadAt(bytesOf(&h), 0); err != nil {
		return h, fmt.Errorf("%s has %d bytes, too few for a segment: %w", name, size, ErrCorrupt)
	}
	if h.Magic != layout.Magic {
		return h, fmt.Errorf("%s is not a segment of Tandem: %w", name, ErrCorrupt)
	}
	if h.Version != layout.Version {
		return h, &VersionError{Path: name, Have: h.Version, Want: layout.Version}
	}
	if err := checkGeometry(h, kind, size); err != nil {
		return h, fmt.Errorf("%s: %w", name, err)
	}
	return h, nil
}

func checkGeometry(h layout.SegmentHeader, kind uint32, size int64) error {
	at := uint64(layout.RootHeap)
	if kind == layout.SegGrowth {
		at = layout.GrowthHeap
	}
	heap := uint64(h.Units) << (h.UnitShift & 63)
	switch {
	case h.Kind != kind,
		h.Heap != at,
		h.Units == 0 || h.Units > layout.Units,
		h.UnitShift < layout.UnitMinShift || h.UnitShift > 47-uint32(bits.Len32(h.Units)),
		h.Size != at+heap,
		h.Index >= layout.Segments || (h.Index == 0) != (kind == layout.SegRoot),
		h.Nonce == 0:
		return fmt.Errorf("impossible header: %w", ErrCorrupt)
	case h.Size != uint64(size):
		return fmt.Errorf("%d bytes long, the header says %d: %w", size, h.Size, ErrCorrupt)
	}
	return nil
}

// mapSegment maps a file whose header h has been checked.
func mapSegment(f *os.File, h layout.SegmentHeader) (*segment, error) {
	mem, err := mapFile(f, int64(h.Size))
	if err != nil {
		return nil, err
	}
	g := &segment{index: int(h.Index), mem: mem, heap: int64(h.Heap), units: int(h.Units), shift: uint(h.UnitShift)}
	table := int64(layout.RootTable)
	if h.Kind == layout.SegGrowth {
		table = layout.GrowthTable
	}
	g.entries = views[layout.Entry](mem, table, g.units)
	return g, nil
}

// keep closes f, whose locks the mapping holds from now on, or keeps it open where mappings hold no locks.
func (g *segment) keep(f *os.File) {
	if mappingsHoldLocks() {
		f.Close()
	} else {
		g.kept = f
	}
}

// unmap ends the mapping, and with it the locks that live on it.
func (g *segment) unmap() error {
	err := g.mem.Unmap()
	if g.kept != nil {
		g.kept.Close()
	}
	return err
}

func (g *segment) unit(i int) int64 { return g.heap + int64(i)<<g.shift }

// unitOf finds the unit that an offset lies in.
func (g *segment) unitOf(off int64) (int, bool) {
	i := (off - g.heap) >> g.shift
	return int(i), off >= g.heap && i < int64(g.units)
}
