// Package check explores models of concurrent protocols exhaustively: every interleaving of their steps, with processes
// killed and stopped before any step.
//
// A model is a state, a value without pointers, and the steps that each process may take in it. The exploration is
// breadth-first, so the trace of a failure is a shortest one. Three kinds of properties are checked: of every state, of
// states in which nobody can take a step any more, and progress: from every state, processes that are run without the
// others (one alone, or some in turns) finish within a bounded number of steps. A process that is late by any amount is
// among the interleavings; one that is stopped for good is a fault like a kill.
//
// States are remembered by a fingerprint of 128 bits: with 10^8 states the chance that two share one, so that a state is
// missed, is below 10^-22.
//
// # Concurrency
//
// Explore uses its own goroutines; a model's functions are called by several at once and must not share anything.
//
// # Crash behaviour
//
// None: it lives in one process.
package check

import (
	"hash/maphash"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Model is a protocol and what is claimed of it.
type Model[S comparable] struct {
	Init  S
	Procs []string // names of the processes, for traces

	// Step adds every step that process p may take in s: several if it may choose, none if it has finished or waits. A step
	// that changes nothing is no step.
	Step func(s *S, p int, o *Out[S])
	// Fault adds what may happen to process p before its next step. Nil: nothing.
	Fault func(s *S, p int, o *Out[S])
	// Finished tells whether p need not take a step any more: it has finished, is dead or stopped for good.
	Finished func(s *S, p int) bool

	Check func(s *S) string // of every state: what is wrong, or "". Nil: nothing
	Final func(s *S) string // of states without a step

	// Alone lists sets of processes, as bits, that must be able to finish without all others; a set of several runs in turns.
	Alone func(s *S) []uint32
	Bound int // within so many steps

	// Canon makes of s the one state by which it and its likes are remembered, and returns set with its processes renamed
	// as those of s: processes that are interchangeable, numbers that only have to differ. Nil: each state is its own.
	Canon func(s *S, set uint32) uint32

	Show func(s *S) []string // "name value", for traces
}

// Out collects steps.
type Out[S comparable] struct {
	from  *S
	steps []step[S]
}

type step[S comparable] struct {
	label string
	next  S
	why   string // the step itself is wrong
}

// Go adds a step.
func (o *Out[S]) Go(label string, next S) {
	if next != *o.from {
		o.steps = append(o.steps, step[S]{label: label, next: next})
	}
}

// Fail adds a step that shows what must not be.
func (o *Out[S]) Fail(label, why string) {
	o.steps = append(o.steps, step[S]{label: label, next: *o.from, why: why})
}

func (o *Out[S]) of(s *S, f func(*S, int, *Out[S]), p int) []step[S] {
	o.from, o.steps = s, o.steps[:0]
	if f != nil {
		f(s, p, o)
	}
	return o.steps
}

// A Failure is a property that does not hold, and how it came to that.
type Failure struct {
	Why   string
	Trace []Line
}

// A Line is one step of a trace.
type Line struct{ Proc, Step, Effect string }

// Result is what an exploration found.
type Result struct {
	States  int
	Depth   int // steps to the furthest state
	Ends    int // states in which nobody can take a step
	Longest int // steps of a run without the others
	Failure *Failure
	Cut     bool // there were more states than the limit
	Time    time.Duration
}

// Limit bounds the number of states.
const Limit = 60_000_000

type key [2]uint64

type node[S comparable] struct {
	s  S
	id uint32
}

// origin tells how a state was reached first: from which one, and by which of the steps that could be taken there.
type origin struct {
	parent uint32
	choice uint16
}

// fresh is a state that was reached for the first time.
type fresh[S comparable] struct {
	s S
	origin
}

type explorer[S comparable] struct {
	m        *Model[S]
	a, b     maphash.Seed
	seen     table
	runs     table // runs without the others that finish, with their lengths
	log      []origin
	ends     atomic.Int64
	longest  atomic.Int64
	mu       sync.Mutex
	failure  *Failure
	failedAt uint32
	failed   atomic.Bool
}

// Explore explores all states of m.
func Explore[S comparable](m *Model[S]) Result {
	e := &explorer[S]{m: m, a: maphash.MakeSeed(), b: maphash.MakeSeed(), log: []origin{{}}}
	start := time.Now()
	r := Result{States: 1}
	e.seen.add(e.key(&m.Init), 0)
	level := []node[S]{{m.Init, 0}}
	for !e.failed.Load() && !r.Cut {
		if level = e.expand(level); len(level) == 0 {
			break
		}
		r.Depth++
		r.States += len(level)
		r.Cut = r.States > Limit
	}
	r.Ends, r.Longest, r.Time = int(e.ends.Load()), int(e.longest.Load()), time.Since(start)
	if r.Failure = e.failure; r.Failure != nil {
		r.Failure.Trace = append(e.path(e.failedAt), r.Failure.Trace...)
	}
	return r
}

// expand takes all steps of all states of a level and returns the next one.
func (e *explorer[S]) expand(level []node[S]) (next []node[S]) {
	const chunk = 128
	workers := min(runtime.GOMAXPROCS(0), (len(level)+chunk-1)/chunk)
	found := make([][]fresh[S], workers)
	var at atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			x := &worker[S]{explorer: e}
			for !e.failed.Load() {
				from := int(at.Add(chunk)) - chunk
				if from >= len(level) {
					break
				}
				for i := range level[from:min(from+chunk, len(level))] {
					x.visit(&level[from+i])
				}
			}
			found[w] = x.fresh
		})
	}
	wg.Wait()
	total := 0
	for _, f := range found {
		total += len(f)
	}
	next = make([]node[S], 0, total)
	for _, list := range found {
		for i := range list {
			next = append(next, node[S]{list[i].s, uint32(len(e.log))})
			e.log = append(e.log, list[i].origin)
		}
	}
	return next
}

type worker[S comparable] struct {
	*explorer[S]
	out   Out[S]
	fresh []fresh[S]
	deep  []*Out[S] // of runs, by depth
}

// visit checks a state and takes all its steps.
func (w *worker[S]) visit(n *node[S]) {
	m := w.m
	if m.Check != nil {
		if why := m.Check(&n.s); why != "" {
			w.fail(n.id, why, nil)
			return
		}
	}
	choice, moves := uint16(0), false
	for p := range m.Procs {
		for _, st := range w.out.of(&n.s, m.Step, p) {
			if st.why != "" {
				w.fail(n.id, st.why, []Line{{m.Procs[p], st.label, ""}})
				return
			}
			moves = true
			w.add(n.id, &st.next, choice)
			choice++
		}
	}
	if !moves {
		w.ends.Add(1)
		for p := range m.Procs {
			if !m.Finished(&n.s, p) {
				w.fail(n.id, m.Procs[p]+" cannot go on, and nobody else can take a step", nil)
				return
			}
		}
		if m.Final != nil {
			if why := m.Final(&n.s); why != "" {
				w.fail(n.id, why, nil)
				return
			}
		}
	}
	for p := range m.Procs {
		for _, st := range w.out.of(&n.s, m.Fault, p) {
			w.add(n.id, &st.next, choice)
			choice++
		}
	}
	if m.Alone != nil {
		for _, set := range m.Alone(&n.s) {
			length, why, trace := w.run(runOf[S]{n.s, set, 0}, 0)
			if why != "" {
				slices.Reverse(trace)
				w.fail(n.id, why, trace)
				return
			}
			for old := w.longest.Load(); int64(length) > old && !w.longest.CompareAndSwap(old, int64(length)); old = w.longest.Load() {
			}
		}
	}
}

func (w *worker[S]) add(from uint32, s *S, choice uint16) {
	if w.seen.add(w.key(s), 0) {
		w.fresh = append(w.fresh, fresh[S]{*s, origin{from, choice}})
	}
}

// runOf is a state, the processes that run from it, and whose turn it is.
type runOf[S comparable] struct {
	s    S
	set  uint32
	turn int8
}

// run runs a set of processes in turns until all have finished, whatever they choose, and returns the most steps it takes.
// Runs that lead to where another has been are known.
func (w *worker[S]) run(r runOf[S], depth int) (length int, why string, trace []Line) {
	m := w.m
	k := w.runKey(&r)
	if n, ok := w.runs.get(k); ok {
		return int(n), "", nil
	}
	if depth > m.Bound {
		return 0, w.names(r.set) + " without the others: not finished after the bound of steps", nil
	}
	if depth == len(w.deep) {
		w.deep = append(w.deep, &Out[S]{})
	}
	out := w.deep[depth]
	n := len(m.Procs)
	for i := range n {
		p := (int(r.turn) + i) % n
		if r.set&(1<<p) == 0 {
			continue
		}
		turn := int8(p + 1)
		if r.set == 1<<p || int(turn) == n {
			turn = 0
		}
		steps := out.of(&r.s, m.Step, p)
		for j := range steps {
			st := &steps[j]
			if st.why != "" {
				return 0, st.why, []Line{{m.Procs[p], st.label, ""}}
			}
			l, why, trace := w.run(runOf[S]{st.next, r.set, turn}, depth+1)
			if why != "" {
				return 0, why, append(trace, w.line(&r.s, m.Procs[p], st))
			}
			length = max(length, l+1)
		}
		if len(steps) > 0 {
			w.runs.add(k, uint16(length))
			return length, "", nil
		}
	}
	for p := range n {
		if r.set&(1<<p) != 0 && !m.Finished(&r.s, p) {
			return 0, m.Procs[p] + " cannot go on without the others", nil
		}
	}
	w.runs.add(k, 0)
	return 0, "", nil
}

func (w *worker[S]) names(set uint32) string {
	var all []string
	for p, name := range w.m.Procs {
		if set&(1<<p) != 0 {
			all = append(all, name)
		}
	}
	return strings.Join(all, ", ")
}

func (e *explorer[S]) fail(at uint32, why string, trace []Line) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure == nil {
		e.failure, e.failedAt = &Failure{Why: why, Trace: trace}, at
		e.failed.Store(true)
	}
}

// path takes the steps that led to a state once more.
func (e *explorer[S]) path(id uint32) []Line {
	var choices []uint16
	for ; id != 0; id = e.log[id].parent {
		choices = append(choices, e.log[id].choice)
	}
	slices.Reverse(choices)
	s := e.m.Init
	var trace []Line
	for _, c := range choices {
		st, proc := e.choose(&s, int(c))
		trace = append(trace, e.line(&s, proc, st))
		s = st.next
	}
	return trace
}

func (e *explorer[S]) choose(s *S, c int) (*step[S], string) {
	for _, f := range []func(*S, int, *Out[S]){e.m.Step, e.m.Fault} {
		for p, name := range e.m.Procs {
			var out Out[S]
			steps := out.of(s, f, p)
			if c < len(steps) {
				return &steps[c], name
			}
			c -= len(steps)
		}
	}
	panic("check: a model's steps are not the same each time")
}

// line describes a step by what it changes.
func (e *explorer[S]) line(s *S, proc string, st *step[S]) Line {
	var effect []string
	was, is := e.m.Show(s), e.m.Show(&st.next)
	for i := range is {
		if i < len(was) && was[i] != is[i] {
			name, value, _ := strings.Cut(is[i], " ")
			_, old, _ := strings.Cut(was[i], " ")
			effect = append(effect, name+": "+old+" -> "+value)
		}
	}
	return Line{proc, st.label, strings.Join(effect, "; ")}
}

func (e *explorer[S]) key(s *S) key {
	x := *s
	if e.m.Canon != nil {
		e.m.Canon(&x, 0)
	}
	return key{maphash.Comparable(e.a, x) | 1, maphash.Comparable(e.b, x)}
}

func (e *explorer[S]) runKey(r *runOf[S]) key {
	x := *r
	if e.m.Canon != nil {
		x.set = e.m.Canon(&x.s, r.set)
	}
	return key{maphash.Comparable(e.a, x) | 1, maphash.Comparable(e.b, x)}
}
