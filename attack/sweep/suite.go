package sweep

import (
	"fmt"
	"time"

	"github.com/tandem-ipc/tandem/attack/internal/mutant"
)

// Op is an operation under attack. World and Victim and Recover are required.
type Op struct {
	Name string   // "heap/alloc-small"
	C    []string // functions in which every instruction is a point: see trace.Options.Code

	// World builds what the operation works on, in the orchestrator. One that fails takes back what it did itself.
	World func(w *World) error
	// Victim prepares, in a fresh process, and returns what is attacked. It is recorded in mode Plain.
	Victim func(v *VictimEnv) (op func() error, err error)
	// Others is what everybody else must be able to do while the victim is stopped for good. Without it there are no
	// modes Stop and Resume.
	Others func(s *SurvivorEnv) error
	// Recover recovers, in a fresh process when the victim is gone, and is the oracle: its error is the verdict.
	Recover func(s *SurvivorEnv) error
	// After tidies up where World ran; its error is a verdict too, such as something left. It may be nil.
	After func(w *World) error

	// Helpers are processes that World can start.
	Helpers map[string]func(h *HelperEnv) error

	// Apart runs World and After in a fresh process for each trial.
	Apart bool

	// Limit is how long Others and Recover may take. Default 2 s.
	Limit time.Duration
}

// Pair is two operations in one world. World, Others, Recover, After, Apart, Limit and Helpers are A's, unless set here.
// Recover sees A's journal, and B's as Other.
type Pair struct {
	Name string
	A, B string // names of Ops

	// Sequel: A is killed first, then B begins, and is killed too. Otherwise both are prepared, B is stopped, A is killed,
	// Others run, B runs on and must finish its operation, and Recover judges. A point that one does not come to because
	// of the other counts as missed, but what came of it is judged as well.
	Sequel bool

	World   func(w *World) error
	Others  func(s *SurvivorEnv) error
	Recover func(s *SurvivorEnv) error
	After   func(w *World) error
}

// Mutant is a change that a sweep must catch.
type Mutant = mutant.Mutant

// Suite is everything that a command can run.
type Suite struct {
	Ops     []Op
	Pairs   []Pair
	Mutants []Mutant

	// Dir holds the shared files. Default /dev/shm.
	Dir string

	// DirVariable is the environment variable by which the project under attack can be told another directory. Then
	// every trial has one of its own, below Dir: it sees nobody else's files, and a name that is left in it after After
	// is a violation. All operations are Apart then, as an environment belongs to a process.
	DirVariable string
}

// Mode is what happens to the victim at a point.
type Mode string

const (
	Plain  Mode = "plain" // nothing
	Kill   Mode = "kill"
	Stop   Mode = "stop"
	Resume Mode = "resume"
)

const defaultLimit = 2 * time.Second

func (s *Suite) dir() string {
	if s.Dir == "" {
		return "/dev/shm"
	}
	return s.Dir
}

// op finds an operation, or the operation that a pair amounts to.
func (s *Suite) op(name string) *Op {
	for i := range s.Ops {
		if s.Ops[i].Name == name {
			return &s.Ops[i]
		}
	}
	for i := range s.Pairs {
		if p := &s.Pairs[i]; p.Name == name {
			return s.pairOp(p)
		}
	}
	return nil
}

// pairOp is A's operation with what the pair sets.
func (s *Suite) pairOp(p *Pair) *Op {
	a := s.op(p.A)
	if a == nil {
		return nil
	}
	op := *a
	op.Name = p.Name
	if p.World != nil {
		op.World = p.World
	}
	if p.Others != nil {
		op.Others = p.Others
	}
	if p.Recover != nil {
		op.Recover = p.Recover
	}
	if p.After != nil {
		op.After = p.After
	}
	return &op
}

// check refuses a suite that cannot be run.
func (s *Suite) check() error {
	names := make(map[string]bool)
	add := func(name string) error {
		if name == "" || names[name] {
			return fmt.Errorf("sweep: name %q is empty or used twice", name)
		}
		names[name] = true
		return nil
	}
	for _, op := range s.Ops {
		if err := add(op.Name); err != nil {
			return err
		}
		if op.World == nil || op.Victim == nil || op.Recover == nil {
			return fmt.Errorf("sweep: %s lacks World, Victim or Recover", op.Name)
		}
	}
	for _, p := range s.Pairs {
		if err := add(p.Name); err != nil {
			return err
		}
		if s.op(p.A) == nil || s.op(p.B) == nil {
			return fmt.Errorf("sweep: %s: no operation %s or %s", p.Name, p.A, p.B)
		}
	}
	for _, m := range s.Mutants {
		if err := add(m.Name); err != nil {
			return err
		}
	}
	return nil
}

func (op *Op) limit() time.Duration {
	if op.Limit == 0 {
		return defaultLimit
	}
	return op.Limit
}
