package shm

import (
	"fmt"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// EnvHugePages and EnvPrefault are HugePages and Prefault for all Spaces of a process, the private one too, if they say "on".
const (
	EnvHugePages = "TANDEM_HUGEPAGES"
	EnvPrefault  = "TANDEM_PREFAULT"
)

// HugePages asks the kernel to map the Space by huge pages in this process: fewer misses of the address cache, for who walks
// through much memory. It counts for grown segments of 2 MiB and more. The file system must be mounted with huge=advise,
// within_size or always (or shmem_enabled of transparent_hugepage be "force"); Linux 6.1 also turns memory that is in use
// into huge pages. Stats tells how much is mapped so, or why nothing is; a Space that the kernel refuses this works as
// without. The first one who opens a Space in a process decides.
func HugePages() Option { return func(o *options) { o.huge = true } }

// Prefault maps all memory of the Space in this process when it attaches, and segments when they are grown or met, so that no
// use of it ends in a page fault later. It takes about 0.1 ms for each MiB, and Linux 5.14; without, memory is mapped as
// it is touched. What was given back to the system stays so until it is needed. The first one who opens a Space in a
// process decides.
func Prefault() Option { return func(o *options) { o.prefault = true } }

// withEnvironment adds what the environment asks for.
func (o options) withEnvironment() options {
	o.huge = o.huge || isOn(EnvHugePages, false)
	o.prefault = o.prefault || isOn(EnvPrefault, false)
	return o
}

// tune makes a segment that was just mapped what the options ask for.
func (s *space) tune(g *segment) error {
	if s.huge && s.noHuge() == "" {
		adviseHuge(g.mem)
	}
	if !s.prefault || !canPopulate() {
		return nil
	}
	if err := s.mapPages(g, 0, g.reserved()-(int64(len(g.mem))-g.heap)); err != nil { // the tables
		return err
	}
	for i := 0; i < g.units; {
		n := 0
		for i+n < g.units && layout.Word(g.entries[i+n].Word.Load()).State() != layout.Holed {
			n++
		}
		if n > 0 {
			if err := s.mapRun(g, i, n); err != nil {
				return err
			}
		}
		i += n + 1
	}
	return nil
}

// mapRun maps units that had memory when we looked. Those that were given back meanwhile have memory again, so their words
// say that it may be given back once more. (Of those that are just being given back nobody knows; they keep it until they are
// used the next time.)
func (s *space) mapRun(g *segment, i, n int) error {
	err := s.mapPages(g, g.unit(i), g.unit(i+n))
	for k := i; k < i+n; k++ {
		e := &g.entries[k].Word
		if w := layout.Word(e.Load()); w.State() == layout.Holed && e.CompareAndSwap(uint64(w), uint64(w|layout.Doubtful)) {
			g.freed.Store(true)
		}
	}
	return err
}

// mapPages maps memory that is there; should it be given back meanwhile, it is reserved again.
func (s *space) mapPages(g *segment, from, end int64) error {
	from, end = g.pagesAround(from, end)
	if err := populate(g.mem[from:end]); err != nil {
		return fmt.Errorf("prefault %v: %w", s, full(err, s.dir))
	}
	return nil
}

// noHuge says why there are no huge pages, though they were asked for; "" if there may be.
func (s *space) noHuge() string {
	if !s.huge {
		return ""
	}
	return hugeDenied(s.dir)
}
