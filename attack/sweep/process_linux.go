package sweep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-ipc/tandem/attack/trace"
	"golang.org/x/sys/unix"
)

// output is what a role leaves: its verdict, and whatever it printed.
type output struct{ verdict, printed *os.File }

func newOutput() (o output, err error) {
	if o.verdict, err = newMemory("verdict", 0); err != nil {
		return o, err
	}
	if o.printed, err = newMemory("output", 0); err != nil {
		o.verdict.Close()
	}
	return o, err
}

func (o output) close() {
	o.verdict.Close()
	o.printed.Close()
}

const maxOutput = 64 << 10

// judge turns the end of a role into an error.
func (o output) judge(ws syscall.WaitStatus) error {
	switch {
	case ws.Exited() && ws.ExitStatus() == 0:
		return nil
	case ws.Exited() && ws.ExitStatus() == exitVerdict:
		return errors.New(content(o.verdict, maxOutput))
	case ws.Exited():
		return fmt.Errorf("crashed, exit status %d:\n%s", ws.ExitStatus(), clip(content(o.printed, maxOutput)))
	}
	return fmt.Errorf("killed, %v:\n%s", ws.Signal(), clip(content(o.printed, maxOutput)))
}

// clip keeps the first lines.
func clip(s string) string {
	const most = 40
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > most {
		lines = append(lines[:most], fmt.Sprintf("… %d more lines", len(lines)-most))
	}
	return strings.Join(lines, "\n")
}

// quitTime is how long a hanging role may take to print its stacks.
const quitTime = 300 * time.Millisecond

// play runs a role of the trial to its end, in a fresh process, for at most limit.
func (t *trial) play(b brief, limit time.Duration) error {
	out, err := newOutput()
	if err != nil {
		return broken{err}
	}
	defer out.close()
	files := t.files(out)
	p, err := t.l.tracer.Spawn(trace.Command{
		Path: self, Env: b.environment(), Files: files, Stdout: out.printed, Stderr: out.printed,
	})
	if err != nil {
		return broken{err}
	}
	done := make(chan *os.ProcessState, 1)
	go func() {
		state, _ := p.Wait()
		done <- state
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case state := <-done:
		return out.judge(state.Sys().(syscall.WaitStatus))
	case <-timer.C:
	case <-t.ctx.Done():
		p.Kill()
		<-done
		return broken{t.ctx.Err()}
	}
	askForStacks(p.Pid)
	select {
	case <-done:
	case <-time.After(quitTime):
		p.Kill()
		<-done
	}
	return hang{fmt.Errorf("hangs: not finished after %v; its stacks:\n%s", limit, clip(stacks(content(out.printed, maxOutput))))}
}

// askForStacks makes a Go process print them and end. What runs just then has a stack to show on its own thread only:
// that is asked.
func askForStacks(pid int) {
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	most, tid := uint64(0), pid
	for _, stat := range stats {
		b, _ := os.ReadFile(stat)
		// 12 (comm) R …: the state, and eleven fields behind it the ticks in user mode.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) < 12 || fields[0] != "R" {
			continue
		}
		if ticks, _ := strconv.ParseUint(fields[11], 10, 64); ticks >= most {
			most = ticks
			tid, _ = strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		}
	}
	unix.Tgkill(pid, tid, unix.SIGQUIT)
}

// files are the descriptors of a survivor.
func (t *trial) files(out output) []*os.File {
	return []*os.File{t.journals[0].file, t.journals[1].file, out.verdict}
}

// broken is an error of the attack, not of what is attacked.
type broken struct{ error }

func (b broken) Unwrap() error { return b.error }

// hang is a role that did not finish.
type hang struct{ error }

// victim is a traced role.
type victim struct {
	*trace.Victim
	out output
}

// start brings a victim to the beginning of its operation. which is the journal it writes.
func (t *trial) start(op string, which int) (*victim, error) {
	out, err := newOutput()
	if err != nil {
		return nil, broken{err}
	}
	b := t.brief("victim")
	b.Op = op
	ctx, cancel := context.WithTimeout(t.ctx, reachLimit)
	defer cancel()
	v, err := t.l.tracer.Start(ctx, trace.Command{
		Path: self, Env: b.environment(), Stdout: out.printed, Stderr: out.printed,
		Files: []*os.File{t.journals[which].file, t.journals[which].file, out.verdict},
	})
	if err != nil {
		defer out.close()
		return nil, broken{fmt.Errorf("%w\n%s%s", err, content(out.verdict, maxOutput), clip(content(out.printed, maxOutput)))}
	}
	t.victims = append(t.victims, &victim{v, out})
	return t.victims[len(t.victims)-1], nil
}

// finish lets a victim that stands at its end go, and returns what became of it.
func (v *victim) finish(ctx context.Context) error {
	if err := v.Detach(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	ws, err := v.Wait(ctx)
	if err != nil {
		return hang{fmt.Errorf("does not exit after its operation: %w", err)}
	}
	return v.out.judge(ws)
}
