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

	sweeping sync.RWMutex // held while trackers shall clean up, locked while we do

	mu      sync.Mutex
	trees   map[*tree]bool
	removed map[string]bool // by a cleaner of ours
	rounds  int

	received, committed, checks, trackers atomic.Int64
	ended                                 [headless + 1]atomic.Int64
	slowest                               map[bool]*peak // until a killed tree's files were gone, by whether its tracker was killed, too
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
	s.Fact("%d trackers killed; a killed tree's files gone after %v at most, without its tracker after %v; %d looks at the living",
		c.trackers.Load(), c.slowest[false], c.slowest[true], c.checks.Load())
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
	return &controller{s: s, dir: dir, journals: journals, over: make(chan struct{}), trees: map[*tree]bool{}, removed: map[string]bool{},
		slowest: map[bool]*peak{false: {}, true: {}}}, nil
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
	for ctx.Err() == nil && !c.s.Enough() {
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
			break
		}
	}
	return nil
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

// clean sees that within a second nothing is left of a tree that was killed. Its tracker removes it; if that was killed, too,
// we do, as any user would, and nothing else.
func (c *controller) clean(t *tree, killed time.Time) {
	alone := t.plan.tracker != tracked
	if alone {
		c.sweeping.Lock() // or we would do the work of a tracker that fails
		defer c.sweeping.Unlock()
		killed = time.Now()
	} else {
		c.sweeping.RLock()
		defer c.sweeping.RUnlock()
	}
	for {
		if alone {
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
		}
		c.living()
		took := time.Since(killed)
		left := c.filesOf(t)
		if len(left) == 0 {
			c.slowest[alone].raise(took)
			return
		}
		if took > time.Second {
			t.fault("leaked: %v after the whole tree was killed (its tracker too: %v) there is still %v",
				took.Round(time.Millisecond), alone, left)
			return
		}
		time.Sleep(time.Millisecond) // the last memory of the dead may still be going
	}
}

// peak is the largest of some times.
type peak struct {
	mu sync.Mutex
	of time.Duration
}

func (p *peak) raise(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of = max(p.of, d)
}

func (p *peak) String() string { return p.of.Round(time.Millisecond).String() }

// nothingLeft sees that at the end of the storm no file and no process is left.
func (c *controller) nothingLeft() {
	var alive []int
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		c.bury()
		if alive, _ = children.List(); len(alive) == 0 {
			break
		}
	}
	if len(alive) > 0 {
		c.s.Violation(0, fmt.Sprintf("%v after the last tree there are still the processes %v", patience, alive))
	}
	if _, err := shm.Sweep(); err != nil {
		c.s.Violation(0, fmt.Sprintf("sweep: %v", err))
	}
	if left := c.files(); len(left) > 0 {
		c.s.Violation(0, fmt.Sprintf("leaked: after the last tree there is still %v", left))
	}
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
