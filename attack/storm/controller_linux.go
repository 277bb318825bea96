package storm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/attack/internal/children"
	"github.com/tandem-ipc/tandem/attack/internal/scratch"
	"github.com/tandem-ipc/tandem/shm"
)

// controller makes storms of trees. It has nothing of what is under attack open.
type controller struct {
	s        *Storm
	dir      string // of Spaces
	journals string
	over     chan struct{} // closed when the storm has lasted

	mu      sync.Mutex
	trees   map[*tree]bool
	removed map[string]bool // by a cleaner of ours
	rounds  int

	received, committed, checks atomic.Int64
	ended                       [headless + 1]atomic.Int64
	slowest                     atomic.Int64 // removal of a killed tree's files, ns
}

// trees is the scenario of whole trees of processes.
func trees(ctx context.Context, s *Storm) error {
	c, err := newController(s)
	if err != nil {
		return err
	}
	defer c.close()
	clock, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { c.clock(clock) })
	defer watching.Wait()
	defer stop()
	lanes := s.Lanes
	if lanes == 0 {
		lanes = min(max(runtime.GOMAXPROCS(0), 2), 8)
	}
	if s.Round != 0 {
		lanes = 1
	}
	errs := make([]error, lanes)
	var wg sync.WaitGroup
	for i := range lanes {
		wg.Go(func() { errs[i] = c.lane(ctx) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if ctx.Err() == nil {
		c.nothingLeft()
	}
	s.Fact("%d trees (%d drained, %d killed at one blow, %d one by one, %d beheaded)", c.rounds, c.ended[drained].Load(),
		c.ended[at1blow].Load(), c.ended[onebyone].Load(), c.ended[headless].Load())
	s.Fact("%d messages committed, %d received", c.committed.Load(), c.received.Load())
	s.Fact("a killed tree's files gone after %v at most, %d looks at the living", time.Duration(c.slowest.Load()).Round(time.Millisecond), c.checks.Load())
	return nil
}

const dirPrefix = "attack-storm-"

func newController(s *Storm) (*controller, error) {
	// Orphans become our children: nobody else may be there to bury them.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	for _, d := range []string{"/dev/shm", os.TempDir()} {
		scratch.RemoveStale(d, dirPrefix)
	}
	dir, err := scratch.New("/dev/shm", dirPrefix)
	if err != nil {
		return nil, err
	}
	journals, err := scratch.New(os.TempDir(), dirPrefix)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	if err := os.Setenv(shm.EnvDir, dir); err != nil {
		return nil, err
	}
	return &controller{s: s, dir: dir, journals: journals, over: make(chan struct{}), trees: map[*tree]bool{}, removed: map[string]bool{}}, nil
}

func (c *controller) close() {
	os.RemoveAll(c.dir)
	os.RemoveAll(c.journals)
	os.Unsetenv(shm.EnvDir)
}

// clock ends the storm in time, and looks after the living meanwhile.
func (c *controller) clock(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ; ctx.Err() == nil && !c.s.Enough(); <-tick.C {
		c.living()
	}
	close(c.over)
}

// lane makes one tree after the other.
func (c *controller) lane(ctx context.Context) error {
	for {
		select {
		case <-c.over:
			return nil
		case <-ctx.Done():
			return nil
		default:
		}
		c.mu.Lock()
		c.rounds++
		round := c.rounds
		c.mu.Unlock()
		if c.s.Round != 0 {
			round = c.s.Round
		}
		t, err := c.plant(round)
		if err != nil {
			return err
		}
		if err := t.run(ctx); err != nil {
			return err
		}
		if c.s.Round != 0 {
			return nil
		}
	}
}

func (c *controller) add(t *tree) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trees[t] = true
}

func (c *controller) remove(t *tree) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.trees, t)
}

// prefix is what all files of Spaces begin with.
func prefix() string { return "tandem." + strconv.Itoa(os.Geteuid()) + "." }

// files are the files of Spaces that there are.
func (c *controller) files() (all []string) {
	entries, _ := os.ReadDir(c.dir)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// owns tells whether a file belongs to a tree, as far as it has told.
func (t *tree) owns(file string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := strings.TrimPrefix(file, prefix())
	return slices.ContainsFunc(t.spaces, func(s spaceFile) bool {
		return rest == s.file || rest == "p."+s.nonce || strings.HasPrefix(rest, "g."+s.nonce+".")
	})
}

// filesOf lists what is there of a tree.
func (c *controller) filesOf(t *tree) []string {
	return slices.DeleteFunc(c.files(), func(f string) bool { return !t.owns(f) })
}

// living sees that the Spaces of trees that live are there, and that nothing of theirs was removed.
func (c *controller) living() {
	c.mu.Lock()
	var all []*tree
	for t := range c.trees {
		all = append(all, t)
	}
	gone := c.removed
	c.mu.Unlock()
	for _, t := range all {
		t.mu.Lock()
		spaces := slices.Clone(t.spaces)
		t.mu.Unlock()
		for _, s := range spaces {
			file := prefix() + s.file
			_, err := os.Lstat(filepath.Join(c.dir, file))
			t.mu.Lock()
			if err != nil && !t.ending {
				select {
				case <-t.gone:
				default:
					t.faults = append(t.faults, fmt.Sprintf("wrongly removed: the tree lives, and its %s is gone: %v", file, err))
					t.ending = true
				}
			}
			t.mu.Unlock()
			c.checks.Add(1)
		}
		c.mu.Lock()
		for f := range gone {
			if t.owns(f) && !t.dying() {
				t.fault("wrongly removed: the tree lives, and a cleaner has removed its %s", f)
			}
		}
		c.mu.Unlock()
	}
}

func (t *tree) dying() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ending
}

// clean removes what a killed tree has left, as a user would, and nothing else. It must be gone within a second.
func (c *controller) clean(t *tree, killed time.Time) {
	for {
		names, err := shm.Sweep()
		if err != nil {
			t.fault("sweep: %v", err)
			return
		}
		c.mu.Lock()
		for _, n := range names {
			c.removed[n] = true
		}
		c.mu.Unlock()
		c.living()
		took := time.Since(killed)
		left := c.filesOf(t)
		if len(left) == 0 {
			c.slowest.Store(max(c.slowest.Load(), int64(took)))
			return
		}
		if took > time.Second {
			t.fault("leaked: %v after the whole tree was killed there is still %v", took.Round(time.Millisecond), left)
			return
		}
		time.Sleep(time.Millisecond) // the last memory of the dead may still be going
	}
}

// nothingLeft sees that at the end of the storm no file and no process is left.
func (c *controller) nothingLeft() {
	if _, err := shm.Sweep(); err != nil {
		c.s.Violation(0, fmt.Sprintf("sweep: %v", err))
	}
	if left := c.files(); len(left) > 0 {
		c.s.Violation(0, fmt.Sprintf("leaked: after the last tree there is still %v", left))
	}
	c.bury()
}

// bury takes the dead orphans that have become our children. Roots are waited for by who started them.
func (c *controller) bury() {
	roots := map[int]bool{}
	c.mu.Lock()
	for t := range c.trees {
		if t.cmd.Process != nil {
			roots[t.cmd.Process.Pid] = true
		}
	}
	c.mu.Unlock()
	_, dead := children.List()
	for _, pid := range dead {
		if !roots[pid] {
			syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
	}
}
