package policy

import (
	"fmt"
	"math/bits"
	"time"
)

// A Machine is what the policy depends on. 0 is unknown everywhere.
type Machine struct {
	Cores    int     // logical processors that the process can keep busy: the least of affinity, quota and GOMAXPROCS
	Affinity int     // logical processors that it may run on
	Quota    float64 // of its control group, in processors; 0: none
	Threads  int     // logical processors of one core (SMT)

	L1, L2, L3 int // data caches that one processor reaches, in bytes

	Model   string // for people
	CLib    bool   // this build can call C
	Amd64   bool   // … and has the copies in amd64 assembly
	ERMS    bool   // rep movsb is fast for large blocks
	FSRM    bool   // … and for short ones
	Virtual bool   // under a hypervisor

	Wake time.Duration // from a wake-up to the woken thread running
	Poll time.Duration // one spin-wait hint
}

// A Policy is what to do on a machine.
type Policy struct {
	// Wait is how objects wait that were not told: auto, block or spin.
	Wait Setting[string]
	// Spin is how long auto polls before it sleeps; 0: not at all.
	Spin Setting[time.Duration]
	// Spinners is how many waiters of a process may poll at once; the others sleep.
	Spinners Setting[int]
	// Ring is the capacity in bytes of a ring whose user did not ask for one, a power of two.
	Ring Setting[int]
	// Publish is how often in a lap a consumer tells the producer how far it is: every 1/Publish of the ring.
	Publish Setting[int]
	// Copy is how blocks of CopyFrom bytes and more are copied. Smaller ones are left to Go.
	Copy Setting[Method]

	Machine Machine // that it was made for
}

// A Setting is one part of a policy.
type Setting[T any] struct {
	Value  T
	Source Source
}

// A Source tells where a setting comes from.
type Source string

// The sources.
const (
	Computed    Source = "computed"
	Environment Source = "environment"
)

// A Method is a way to copy a large block.
type Method string

// The methods. Where a build or a processor lacks one, it cannot be chosen.
const (
	CopyGo    Method = "go"    // the runtime's memmove
	CopyC     Method = "c"     // the C library's memcpy, at the price of a crossing
	CopyMovsb Method = "movsb" // rep movsb: whole lines, unread, at the processor's discretion
)

// CopyFrom is from how many bytes on a Method other than Go's may be worth it.
const CopyFrom = 8 << 10

// Methods are those that this machine has, the plainest first.
func (m Machine) Methods() []Method {
	all := []Method{CopyGo}
	if m.CLib {
		all = append(all, CopyC)
	}
	if m.Amd64 {
		all = append(all, CopyMovsb)
	}
	return all
}

const (
	assumedWake = 10 * time.Microsecond // until it is measured
	leastWake   = time.Microsecond
	mostWake    = 50 * time.Microsecond

	leastRing = 64 << 10
	mostRing  = 256 << 10
	publish   = 8

	ringsInSpace = 512
)

// For is the policy for a machine.
func For(m Machine) Policy {
	return Policy{
		Wait:     computed("auto"),
		Spin:     computed(spin(m)),
		Spinners: computed(spinners(m)),
		Ring:     computed(ring(m)),
		Publish:  computed(publish),
		Copy:     computed(method(m)),
		Machine:  m,
	}
}

func computed[T any](v T) Setting[T] { return Setting[T]{v, Computed} }

// spin: a waiter that polls as long as a sleep would cost spends at most twice what the best choice would have (the ski
// rental argument); half as much again lets it catch a peer that had to be woken itself. With one processor the peer cannot
// run while we poll.
func spin(m Machine) time.Duration {
	if m.Cores < 2 {
		return 0
	}
	wake := m.Wake
	if wake == 0 {
		wake = assumedWake
	}
	return min(max(wake, leastWake), mostWake) * 5 / 2
}

// spinners: one for each processor. Who polls gives most of a core to its other threads (PAUSE), so those count in full.
func spinners(m Machine) int {
	if m.Cores < 2 {
		return 0
	}
	return m.Cores
}

// ring: a quarter of the cache that a core has to itself. Larger rings save switches where the two sides share processors, and
// cost memory.
func ring(m Machine) int {
	if m.L2 == 0 {
		return mostRing
	}
	return min(max(1<<(bits.Len(uint(m.L2))-3), leastRing), mostRing) // rounded down to a power of two
}

// RingIn is Ring in a Space of so many bytes: unless somebody asked for it, no ring takes more than 1/512 of them.
func (p *Policy) RingIn(limit int64) int {
	n := p.Ring.Value
	for p.Ring.Source == Computed && n > LeastRing && int64(n) > limit/ringsInSpace {
		n /= 2
	}
	return n
}

// method: the C library's memcpy is chosen for the processor, by who knows more of them than we do. Without it, what it mostly
// chooses where the processor says that it is good at it.
func method(m Machine) Method {
	switch {
	case m.CLib:
		return CopyC
	case m.Amd64 && m.ERMS:
		return CopyMovsb
	}
	return CopyGo
}

// A Line is a setting as a person reads it.
type Line struct {
	Name, Variable, Value string
	Source                Source
}

// Settings are all parts of the policy.
func (p Policy) Settings() []Line {
	return []Line{
		line("wait", EnvWait, p.Wait),
		line("spin", EnvSpin, p.Spin),
		line("spinners", EnvSpinners, p.Spinners),
		line("ring", EnvRing, p.Ring),
		line("publish", EnvPublish, p.Publish),
		line("copy", EnvCopy, p.Copy),
	}
}

func line[T any](name, variable string, s Setting[T]) Line {
	return Line{name, variable, fmt.Sprint(s.Value), s.Source}
}
