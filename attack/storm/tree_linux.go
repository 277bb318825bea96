package storm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tandem-ipc/tandem/attack/internal/children"
	"github.com/tandem-ipc/tandem/shm"
)

// patience is when something that makes no progress is taken for hanging. It is long, because processes starve on a busy
// machine.
const patience = 20 * time.Second

// tree is a running tree as its controller sees it.
type tree struct {
	c     *controller
	round int
	plan  plan
	dir   string // of journals
	cmd   *exec.Cmd
	stdin io.WriteCloser
	gone  chan struct{} // closed when no process of it is left

	mu     sync.Mutex
	procs  map[string]*member // who has begun and not ended, as far as known
	spaces []spaceFile
	kills  int
	calm   bool // nobody is killed or stopped any more
	ending bool // its files may go

	tracker sync.Once // killed, or never to be killed
	drained map[string]bool
	whole   bool
	news    time.Time // the last line
	enough  chan struct{}
	faults  []string
}

// member is a process of a tree.
type member struct {
	id      string
	p       *os.Process
	stopped bool
	killed  bool
}

// spaceFile is a Space that a tree uses.
type spaceFile struct{ file, nonce string }

func (c *controller) plant(round int) (*tree, error) {
	t := &tree{
		c: c, round: round, plan: planOf(c.s.Seed, round), procs: map[string]*member{}, drained: map[string]bool{},
		news: time.Now(), gone: make(chan struct{}), enough: make(chan struct{}),
		dir: filepath.Join(c.journals, strconv.Itoa(round)),
	}
	if err := os.Mkdir(t.dir, 0o700); err != nil {
		return nil, err
	}
	stderr, err := os.Create(filepath.Join(t.dir, "stderr"))
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	brief, err := json.Marshal(treeBrief{Tree: round, Dir: t.dir, Seed: Choices(c.s.Seed, round, "root").Uint64()})
	if err != nil {
		return nil, err
	}
	t.cmd = exec.Command("/proc/self/exe")
	// Without sweeps on first use: it shall be known who has removed what.
	t.cmd.Env = append(os.Environ(), roleVariable+"="+string(brief), "GOTRACEBACK=all", shm.EnvSweep+"=off")
	t.cmd.Stdout, t.cmd.Stderr = w, stderr
	// A process group of its own, which its descendants inherit: so all can be killed at one blow, known or not.
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if t.stdin, err = t.cmd.StdinPipe(); err != nil {
		return nil, errors.Join(err, r.Close(), w.Close())
	}
	c.add(t)
	err = t.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		c.remove(t)
		return nil, err
	}
	go t.listen(r)
	return t, nil
}

// listen hears what the tree tells, until the last process that could is gone.
func (t *tree) listen(r *os.File) {
	defer r.Close()
	defer close(t.gone)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		one, two, _ := strings.Cut(rest, " ")
		t.mu.Lock()
		t.news = time.Now()
		switch verb {
		case "space":
			t.spaces = append(t.spaces, spaceFile{one, two})
		case "begun":
			pid, _ := strconv.Atoi(two)
			t.begun(one, pid)
		case "ended":
			code, _ := strconv.Atoi(two)
			t.ended(one, code)
		case "drained":
			t.drained[one] = true
		case "whole":
			t.whole = true
		case "error":
			t.faults = append(t.faults, rest)
		default:
			t.faults = append(t.faults, "unexpected output: "+lines.Text())
		}
		t.mu.Unlock()
	}
}

// begun gives a process its fate. The caller holds mu, as for all that follow.
func (t *tree) begun(id string, pid int) {
	p, err := os.FindProcess(pid) // a descriptor of the process: later it is this one, or none
	if err != nil || !same(pid) {
		return // it has been killed already
	}
	m := &member{id: id, p: p}
	t.procs[id] = m
	if id == "root" {
		if t.plan.tracker == neglected {
			time.AfterFunc(time.Duration(Choices(t.c.s.Seed, t.round, "tracker").IntN(int(200*time.Millisecond))), t.killTracker)
		}
		return
	}
	f := fateOf(t.c.s.Seed, t.round, id)
	t.after(f.life, m, func() {
		if f.stop == 0 {
			t.kill(m)
			return
		}
		t.signal(m, syscall.SIGSTOP)
		t.after(f.stop, m, func() {
			if f.goOn == 0 {
				t.kill(m)
				return
			}
			t.signal(m, syscall.SIGCONT)
			t.after(f.goOn, m, func() { t.kill(m) })
		})
	})
}

// killTracker kills the tree's tracker, once, and returns when it is gone.
func (t *tree) killTracker() { t.tracker.Do(t.findAndKillTracker) }

func (t *tree) findAndKillTracker() {
	name := fmt.Sprintf("tandem-tracker\x00%d\x00", t.cmd.Process.Pid)
	alive, _ := children.List() // it is nobody's child, so it is ours
	for _, pid := range alive {
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); string(b) == name {
			syscall.Kill(pid, syscall.SIGKILL)
			syscall.Wait4(pid, nil, 0, nil)
			t.c.trackers.Add(1)
			return
		}
	}
	t.fault("the tree has no tracker")
}

// same tells whether a pid belongs to this program.
func same(pid int) bool {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	ours, oerr := os.Readlink("/proc/self/exe")
	return err == nil && oerr == nil && theirs == ours
}

// after does something to a member later, unless the tree is calm by then.
func (t *tree) after(d time.Duration, m *member, do func()) {
	time.AfterFunc(d, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.calm && t.procs[m.id] == m {
			do()
		}
	})
}

func (t *tree) signal(m *member, sig syscall.Signal) bool {
	m.stopped = sig == syscall.SIGSTOP
	return m.p.Signal(sig) == nil
}

func (t *tree) kill(m *member) {
	if m.killed || !t.signal(m, syscall.SIGKILL) {
		return
	}
	m.killed = true
	t.kills++
	if t.kills >= t.plan.kills && !t.calm {
		t.calm = true
		close(t.enough)
	}
}

// ended is told by who started the process.
func (t *tree) ended(id string, code int) {
	m := t.procs[id]
	if m == nil {
		return
	}
	if m.killed && code != -int(syscall.SIGKILL) {
		t.kills-- // it was faster
	}
	t.forget(m)
	if id[0] == 'b' {
		for _, kid := range t.procs {
			if strings.HasPrefix(kid.id, id+".") {
				go kid.p.Wait() // ours now; it notices its parent's death and ends
			}
		}
	}
}

func (t *tree) forget(m *member) {
	delete(t.procs, m.id)
	m.p.Release()
}

// run attacks a tree to its end, and judges it.
func (t *tree) run(ctx context.Context) error {
	defer t.c.remove(t)
	select {
	case <-t.enough:
	case <-t.c.over:
	case <-t.gone:
	case <-ctx.Done():
	case err := <-t.silence():
		t.hang(err)
	}
	t.settle()
	if t.sound() && ctx.Err() == nil {
		t.progress()
	}
	t.mu.Lock()
	t.ending = true
	t.mu.Unlock()
	if t.sound() && ctx.Err() == nil && t.plan.ending == drained {
		t.leave()
	} else {
		t.fell()
	}
	err := t.cmd.Wait()
	t.c.bury()
	if ctx.Err() == nil {
		t.judge(err)
	}
	t.c.s.Killed(t.kills)
	return os.RemoveAll(t.dir)
}

// silence tells when nothing has happened for too long.
func (t *tree) silence() <-chan error {
	told := make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for range tick.C {
			t.mu.Lock()
			quiet, calm := time.Since(t.news), t.calm
			t.mu.Unlock()
			if calm {
				return
			}
			if quiet > patience {
				told <- fmt.Errorf("nobody has begun or ended anything for %v", quiet.Round(time.Second))
				return
			}
		}
	}()
	return told
}

// settle ends the killing of single processes. Who is stopped continues.
func (t *tree) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calm = true
	for _, m := range t.procs {
		if m.stopped {
			t.signal(m, syscall.SIGCONT)
		}
	}
}

func (t *tree) sound() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.faults) == 0
}

// fault notes what must not happen.
func (t *tree) fault(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, fmt.Sprintf(format, args...))
}

// progress waits until every consumer of the root's channels has received something more: whoever was killed, the others
// go on.
func (t *tree) progress() {
	type mark struct {
		id    string
		moves uint64
	}
	before := map[int]mark{}
	now := func(i int) mark {
		t.mu.Lock()
		defer t.mu.Unlock()
		for id := range t.procs {
			if strings.HasPrefix(id, fmt.Sprintf("%dc#", i)) {
				if p, err := readJournal(journalFile(t.dir, id)); err == nil {
					return mark{id, p.moves.Load()}
				}
			}
		}
		return mark{}
	}
	for i := range int(styles) {
		before[i] = now(i)
	}
	for deadline := time.Now().Add(patience); len(before) > 0; {
		for i, b := range before {
			if n := now(i); n.id == b.id && n.moves > b.moves || n.id != b.id && n.moves > 0 {
				delete(before, i)
			}
		}
		select {
		case <-t.gone:
			t.fault("the tree ended by itself")
			return
		case <-time.After(2 * time.Millisecond): // a journal is no event
		}
		if !t.sound() {
			return // a place that was given up makes no progress
		}
		if time.Now().After(deadline) {
			t.hang(fmt.Errorf("channels %v have made no progress for %v, with all their processes left alone",
				slices.Sorted(maps.Keys(before)), patience))
			return
		}
	}
}

// hang reports who waits for what, with stacks, which ends the tree.
func (t *tree) hang(why error) {
	t.mu.Lock()
	var who []string
	for id, m := range t.procs {
		p, err := readJournal(journalFile(t.dir, id))
		if err == nil {
			who = append(who, fmt.Sprintf("%s (pid %d): %v, has done %d", id, m.p.Pid, verb(p.doing.Load()), p.moves.Load()))
		}
	}
	t.mu.Unlock()
	slices.Sort(who)
	syscall.Kill(-t.cmd.Process.Pid, syscall.SIGQUIT)
	select {
	case <-t.gone:
	case <-time.After(time.Second):
	}
	t.fault("hangs: %v\n%s\n%s", why, strings.Join(who, "\n"), t.stderr(200))
}

// leave asks the root to drain its channels and to leave, and sees that nothing stays behind.
func (t *tree) leave() {
	t.tracker.Do(func() {}) // it goes with the tree
	io.WriteString(t.stdin, "drain\n")
	select {
	case <-t.gone:
	case <-time.After(patience):
		t.hang(errors.New("the tree does not drain and leave"))
		return
	}
	if !t.whole {
		t.fault("the root ended without having drained everything")
	}
	if left := t.c.filesOf(t); len(left) > 0 {
		t.fault("the tree has left in order, and left behind %v", left)
	}
}

// fell kills the whole tree, and sees that within a second nothing of it is left.
func (t *tree) fell() {
	if t.plan.tracker != tracked {
		t.killTracker()
	}
	group := func() { syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL) }
	t.mu.Lock()
	for _, m := range t.procs {
		if !m.killed && m.p.Signal(syscall.Signal(0)) == nil {
			t.kills++
		}
	}
	var all []*member
	for _, id := range slices.Sorted(maps.Keys(t.procs)) {
		all = append(all, t.procs[id])
	}
	t.mu.Unlock()
	switch t.plan.ending {
	case onebyone:
		r := Choices(t.c.s.Seed, t.round, "order")
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, m := range all {
			m.p.Signal(syscall.SIGKILL)
		}
		group()
	case headless:
		t.cmd.Process.Kill()
		select {
		case <-t.gone:
		case <-time.After(patience):
			t.fault("the root was killed, and its children are still there after %v", patience)
		}
		group()
	default:
		group()
	}
	killed := time.Now()
	select {
	case <-t.gone:
	case <-time.After(patience):
		t.fault("processes outlive SIGKILL by %v", patience)
		return
	}
	t.c.clean(t, killed)
}

// judge says what is wrong with a tree that is gone.
func (t *tree) judge(exit error) {
	if t.plan.ending == drained && t.sound() && exit != nil {
		t.fault("the root ended with %v", exit)
	}
	if err := t.conserved(); err != nil {
		t.fault("%v", err)
	}
	if text := t.stderr(1); t.sound() && crash.MatchString(text) {
		t.fault("a process crashed: %s", text)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, f := range t.faults {
		if i == 0 && !strings.HasPrefix(f, "hangs") {
			f += "\n" + t.stderr(60)
		}
		t.c.s.Violation(t.round, f)
	}
	t.c.ended[t.plan.ending].Add(1)
}

// stderr is what the tree has printed, cut to some lines: from the first crash on, or else the last ones.
func (t *tree) stderr(most int) string {
	b, _ := os.ReadFile(filepath.Join(t.dir, "stderr"))
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	if first := slices.IndexFunc(all, crash.MatchString); first >= 0 {
		all = all[first:min(first+most, len(all))]
	}
	return strings.Join(all[max(len(all)-most, 0):], "\n")
}

// crash begins what Go's runtime prints when it gives up.
var crash = regexp.MustCompile(`^(panic|fatal error|unexpected fault|SIG[A-Z]+:|runtime: )`)

// conserved balances the books of all channels.
func (t *tree) conserved() error {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	books := map[string]*ledger{}
	receivers := map[string]map[int]taken{}
	for _, e := range entries {
		slot, number, ok := cutLast(e.Name(), "#")
		life, err := strconv.Atoi(number)
		if !ok || err != nil || len(slot) < 2 {
			continue // of a root, or a branch, or what they printed
		}
		p, err := readJournal(journalFile(t.dir, e.Name()))
		if err != nil {
			return err
		}
		name, side := slot[:len(slot)-1], slot[len(slot)-1]
		if books[name] == nil {
			books[name], receivers[name] = &ledger{sent: map[uint32]sent{}, drained: t.drained[name]}, map[int]taken{}
		}
		switch side {
		case 'p':
			books[name].sent[uint32(life)] = p.sent()
		case 'c':
			receivers[name][life] = p.taken()
		}
	}
	var errs []error
	for name, l := range books {
		for _, life := range slices.Sorted(maps.Keys(receivers[name])) {
			l.taken = append(l.taken, receivers[name][life])
		}
		received, committed, err := l.check()
		t.c.received.Add(int64(received))
		t.c.committed.Add(int64(committed))
		if err != nil {
			errs = append(errs, fmt.Errorf("channel %s of a tree that was %v: %w", name, t.plan.ending, err))
		}
	}
	return errors.Join(errs...)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
