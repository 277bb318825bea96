//go:build linux

package storm

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A journal is what one process writes down for the controller: a mapped file of its own, outside of the memory under test.
// Writing it is a store, so a process that is killed at any instruction leaves exactly what it had done. Only its process
// writes it.
type journal struct{ *page }

// page is a journal's file.
type page struct {
	moves     atomic.Uint64 // grows with everything that it gets done
	intended  atomic.Uint64 // a sender: before Send
	committed atomic.Uint64 // a sender: after Send
	asked     atomic.Uint64 // a receiver: before a receive that takes; how many it may take in all
	got       atomic.Uint64 // a receiver: after it; the same number
	runs      atomic.Uint64
	doing     atomic.Uint32 // a verb
	_         uint32
	run       [maxRuns]struct {
		sender, marked atomic.Uint32
		first, last    atomic.Uint64
	}
}

const maxRuns = 500 // then a receiver retires

// verb says what a process is about.
type verb uint32

const (
	starting verb = iota
	sending
	receiving
	acknowledging
	supervising
	draining
)

func (v verb) String() string {
	return [...]string{"starting", "sending", "receiving", "acknowledging", "supervising", "draining"}[v]
}

// journalFile is where a process of a tree keeps its journal; id is a slot's name and the process's number in it.
func journalFile(dir, id string) string { return filepath.Join(dir, id) }

func newJournal(dir, id string) (journal, error) {
	f, err := os.OpenFile(journalFile(dir, id), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return journal{}, err
	}
	defer f.Close()
	size := int(unsafe.Sizeof(page{}))
	if err := f.Truncate(int64(size)); err != nil {
		return journal{}, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return journal{}, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	return journal{(*page)(unsafe.Pointer(unsafe.SliceData(mem)))}, nil
}

// readJournal reads the journal of a process that may be dead, or not have one yet: then it is empty.
func readJournal(file string) (*page, error) {
	p := new(page)
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mem := unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p))
	if _, err := f.ReadAt(mem, 0); err != nil {
		return p, nil // killed before it had its size
	}
	return p, nil
}

// received notes a message. False: there is room for one batch more and not for another.
func (j journal) received(sender uint32, seq uint64, marked bool) bool {
	n := j.runs.Load()
	if n > 0 && !marked {
		if r := &j.run[n-1]; r.sender.Load() == sender && r.last.Load()+1 == seq && r.marked.Load() == 0 {
			r.last.Store(seq)
			return true
		}
	}
	r := &j.run[n]
	r.sender.Store(sender)
	if marked {
		r.marked.Store(1)
	}
	r.first.Store(seq)
	r.last.Store(seq)
	j.runs.Store(n + 1) // from here on it counts
	return n+1 < maxRuns-batch
}

func (p *page) sent() sent { return sent{p.intended.Load(), p.committed.Load()} }

func (p *page) taken() taken {
	t := taken{open: p.asked.Load() - p.got.Load()}
	for i := range min(p.runs.Load(), maxRuns) {
		r := &p.run[i]
		t.runs = append(t.runs, run{r.sender.Load(), r.marked.Load() != 0, r.first.Load(), r.last.Load()})
	}
	return t
}
