package trace

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// fileID is a device and inode, as they stand in /proc/PID/maps.
type fileID struct {
	dev string // "00:1a"
	ino uint64
}

type visibility uint8

const (
	unwatched visibility = iota
	watched
	nameless // nobody else can see it: no name, and in no other process's mappings
)

// mapping is one line of /proc/PID/maps.
type mapping struct {
	start, end uint64
	offset     uint64
	file       fileID
	shared     bool
	exec       bool
	path       string
	see        visibility
}

func parseMaps(b []byte) ([]mapping, error) {
	var ms []mapping
	for line := range bytes.Lines(b) {
		// 7f0000000000-7f0000001000 rw-s 00000000 00:1a 1234   /dev/shm/x (deleted)
		f := strings.SplitN(strings.TrimSuffix(string(line), "\n"), " ", 6)
		if len(f) < 5 {
			return nil, fmt.Errorf("trace: line of maps: %q", line)
		}
		var m mapping
		lo, hi, _ := strings.Cut(f[0], "-")
		var errs [4]error
		m.start, errs[0] = strconv.ParseUint(lo, 16, 64)
		m.end, errs[1] = strconv.ParseUint(hi, 16, 64)
		m.offset, errs[2] = strconv.ParseUint(f[2], 16, 64)
		m.file.ino, errs[3] = strconv.ParseUint(f[4], 10, 64)
		for _, err := range errs {
			if err != nil {
				return nil, fmt.Errorf("trace: line of maps: %q: %w", line, err)
			}
		}
		m.file.dev = f[3]
		m.shared = strings.HasSuffix(f[1], "s")
		m.exec = strings.Contains(f[1], "x")
		if len(f) == 6 {
			m.path = strings.TrimLeft(f[5], " ")
		}
		ms = append(ms, m)
	}
	return ms, nil
}

// memoryMap is what the victim has mapped, and which of it is watched.
type memoryMap struct {
	pid  int
	dir  string
	maps []mapping
	last int // where lookup found its answer last
	// names of the files below dir, as of the last refresh.
	names map[fileID]string
}

// refreshMaps reads the mappings only, none of them watched.
func (mm *memoryMap) refreshMaps() error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", mm.pid))
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	mm.maps, err = parseMaps(b)
	mm.last = 0
	return err
}

// refresh reads both again. A file born by O_TMPFILE keeps its old text in maps when it gets a name, so names come from
// the directory.
func (mm *memoryMap) refresh() error {
	err := mm.refreshMaps()
	if err != nil {
		return err
	}
	if mm.names, err = filesBelow(mm.dir); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	seen := make(map[fileID]visibility)
	for i := range mm.maps {
		m := &mm.maps[i]
		if !m.shared || m.file.ino == 0 {
			continue
		}
		v, ok := seen[m.file]
		if !ok {
			v = mm.classify(m)
			seen[m.file] = v
		}
		m.see = v
	}
	return nil
}

func (mm *memoryMap) classify(m *mapping) visibility {
	if _, ok := mm.names[m.file]; ok {
		return watched
	}
	if !strings.HasPrefix(m.path, mm.dir+"/") || !strings.HasSuffix(m.path, " (deleted)") {
		return unwatched
	}
	if mappedElsewhere(m.file, mm.pid) {
		return watched
	}
	return nameless
}

// mappedElsewhere looks through the mappings of all other processes that may be looked at.
func mappedElsewhere(id fileID, except int) bool {
	pids, _ := filepath.Glob("/proc/[0-9]*")
	needle := []byte(fmt.Sprintf(" %s %d ", id.dev, id.ino))
	for _, p := range pids {
		if filepath.Base(p) == strconv.Itoa(except) {
			continue
		}
		if b, err := os.ReadFile(p + "/maps"); err == nil && bytes.Contains(b, needle) {
			return true
		}
	}
	return false
}

func filesBelow(dir string) (map[fileID]string, error) {
	names := make(map[fileID]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path == dir {
				return err
			}
			return nil // gone, or not ours
		}
		if d.Type().IsRegular() {
			if id, ok := identify(path); ok {
				names[id] = path
			}
		}
		return nil
	})
	return names, err
}

// lookup finds the mapping that holds addr, nil if none does.
func (mm *memoryMap) lookup(addr uint64) *mapping {
	if mm.last < len(mm.maps) {
		if m := &mm.maps[mm.last]; addr >= m.start && addr < m.end {
			return m
		}
	}
	i := sort.Search(len(mm.maps), func(i int) bool { return mm.maps[i].end > addr })
	if i < len(mm.maps) && addr >= mm.maps[i].start {
		mm.last = i
		return &mm.maps[i]
	}
	return nil
}

// intersectsFile says whether any shared mapping lies in [addr, addr+n).
func (mm *memoryMap) intersectsFile(addr, n uint64) bool {
	for i := range mm.maps {
		if m := &mm.maps[i]; m.shared && addr < m.end && addr+n > m.start {
			return true
		}
	}
	return false
}
