package sweep

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"syscall"

	"github.com/tandem-ipc/tandem/attack/trace"
)

// roleVariable makes a process of this binary a role.
const roleVariable = "TANDEM_ATTACK_ROLE"

// brief is what that variable holds.
type brief struct {
	Role      string // victim, others, recover, world, helper
	Helper    string `json:",omitempty"`
	Op        string
	Mode      Mode
	Point     string
	Dir       string
	Scratch   string
	OthersRan bool `json:",omitempty"`
	Pair      bool `json:",omitempty"` // there is a B
}

// inherited are descriptors 3 and up of a role. They stay reachable, or their finalizers would close them.
var inherited [5]*os.File

const (
	journalFile = iota
	otherFile   // B's journal
	verdictFile
	replyFile  // world and helper: lines to the orchestrator
	ordersFile // world: lines from it
)

// Exit status of a role that has a verdict, in descriptor 5.
const exitVerdict = 3

// Init runs a role, and does not return, in a process that a sweep started. Everywhere else it returns at once.
func Init(s *Suite) {
	text, ok := os.LookupEnv(roleVariable)
	if !ok {
		return
	}
	os.Unsetenv(roleVariable) // a child of a role is no role
	var b brief
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		fmt.Fprintf(os.Stderr, "sweep: %s=%q: %v\n", roleVariable, text, err)
		os.Exit(2)
	}
	if s.DirVariable != "" {
		os.Setenv(s.DirVariable, b.Dir)
	}
	for fd := range inherited {
		syscall.CloseOnExec(fd + 3)
		inherited[fd] = os.NewFile(uintptr(fd+3), "descriptor of the sweep")
	}
	if err := b.run(s); err != nil {
		inherited[verdictFile].WriteAt([]byte(err.Error()), 0)
		os.Exit(exitVerdict)
	}
	os.Exit(0)
}

func (b *brief) run(s *Suite) error {
	op := s.op(b.Op)
	if op == nil {
		return fmt.Errorf("sweep: no operation %s", b.Op)
	}
	journal, err := mapJournal(inherited[journalFile])
	if err != nil {
		return err
	}
	env := Env{Op: b.Op, Mode: b.Mode, Point: b.Point, Dir: b.Dir, Scratch: b.Scratch, Journal: journal}
	switch b.Role {
	case "victim":
		return runVictim(op, &VictimEnv{Env: env})
	case "others", "recover":
		survivor := &SurvivorEnv{Env: env, OthersRan: b.OthersRan}
		if b.Pair {
			if survivor.Other, err = mapJournal(inherited[otherFile]); err != nil {
				return err
			}
		}
		if b.Role == "others" {
			return op.Others(survivor)
		}
		return op.Recover(survivor)
	case "helper":
		f := op.Helpers[b.Helper]
		if f == nil {
			return fmt.Errorf("sweep: %s has no helper %q", op.Name, b.Helper)
		}
		return f(&HelperEnv{Env: env, ready: func() { fmt.Fprintln(inherited[replyFile], "ready") }})
	case "world":
		return runWorld(op, env)
	}
	return fmt.Errorf("sweep: no role %q", b.Role)
}

func runVictim(op *Op, v *VictimEnv) error {
	f, err := op.Victim(v)
	if err != nil {
		return fmt.Errorf("cannot prepare: %w", err)
	}
	trace.Operation(func() {
		if err = f(); err == nil {
			v.Journal.setReturned()
		}
	})
	for i := len(v.deferred) - 1; i >= 0; i-- {
		v.deferred[i]()
	}
	if err != nil {
		return fmt.Errorf("operation failed: %w", err)
	}
	return nil
}

// worldReply is a line from a world of its own process.
type worldReply struct{ Scratch, Error string }

// runWorld builds the world, waits for the trial to be over, and tidies up.
func runWorld(op *Op, env Env) error {
	t, err := trace.NewTracer(-1)
	if err != nil {
		return err
	}
	defer t.Close()
	w := &World{Env: env, starter: t, journal: inherited[journalFile]}
	replies := json.NewEncoder(inherited[replyFile])
	reply := func(err error) error {
		r := worldReply{Scratch: w.Scratch}
		if err != nil {
			r.Error = err.Error()
		}
		return replies.Encode(r)
	}
	err = op.World(w)
	if err := reply(err); err != nil {
		return err
	}
	if err != nil {
		return nil // said already
	}
	if !bufio.NewScanner(inherited[ordersFile]).Scan() {
		return nil // the orchestrator is gone
	}
	w.killHelpers()
	if op.After == nil {
		return reply(nil)
	}
	return reply(op.After(w))
}
