// Package model has Tandem's protocols in shared memory as models, step for step, and explores them exhaustively: every
// interleaving, with processes killed or stopped for good before any step. A model says what it takes from which file of
// the code; the code is the source of truth, and a change there belongs here too.
//
// A model is explored in some configurations, in which all properties must hold, and in mutants: the protocol with one
// thing done wrong, as somebody might have written it, each of which must break a property. A mutant that is not caught
// shows that the model cannot see what it claims.
//
// Memory is sequentially consistent, but for the wait model, which has store buffers. One step is one access to what is
// shared: a load, a store, a CAS, a system call.
//
// # Concurrency
//
// A Case uses all processors; run one at a time.
//
// # Crash behaviour
//
// Nothing outlives the process.
package model

import (
	"fmt"

	"github.com/tandem-ipc/tandem/attack/model/check"
)

// A Case is one exploration.
type Case struct {
	Model  string
	Config string // who takes part, how many faults
	Mutant string // what is done wrong; "": nothing
	Full   bool   // takes long: only on request

	explore func() check.Result
}

// Explore runs the case.
func (c Case) Explore() check.Result { return c.explore() }

// Name names the case for people and for selecting it.
func (c Case) Name() string {
	if c.Mutant != "" {
		return c.Model + "/" + c.Mutant
	}
	return c.Model + " " + c.Config
}

// Cases lists all cases, model by model: first the configurations, then the mutants.
func Cases() []Case {
	var all []Case
	for _, f := range []func() []Case{heapCases, setsCases, nameCases, lifeCases, ringCases, waitCases, bellCases, dirCases, bigCases} {
		all = append(all, f()...)
	}
	return all
}

// What has happened to a process.
const (
	running = iota
	killed
	stopped // for good: alive for the kernel, never seen again
)

// faults counts down what may still happen.
type faults struct{ kills, stops uint8 }

// upTo describes faults in the name of a configuration.
func (f faults) String() string {
	return fmt.Sprintf("kills<=%d stops<=%d", f.kills, f.stops)
}

// alone is a set of bits for each of the processes below n for which f holds: who must finish alone.
func alone(n int, f func(p int) bool) []uint32 {
	sets := make([]uint32, 0, n)
	for p := range n {
		if f(p) {
			sets = append(sets, 1<<p)
		}
	}
	return sets
}

// A renaming gives numbers that are only compared for being equal the smallest ones that do, in the order they are met.
// 0 is none and stays.
type renaming struct {
	old [12]uint8
	n   uint8
}

func (r *renaming) to(x *uint8) {
	if *x == 0 {
		return
	}
	for i := range r.n {
		if r.old[i] == *x {
			*x = i + 1
			return
		}
	}
	r.old[r.n] = *x
	r.n++
	*x = r.n
}

func swapBits(set uint32, i, j int) uint32 {
	a, b := set>>i&1, set>>j&1
	return set&^(1<<i|1<<j) | a<<j | b<<i
}
