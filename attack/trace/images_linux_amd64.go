package trace

import (
	"fmt"
	"os"
	"path/filepath"
)

// image gives the victim's main program.
func (t *Tracer) image(mm *memoryMap, pid int) (*image, error) {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return nil, err
	}
	for i := range mm.maps {
		if m := &mm.maps[i]; m.path == exe {
			return t.load(m, fmt.Sprintf("/proc/%d/exe", pid))
		}
	}
	return nil, fmt.Errorf("%s is not mapped", exe)
}

// load opens the file behind a mapping, once per tracer.
func (t *Tracer) load(m *mapping, path string) (*image, error) {
	key := imageKey{m.path, m.start - m.offset}
	if im := t.images[key]; im != nil {
		return im, nil
	}
	im, err := openImage(path)
	if err != nil {
		return nil, err
	}
	im.path = m.path
	im.place(m.start, m.offset)
	t.images[key] = im
	return im, nil
}

// symbol names an address for people: "function+0x12", "file:34".
func (v *Victim) symbol(mm *memoryMap, addr uint64) (symbol, source string) {
	m := mm.lookup(addr)
	if m == nil {
		return "", ""
	}
	path := m.path
	exe := fmt.Sprintf("/proc/%d/exe", v.pid)
	if name, err := os.Readlink(exe); err == nil && name == path {
		path = exe // also when it has been deleted
	}
	im, err := v.t.load(m, path)
	if err != nil {
		return offsetName(filepath.Base(m.path), addr-m.start), ""
	}
	return im.name(addr)
}
