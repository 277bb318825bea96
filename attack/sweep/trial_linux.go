package sweep

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tandem-ipc/tandem/attack/internal/scratch"
	"github.com/tandem-ipc/tandem/attack/trace"
)

// Guards against hanging; nothing is measured by them.
const (
	reachLimit  = 20 * time.Second
	recordLimit = 5 * time.Minute
	worldLimit  = 30 * time.Second
)

// job is one trial to make.
type job struct {
	op     *Op // whose World, Others, Recover and After
	victim string
	mode   Mode
	point  trace.Point

	// In a pair one of these.
	dead    *strike // killed before the victim begins
	stopped *strike // stopped before the victim begins; Others and its resumption follow the kill
}

// strike is another victim and where it is struck.
type strike struct {
	op    string
	point trace.Point
}

// name is what -point takes: the place, and in a pair the other's behind @.
func (j job) name() string {
	switch {
	case j.dead != nil:
		return j.dead.point.Name() + "@" + j.point.Name()
	case j.stopped != nil:
		return j.point.Name() + "@" + j.stopped.point.Name()
	}
	return j.point.Name()
}

// result of a trial.
type result uint8

const (
	passed result = iota
	violated
	missed // a victim went another way than in the recording
)

type outcome struct {
	result  result
	verdict string
	detail  string // where the victims were struck
	err     error  // the attack itself failed
}

// journalPair is a trial's journal: the file for other processes, the mapping for this one.
type journalPair struct {
	file *os.File
	*Journal
}

// trial is a job under way.
type trial struct {
	l        *lane
	ctx      context.Context
	job      job
	world    *World
	built    bool // World has returned, so After is due
	apart    *apart
	dir      string         // of the shared files
	journals [2]journalPair // the victim's, or A's and B's
	victims  []*victim
}

// run makes one trial.
func (l *lane) run(ctx context.Context, j job) outcome {
	return l.with(ctx, j, (*trial).body)
}

// with builds the world, calls body, and tidies up whatever that did.
func (l *lane) with(ctx context.Context, j job, body func(*trial) error) outcome {
	for _, s := range []**strike{&j.dead, &j.stopped} {
		if *s != nil { // other trials share it
			own := **s
			*s = &own
		}
	}
	t := &trial{l: l, ctx: ctx, job: j}
	err := t.build()
	if err == nil {
		err = body(t)
	}
	for _, v := range t.victims {
		v.Kill()
		v.out.close()
	}
	if after := t.tidy(); err == nil && after != nil {
		err = after
	}
	var b broken
	switch {
	case err == nil:
		return outcome{}
	case errors.Is(err, trace.ErrNotReached):
		return outcome{result: missed, verdict: err.Error(), detail: t.job.detail()}
	case errors.As(err, &b):
		return outcome{err: err}
	}
	return outcome{result: violated, verdict: err.Error(), detail: t.job.detail()}
}

func (t *trial) brief(role string) brief {
	point := t.job.point.String()
	switch {
	case t.job.dead != nil:
		point = t.job.dead.point.String() + ", then " + point
	case t.job.stopped != nil:
		point += ", beside " + t.job.stopped.point.String()
	}
	return brief{
		Role: role, Op: t.job.op.Name, Mode: t.job.mode, Point: point, Dir: t.dir, Scratch: t.world.Scratch,
		Pair: t.job.dead != nil || t.job.stopped != nil,
	}
}

func (t *trial) build() (err error) {
	if t.dir = t.l.s.dir(); t.l.s.DirVariable != "" {
		if t.dir, err = scratch.New(t.dir, trialDirPrefix); err != nil {
			return broken{err}
		}
	}
	for i := range t.journals {
		f, err := newMemory("journal", journalSize)
		if err != nil {
			return broken{err}
		}
		t.journals[i].file = f
		if t.journals[i].Journal, err = mapJournal(f); err != nil {
			return broken{err}
		}
	}
	t.world = &World{
		Env: Env{
			Op: t.job.op.Name, Mode: t.job.mode, Point: t.job.point.String(), Dir: t.dir, Journal: t.journals[0].Journal,
		},
		starter: t.l.tracer, journal: t.journals[0].file,
	}
	if t.job.op.Apart || t.l.s.DirVariable != "" {
		err = t.buildApart()
	} else {
		err = within(worldLimit, func() error { return t.job.op.World(t.world) })
	}
	if err != nil {
		return broken{fmt.Errorf("world: %w", err)}
	}
	t.built = true
	return nil
}

// tidy runs After, whose error is a verdict.
func (t *trial) tidy() (err error) {
	switch {
	case t.world == nil:
	case t.apart != nil:
		err = t.tidyApart()
	default:
		t.world.killHelpers()
		if t.built && t.job.op.After != nil {
			err = within(worldLimit, func() error { return t.job.op.After(t.world) })
		}
	}
	for _, j := range t.journals {
		if j.Journal != nil {
			j.unmap()
		}
		if j.file != nil {
			j.file.Close()
		}
	}
	if err != nil {
		err = fmt.Errorf("after: %w", err)
	}
	if t.dir != "" && t.dir != t.l.s.dir() {
		if left := emptyTrialDir(t.dir); err == nil && len(left) > 0 {
			err = fmt.Errorf("left behind in %s: %s", t.l.s.dir(), strings.Join(left, " "))
		}
	}
	return err
}

// within gives up on f after a time; then the sweep must end, for f goes on.
func within(limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return broken{fmt.Errorf("not finished after %v", limit)}
	}
}

// apart is a world in a process of its own.
type apart struct {
	proc    *os.Process
	out     output
	replies *os.File
	lines   *bufio.Reader
	orders  *os.File
}

func (t *trial) buildApart() error {
	out, err := newOutput()
	if err != nil {
		return err
	}
	a := &apart{out: out}
	t.apart = a
	var toReply, toRead *os.File
	if a.replies, toReply, err = os.Pipe(); err != nil {
		return err
	}
	defer toReply.Close()
	if toRead, a.orders, err = os.Pipe(); err != nil {
		return err
	}
	defer toRead.Close()
	b := t.brief("world")
	a.proc, err = t.l.tracer.Spawn(trace.Command{
		Path: self, Env: b.environment(), Stdout: out.printed, Stderr: out.printed,
		Files: append(t.files(out), toReply, toRead),
	})
	if err != nil {
		return err
	}
	a.lines = bufio.NewReader(a.replies)
	t.world.Scratch, err = a.reply()
	return err
}

// reply reads what World or After returned.
func (a *apart) reply() (string, error) {
	a.replies.SetReadDeadline(time.Now().Add(worldLimit))
	line, err := a.lines.ReadBytes('\n')
	var r worldReply
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		return "", fmt.Errorf("no reply: %w\n%s%s", err, content(a.out.verdict, maxOutput), clip(content(a.out.printed, maxOutput)))
	}
	if r.Error != "" {
		return "", errors.New(r.Error)
	}
	return r.Scratch, nil
}

func (t *trial) tidyApart() (err error) {
	a := t.apart
	defer a.out.close()
	if t.built {
		if _, werr := a.orders.WriteString("after\n"); werr == nil {
			_, err = a.reply()
		}
	}
	for _, f := range []*os.File{a.orders, a.replies} {
		if f != nil {
			f.Close()
		}
	}
	if a.proc != nil {
		if err != nil || !t.built {
			a.proc.Kill()
		}
		a.proc.Wait()
	}
	return err
}
