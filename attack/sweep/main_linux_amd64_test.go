package sweep_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/attack/internal/leftover"
	"github.com/tandem-ipc/tandem/attack/internal/toy"
	"github.com/tandem-ipc/tandem/attack/sweep"
)

func TestMain(m *testing.M) {
	sweep.Init(suite())
	dir, err := os.MkdirTemp("", "attack-sweep-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	os.Setenv(toy.RunVariable, fmt.Sprint(os.Getpid()))
	status := leftover.Run(m.Run, toy.Prefix(), trialDirs())
	os.RemoveAll(dir)
	os.Exit(status)
}

// trialDirs begin like this.
func trialDirs() string { return fmt.Sprintf("attack-trial-%d-", os.Getpid()) }

// suite is the toys, and operations that go wrong in other ways than by their kill points.
func suite() *sweep.Suite {
	s := toy.Suite()
	if os.Getenv(testSuite) != "" {
		return directories(s)
	}
	fine := func(*sweep.SurvivorEnv) error { return nil }
	right := s.Ops[slices.IndexFunc(s.Ops, func(op sweep.Op) bool { return op.Name == "toy/right" })]
	with := func(name string, change func(*sweep.Op)) sweep.Op {
		op := right
		op.Name = name
		change(&op)
		return op
	}
	s.Ops = append(s.Ops,
		with("odd/crash", func(op *sweep.Op) {
			op.Victim = func(*sweep.VictimEnv) (func() error, error) { return func() error { panic("as expected") }, nil }
		}),
		with("odd/fails", func(op *sweep.Op) {
			op.Victim = func(*sweep.VictimEnv) (func() error, error) {
				return func() error { return errors.New("cannot") }, nil
			}
		}),
		with("odd/unprepared", func(op *sweep.Op) {
			op.Victim = func(*sweep.VictimEnv) (func() error, error) { return nil, errors.New("not today") }
		}),
		with("odd/no-world", func(op *sweep.Op) {
			op.World = func(*sweep.World) error { return errors.New("no world") }
			op.After = func(*sweep.World) error { panic("After of a world that was not built") }
		}),
		with("odd/no-world-apart", func(op *sweep.Op) {
			op.Apart = true
			op.World = func(*sweep.World) error { return errors.New("no world") }
			op.After = func(*sweep.World) error { panic("After of a world that was not built") }
		}),
		with("odd/after-fails", func(op *sweep.Op) {
			op.After = func(w *sweep.World) error { return errors.Join(os.Remove(w.Scratch), errors.New("something is left")) }
		}),
		with("odd/after-fails-apart", func(op *sweep.Op) {
			op.Apart = true
			op.After = func(w *sweep.World) error { return errors.Join(os.Remove(w.Scratch), errors.New("something is left")) }
		}),
		with("odd/fickle", func(op *sweep.Op) { // three stores when recorded, one when attacked
			op.Victim = func(v *sweep.VictimEnv) (func() error, error) {
				r, err := toy.Open(v.Scratch)
				n := 1
				if v.Mode == sweep.Plain {
					n = 3
				}
				return func() error {
					for i := range n {
						r.Words[i].Store(1)
					}
					return nil
				}, err
			}
			op.Others, op.Recover = nil, fine
		}),
		with("odd/orphan", func(op *sweep.Op) {
			op.Recover = func(*sweep.SurvivorEnv) error {
				return exec.Command("/bin/sh", "-c", "sleep 600 </dev/null >/dev/null 2>&1 &").Run()
			}
			op.Others = nil
		}),
		with("odd/helper-fails", func(op *sweep.Op) {
			op.World = func(w *sweep.World) error { _, err := w.Start("bad"); return err }
			op.After = nil
			op.Helpers = map[string]func(*sweep.HelperEnv) error{
				"bad": func(*sweep.HelperEnv) error { return errors.New("bad helper") },
			}
		}),
		with("odd/journal", func(op *sweep.Op) {
			op.Victim = func(v *sweep.VictimEnv) (func() error, error) {
				r, err := toy.Open(v.Scratch)
				return func() error {
					v.Journal.Set(3, 30)
					r.Words[0].Store(42)
					v.Journal.SetText("one")
					r.Words[1].Store(1)
					return nil
				}, err
			}
			op.Others = nil
			op.Recover = func(s *sweep.SurvivorEnv) error {
				return fmt.Errorf("journal: %d %q returned=%v, mode %s, at %.5s", s.Journal.Get(3), s.Journal.Text(),
					s.Journal.Returned(), s.Mode, s.Point)
			}
		}),
		with("odd/witness", witness),
		with("odd/late-crash", func(op *sweep.Op) {
			op.Recover = func(s *sweep.SurvivorEnv) error {
				if s.Mode == sweep.Kill {
					panic("recovery is not robust")
				}
				return nil
			}
		}),
	)
	s.Pairs = append(s.Pairs,
		sweep.Pair{Name: "odd-pair/beside", A: "odd/witness", B: "odd/witness"},
		sweep.Pair{Name: "odd-pair/sequel", A: "odd/witness", B: "odd/witness", Sequel: true},
	)
	return s
}

// witness looks at what is done to the victims, which leave their numbers.
func witness(op *sweep.Op) {
	op.Victim = func(v *sweep.VictimEnv) (func() error, error) {
		r, err := toy.Open(v.Scratch)
		v.Journal.Set(0, uint64(os.Getpid()))
		return func() error {
			r.Words[0].Add(1)
			r.Words[1].Add(1)
			return nil
		}, err
	}
	op.Others = func(s *sweep.SurvivorEnv) error {
		stopped := s.Journal // in a pair that one is dead
		if s.Other != nil {
			stopped = s.Other
			if err := gone(s.Journal); err != nil {
				return err
			}
		}
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", stopped.Get(0)))
		if err != nil || len(threads) < 2 {
			return fmt.Errorf("victim has threads %q, %w", threads, err)
		}
		for _, stat := range threads {
			b, _ := os.ReadFile(stat)
			if state := b[bytes.LastIndexByte(b, ')')+2]; state != 'T' && state != 't' {
				return fmt.Errorf("thread %s is not stopped: %c", stat, state)
			}
		}
		return nil
	}
	op.Recover = func(s *sweep.SurvivorEnv) error {
		if s.Other != nil {
			if err := gone(s.Other); err != nil {
				return err
			}
		}
		return gone(s.Journal)
	}
}

func gone(j *sweep.Journal) error {
	pid := int(j.Get(0))
	if err := syscall.Kill(pid, 0); pid == 0 || err != syscall.ESRCH {
		return fmt.Errorf("victim %d is not gone: %v", pid, err)
	}
	return nil
}

// testSuite chooses another suite, in this process and its roles.
const testSuite = "ATTACK_TEST_SUITE"

// directories is for trials with a directory of their own.
func directories(s *sweep.Suite) *sweep.Suite {
	const variable = "ATTACK_TOY_DIR"
	check := func(dir string) error {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if os.Getenv(variable) != dir || err != nil || len(names) != 1 {
			return fmt.Errorf("%s=%s, should be %s; in it %q", variable, os.Getenv(variable), dir, names)
		}
		return nil
	}
	op := s.Ops[slices.IndexFunc(s.Ops, func(op sweep.Op) bool { return op.Name == "toy/right" })]
	op.Name = "dir/right"
	victim, others := op.Victim, op.Others
	op.Victim = func(v *sweep.VictimEnv) (func() error, error) {
		if err := check(v.Dir); err != nil {
			return nil, err
		}
		return victim(v)
	}
	op.Others = func(s *sweep.SurvivorEnv) error { return errors.Join(check(s.Dir), others(s)) }
	litter := op
	litter.Name, litter.After = "dir/litter", nil
	return &sweep.Suite{Ops: []sweep.Op{op, litter}, DirVariable: variable}
}

const guardTime = 8 * time.Minute // an instruction may take 100 µs

func guardContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guardTime)
	t.Cleanup(cancel)
	return ctx
}

// run sweeps the operations or pairs of that name, and returns what was printed too.
func run(t *testing.T, name string, o sweep.Options) (sweep.OpReport, string) {
	t.Helper()
	var out bytes.Buffer
	o.Only = regexp.MustCompile("^" + regexp.QuoteMeta(name) + "$")
	o.Out = &out
	rep, err := sweep.Run(guardContext(t), suite(), o)
	if err != nil {
		t.Fatal(err)
	}
	rep.Write(&out)
	if len(rep.Ops) != 1 {
		t.Fatalf("%d operations are named %s", len(rep.Ops), name)
	}
	return rep.Ops[0], out.String()
}

// requireClean fails unless all points were tried and none violated.
func requireClean(t *testing.T, rep sweep.OpReport, out string) {
	t.Helper()
	if rep.Err != nil || len(rep.Violations) > 0 || len(rep.Missed) > 0 || rep.Tried != rep.Found || rep.Trials == 0 {
		t.Errorf("%s is not clean:\n%s", rep.Name, out)
	}
}

var (
	buildDir  string
	buildOnce sync.Once
	buildErr  error
)

// command builds the sweep command over the toys, once.
func command(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(buildDir, "toy")
	buildOnce.Do(func() {
		out, err := exec.Command("go", "build", "-o", binary, "../internal/toy/cmd/toy").CombinedOutput()
		if err != nil {
			buildErr = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return binary
}

// call runs the command and wants an exit status.
func call(t *testing.T, status int, args ...string) string {
	t.Helper()
	return callShell(t, status, exec.CommandContext(guardContext(t), command(t), args...))
}

func callShell(t *testing.T, status int, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
		t.Errorf("%q: %v, want exit status %d\n%s", cmd.Args, err, status, out)
	}
	return string(out)
}

func verdicts(rep sweep.OpReport) string {
	var b strings.Builder
	for _, v := range rep.Violations {
		fmt.Fprintf(&b, "%s %s: %s\n", v.Mode, v.Detail, v.Verdict)
	}
	return b.String()
}
