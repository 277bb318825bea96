package scribble

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tandem-ipc/tandem/attack/internal/scratch"
	"github.com/tandem-ipc/tandem/attack/storm"
	"github.com/tandem-ipc/tandem/shm"
)

const (
	dirPrefix = "attack-scribble-"
	roundTime = 250 * time.Millisecond
	fileLimit = 1 << 30 // bytes of shared memory that a round may take
)

// proc is a user as the controller sees it.
type proc struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string // closed at its end
	stderr string      // file
}

func start(dir, name string, b userBrief) (*proc, error) {
	p := &proc{lines: make(chan string, 16), stderr: filepath.Join(dir, name+".stderr")}
	stderr, err := os.Create(p.stderr)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	brief, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command("/proc/self/exe")
	p.cmd.Env = append(os.Environ(), roleVariable+"="+string(brief), "GOTRACEBACK=all", "TANDEM_TRACKER=off", shm.EnvDir+"="+dir)
	p.cmd.Stderr = stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with its children
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p, nil
}

// ready starts a user and waits until it is ready.
func ready(dir, name string, b userBrief) (*proc, error) {
	p, err := start(dir, name, b)
	if err != nil {
		return nil, err
	}
	if line, err := p.hear(); err != nil || line != "ready" {
		return p, fmt.Errorf("a user is not ready: %q: %v\n%s", line, err, p.printed())
	}
	return p, nil
}

// hear waits for a line. "": it has ended. An error: it hangs; its stacks are in it.
func (p *proc) hear() (string, error) {
	select {
	case line := <-p.lines:
		return line, nil
	case <-time.After(2 * hang):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGQUIT)
	for range p.lines {
	}
	return "", fmt.Errorf("a user hangs; its stacks:\n%s", p.printed())
}

// printed is what it has printed from a crash on.
func (p *proc) printed() string {
	b, _ := os.ReadFile(p.stderr)
	if at := crash.FindIndex(b); at != nil {
		b = b[at[0]:]
	}
	return string(b[:min(len(b), 6000)])
}

// crash begins what Go's runtime prints when it gives up.
var crash = regexp.MustCompile(`(?m)^(panic:|fatal error|unexpected fault|SIG[A-Z]+:|runtime: )`)

func (p *proc) crashed() bool {
	b, _ := os.ReadFile(p.stderr)
	return crash.Match(b)
}

// end kills what is left of it and its children.
func (p *proc) end() error {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	for range p.lines {
	}
	return p.cmd.Wait()
}

func (t *tally) wrote(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rounds++
	t.writes += n
}

// tally sums up what users have done.
type tally struct {
	mu           sync.Mutex
	done, failed map[string]int
	writes       int
	rounds       int
}

func (t *tally) add(line string) error {
	var b struct{ Done, Failed map[string]int }
	if err := json.Unmarshal([]byte(line), &b); err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, n := range b.Done {
		t.done[name] += n
	}
	for name, n := range b.Failed {
		t.failed[name] += n
	}
	return nil
}

// round lets two users work while somebody scribbles; strict: while nobody does. It returns what must not happen.
func round(ctx context.Context, s *storm.Storm, n int, t *tally, strict bool) (verdict string, err error) {
	r := storm.Choices(s.Seed, n, "scribble")
	dir, err := scratch.New("/dev/shm", dirPrefix)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	var users []*proc
	defer func() {
		for _, p := range users {
			p.end()
		}
	}()
	for side := range 2 {
		p, err := ready(dir, fmt.Sprint(side), userBrief{Space: "scribbled", Side: side, Seed: r.Uint64(), Strict: strict})
		if p != nil {
			users = append(users, p)
		}
		if err != nil {
			return "", err
		}
	}
	for _, p := range users {
		io.WriteString(p.in, "go\n")
	}
	w := newScribbler(r, dir)
	what := w.String()
	span, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	if strict {
		<-span.Done()
	} else if err := w.run(span); err != nil {
		return "", err
	}
	if size := sizeOf(dir); size > fileLimit {
		return fmt.Sprintf("wild allocation: %d MiB of shared memory; %s", size>>20, what), nil
	}
	for _, p := range users {
		io.WriteString(p.in, "stop\n")
	}
	for i, p := range users {
		if verdict, err := p.outcome(t); verdict != "" || err != nil {
			return fmt.Sprintf("user %d: %s; %s", i, verdict, what), err
		}
	}
	t.wrote(w.writes)
	return "", nil
}

// outcome hears a user to its end, which must be an orderly one.
func (p *proc) outcome(t *tally) (verdict string, err error) {
	var last string
	for line := ""; ; last = line {
		if line, err = p.hear(); err != nil {
			return err.Error(), nil
		}
		if line == "" {
			break
		}
		if v, bad := strings.CutPrefix(line, "violation "); bad {
			return strings.ReplaceAll(v, "\x00", "\n"), nil
		}
	}
	if err := p.cmd.Wait(); err != nil || p.crashed() {
		return fmt.Sprintf("it or a child of it crashed (%v): %s", err, p.printed()), nil
	}
	return "", t.add(last)
}

// sizeOf is the memory that the files of a directory take.
func sizeOf(dir string) (total int64) {
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, n := range names {
		var st syscall.Stat_t
		if syscall.Stat(n, &st) == nil {
			total += st.Blocks * 512
		}
	}
	return total
}

// truncated is the scenario of shortened files.
func truncated(ctx context.Context, s *storm.Storm) error {
	return rounds(ctx, s, 1, func(n int, t *tally) (string, error) { return shorten(ctx, s, n, t) })
}

// scribbled is the scenario of scribblers. In the first round nobody scribbles: then there must be no errors.
func scribbled(ctx context.Context, s *storm.Storm) error {
	return rounds(ctx, s, max(s.Lanes, 1), func(n int, t *tally) (string, error) { return round(ctx, s, n, t, n == 1) })
}

// rounds makes rounds until it has lasted.
func rounds(ctx context.Context, s *storm.Storm, lanes int, one func(n int, t *tally) (string, error)) error {
	scratch.RemoveStale("/dev/shm", dirPrefix)
	t := &tally{done: map[string]int{}, failed: map[string]int{}}
	if s.Round != 0 {
		lanes = 1
	}
	first := 0
	var mu sync.Mutex
	next := func() int {
		mu.Lock()
		defer mu.Unlock()
		first++
		return first
	}
	errs := make([]error, lanes)
	var wg sync.WaitGroup
	for i := range lanes {
		wg.Go(func() {
			for ctx.Err() == nil && !s.Enough() {
				n := next()
				if s.Round != 0 {
					n = s.Round
				}
				verdict, err := one(n, t)
				if errs[i] = err; err != nil && ctx.Err() == nil {
					return
				}
				if verdict != "" && ctx.Err() == nil {
					s.Violation(n, verdict)
				}
				if s.Round != 0 {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		return err
	}
	done, failed := 0, 0
	for _, n := range t.done {
		done += n
	}
	for _, n := range t.failed {
		failed += n
	}
	s.Fact("%d rounds, %d writes by the hostile, %d operations of %d kinds, %d of them with an error", t.rounds, t.writes, done, len(t.done), failed)
	return nil
}
