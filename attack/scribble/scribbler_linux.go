package scribble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// A scribbler writes into the files of Spaces what no process of Tandem would: random values, flipped bits, values that
// could be right and are not, lines from elsewhere. Each has a taste of its own: an area, a pace, and whether it takes its
// values back, which makes words change between two looks and leaves the rest intact; then it goes from area to area.
type scribbler struct {
	r       *rand.Rand
	dir     string
	area    *area // nil: any
	pause   time.Duration
	flicker bool
	files   map[string]*os.File
	writes  int
}

// area chooses a place in a file.
type area struct {
	name string
	at   func(s *scribbler, f *os.File, root bool, size int64) int64
}

var areas = []area{
	{"header", func(s *scribbler, _ *os.File, root bool, _ int64) int64 {
		if root {
			return s.r.Int64N(layout.SizeRoot)
		}
		return s.r.Int64N(layout.SizeSegment)
	}},
	{"members", func(s *scribbler, _ *os.File, _ bool, _ int64) int64 {
		slot := 1 + s.r.Int64N(6)
		switch s.r.IntN(3) {
		case 0:
			return layout.RootMembers + 8*slot
		case 1:
			return layout.RootLives + layout.LifeStride*slot + layout.LifeStep*s.r.Int64N(layout.Lives)
		}
		return layout.RootPages + layout.PageSize*slot + s.r.Int64N(layout.PageSize/4)
	}},
	{"segments", func(s *scribbler, _ *os.File, _ bool, _ int64) int64 { return layout.RootSegments + 8*s.r.Int64N(6) }},
	{"entries", func(s *scribbler, f *os.File, root bool, _ int64) int64 {
		if root {
			return s.used(f, layout.RootTable, layout.Units*layout.SizeEntry)
		}
		return s.used(f, layout.GrowthTable, layout.Units*layout.SizeEntry)
	}},
	{"heap", func(s *scribbler, f *os.File, root bool, size int64) int64 {
		if root {
			return s.used(f, layout.RootHeap, size-layout.RootHeap)
		}
		return s.used(f, layout.GrowthHeap, size-layout.GrowthHeap)
	}},
	{"slabs", func(s *scribbler, f *os.File, root bool, size int64) int64 {
		return s.in(f, root, size, func(w layout.Word, _ uint32) bool { return w.State() == layout.Slab }, layout.SizeSlab+64*layout.SizeEntry)
	}},
	{"objects", func(s *scribbler, f *os.File, root bool, size int64) int64 {
		isObjects := func(w layout.Word, _ uint32) bool { return w.State() == layout.Slab && w.A() >= layout.ClassObject }
		slab := s.in(f, root, size, isObjects, 1)
		var h [layout.SizeSlab]byte
		if _, err := f.ReadAt(h[:], slab); err != nil {
			return slab
		}
		block, first := int64(binary.LittleEndian.Uint32(h[8:])), int64(binary.LittleEndian.Uint32(h[12:]))
		return slab + first%65536 + s.r.Int64N(4)*(block%65536) + s.r.Int64N([]int64{layout.SizeObject, layout.SizeConn}[s.r.IntN(2)])
	}},
	{"rings", func(s *scribbler, f *os.File, root bool, size int64) int64 {
		isRing := func(_ layout.Word, first uint32) bool { return first == layout.RingMagic }
		ring := s.in(f, root, size, isRing, 1)
		if s.r.IntN(2) == 0 {
			return ring + s.r.Int64N(layout.SizeRing)
		}
		return s.used(f, ring+layout.SizeRing&^4095, 8192)
	}},
}

// choose draws a place: in the area that this scribbler has a taste for, or in any.
func (s *scribbler) choose(f *os.File, root bool, size int64) int64 {
	a := s.area
	if a == nil {
		a = &areas[s.r.IntN(len(areas))]
	}
	return a.at(s, f, root, size)
}

// in chooses a place in the first n bytes of a run of units that is wanted, judged by its entry and its first word.
func (s *scribbler) in(f *os.File, root bool, size int64, wanted func(layout.Word, uint32) bool, n int64) int64 {
	table, heap := int64(layout.GrowthTable), int64(layout.GrowthHeap)
	if root {
		table, heap = layout.RootTable, layout.RootHeap
	}
	var entries [layout.Units * layout.SizeEntry]byte
	if _, err := f.ReadAt(entries[:], table); err != nil {
		return heap
	}
	units := min((size-heap)>>layout.UnitMinShift, layout.Units)
	from := s.r.Int64N(max(units, 1))
	for i := range units {
		unit := (from + i) % units
		w := layout.Word(binary.LittleEndian.Uint64(entries[unit*layout.SizeEntry:]))
		var first [4]byte
		at := heap + unit<<layout.UnitMinShift
		if _, err := f.ReadAt(first[:], at); err == nil && w.State() != layout.Free && wanted(w, binary.LittleEndian.Uint32(first[:])) {
			return at + s.r.Int64N(n)
		}
	}
	return heap
}

// used chooses a word that is not zero, if it finds one.
func (s *scribbler) used(f *os.File, from, n int64) int64 {
	var page [4096]byte
	at := from
	for range 20 {
		at = from + s.r.Int64N(max(n, 4096))&^4095
		k, _ := f.ReadAt(page[:], at)
		first := s.r.IntN(512) * 8
		for i := range 512 {
			if off := (first + 8*i) % 4096; off+8 <= k && binary.LittleEndian.Uint64(page[off:]) != 0 {
				return at + int64(off)
			}
		}
	}
	return at
}

func newScribbler(r *rand.Rand, dir string) *scribbler {
	s := &scribbler{r: r, dir: dir, flicker: r.IntN(2) == 0, files: map[string]*os.File{}}
	if k := r.IntN(len(areas) + 2); k < len(areas) {
		s.area = &areas[k]
	}
	s.pause = time.Duration(1 << (8 + r.IntN(12))) // 256 ns to 0.5 ms
	return s
}

func (s *scribbler) String() string {
	name := "anything"
	if s.area != nil {
		name = s.area.name
	}
	return fmt.Sprintf("scribbled into: %s, every %v, taken back: %v", name, s.pause, s.flicker)
}

// run scribbles until ctx ends.
func (s *scribbler) run(ctx context.Context) error {
	defer func() {
		for _, f := range s.files {
			f.Close()
		}
	}()
	for ; ctx.Err() == nil; s.writes++ {
		if s.writes%64 == 0 {
			if err := s.look(); err != nil {
				return err
			}
		}
		for name, f := range s.files { // in random order
			if err := s.write(f, !strings.Contains(name, ".g.")); err != nil {
				return err
			}
			break
		}
		if s.flicker && s.writes%32 == 0 {
			s.area = &areas[s.r.IntN(len(areas))] // what was there before is whole again
		}
		wait(s.pause)
	}
	return nil
}

// wait waits, shortly if it must.
func wait(d time.Duration) {
	if d > 50*time.Microsecond {
		time.Sleep(d)
		return
	}
	for start := time.Now(); time.Since(start) < d; {
	}
}

// look opens what files there are now.
func (s *scribbler) look() error {
	names, err := filepath.Glob(filepath.Join(s.dir, "tandem.*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if s.files[name] == nil {
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			s.files[name] = f
		}
	}
	return nil
}

// write changes one place.
func (s *scribbler) write(f *os.File, root bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	at := s.choose(f, root, info.Size())
	n := []int{8, 8, 8, 8, 4, 4, 1, 64}[s.r.IntN(8)]
	if n <= 8 {
		at &^= int64(n - 1)
	}
	if at < 0 || at+int64(n) > info.Size() {
		return nil
	}
	old := make([]byte, n)
	if _, err := f.ReadAt(old, at); err != nil && err != io.EOF {
		return err
	}
	if _, err := f.WriteAt(s.value(f, old, info.Size()), at); err != nil {
		return err
	}
	if s.flicker {
		wait(time.Duration(1) << s.r.IntN(18)) // up to 130 µs
		_, err = f.WriteAt(old, at)
	}
	return err
}

// value is what to write instead of old.
func (s *scribbler) value(f *os.File, old []byte, size int64) []byte {
	b := make([]byte, 8, 64)
	copy(b, old)
	was := binary.LittleEndian.Uint64(b)
	v := s.r.Uint64()
	switch s.r.IntN(12) {
	case 0:
	case 1, 2, 3:
		v = was ^ 1<<s.r.IntN(8*min(len(old), 8))
	case 4:
		v = 0
	case 5:
		v = ^uint64(0) << s.r.IntN(64)
	case 6:
		v = was + uint64(s.r.IntN(5)-2)
	case 7:
		v = was + 8*uint64(s.r.IntN(1<<12)-1<<11)
	case 8:
		v >>= s.r.IntN(64)
	case 9:
		v = 1 << s.r.IntN(64)
	default: // a line from elsewhere
		there := make([]byte, len(old))
		if _, err := f.ReadAt(there, s.r.Int64N(size)&^7); err == nil {
			return there
		}
	}
	binary.LittleEndian.PutUint64(b, v)
	for len(b) < len(old) {
		b = binary.LittleEndian.AppendUint64(b, s.r.Uint64())
	}
	return b[:len(old)]
}
