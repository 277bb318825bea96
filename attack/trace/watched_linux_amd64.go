package trace

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// watchedFiles holds a descriptor of every watched file. Reading a hole through a mapping would allocate it; reading it
// through a descriptor does not, and does not fault in the victim either.
type watchedFiles struct {
	pid  int
	open map[fileID]*os.File
}

func (w *watchedFiles) close() {
	for _, f := range w.open {
		if f != nil {
			f.Close()
		}
	}
}

// refresh opens files that became known: by name, or, while they have none, through the victim's own descriptor.
func (w *watchedFiles) refresh(mm *memoryMap) error {
	for i := range mm.maps {
		m := &mm.maps[i]
		if m.see == unwatched || w.open[m.file] != nil {
			continue
		}
		if name, ok := mm.names[m.file]; ok {
			w.openAs(m.file, name)
		} else {
			w.openDescriptor(m.file)
		}
		if w.open[m.file] == nil && m.see == watched {
			if _, named := mm.names[m.file]; named {
				return fmt.Errorf("trace: cannot read %s", mm.names[m.file])
			}
		}
	}
	return nil
}

func (w *watchedFiles) openDescriptor(id fileID) {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", w.pid))
	for _, l := range links {
		var st unix.Stat_t
		if unix.Stat(l, &st) == nil && identity(&st) == id && w.openAs(id, l) {
			return
		}
	}
}

func (w *watchedFiles) openAs(id fileID, path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || identity(&st) != id {
		f.Close() // another one has the name now
		return false
	}
	w.open[id] = f
	return true
}

// read gives n bytes of a watched mapping, zeros behind the file's end.
func (w *watchedFiles) read(v *Victim, m *mapping, addr uint64, n int) []byte {
	b := make([]byte, n)
	f, off := v.mem, addr
	if known := w.open[m.file]; known != nil {
		f, off = known, m.offset+addr-m.start
	}
	f.ReadAt(b, int64(off))
	return b
}

const page = 4096

// snapshot is the content of the watched files that others can see. Pages that are not there are holes.
type snapshot struct {
	pages map[fileID]map[uint64][]byte
	blind bool // a watched file cannot be read
}

// place is an aligned 8-byte word of a file.
type place struct {
	file   fileID
	offset uint64
}

func (w *watchedFiles) snapshot(mm *memoryMap) (snapshot, error) {
	s := snapshot{pages: make(map[fileID]map[uint64][]byte)}
	for i := range mm.maps {
		m := &mm.maps[i]
		if m.see != watched || s.pages[m.file] != nil {
			continue
		}
		f := w.open[m.file]
		if f == nil {
			s.blind = true
			continue
		}
		pages, err := readExtents(f)
		if err != nil {
			return s, fmt.Errorf("trace: read %s: %w", f.Name(), err)
		}
		s.pages[m.file] = pages
	}
	return s, nil
}

// readExtents reads only what is not a hole.
func readExtents(f *os.File) (map[uint64][]byte, error) {
	pages := make(map[uint64][]byte)
	for off := int64(0); ; {
		from, err := f.Seek(off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return pages, nil
		}
		if err != nil {
			return nil, err
		}
		to, err := f.Seek(from, unix.SEEK_HOLE)
		if errors.Is(err, unix.ENXIO) {
			return pages, nil
		}
		if err != nil {
			return nil, err
		}
		from &^= page - 1
		data := make([]byte, (to-from+page-1)&^(page-1))
		f.ReadAt(data, from) // short if it was truncated meanwhile: zeros
		for ; len(data) > 0; data, from = data[page:], from+page {
			pages[uint64(from)] = data[:page:page]
		}
		off = to
	}
}

var zeroPage [page]byte

func pageOf(pages map[uint64][]byte, off uint64) []byte {
	if p := pages[off]; p != nil {
		return p
	}
	return zeroPage[:]
}

// differences lists the words in which files of s, where later still has them, differ.
func (s snapshot) differences(later snapshot) (places []place) {
	for file, was := range s.pages {
		is, ok := later.pages[file]
		if !ok {
			continue
		}
		for off, p := range was {
			places = appendDifferences(places, file, off, p, pageOf(is, off))
		}
		for off, p := range is {
			if was[off] == nil {
				places = appendDifferences(places, file, off, zeroPage[:], p)
			}
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.offset, b.offset) })
	return places
}

func appendDifferences(places []place, file fileID, off uint64, a, b []byte) []place {
	if bytes.Equal(a, b) {
		return places
	}
	for i := 0; i < page; i += 8 {
		if !bytes.Equal(a[i:i+8], b[i:i+8]) {
			places = append(places, place{file, off + uint64(i)})
		}
	}
	return places
}

func (s snapshot) word(p place) []byte {
	i := p.offset % page
	return pageOf(s.pages[p.file], p.offset-i)[i : i+8]
}

// apply writes what a recorded store left.
func (s snapshot) apply(file fileID, off uint64, data []byte) {
	pages := s.pages[file]
	if pages == nil {
		return
	}
	for len(data) > 0 {
		i := off % page
		p := pages[off-i]
		if p == nil {
			p = make([]byte, page)
			pages[off-i] = p
		}
		n := copy(p[i:], data)
		data, off = data[n:], off+uint64(n)
	}
}
