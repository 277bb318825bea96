package main

import (
	"fmt"
	"slices"

	"github.com/tandem-ipc/tandem/bench/crows"
)

// Slot is one group's place in the grid: what its rows have in common. Wait is spin for the rows that burn a CPU to wait,
// block for those that sleep; rows of the default policy (auto) stand among the latter.
type Slot struct {
	Bench string
	Case  string
	Size  int
	Batch int
	Wait  string
	Cores int
}

// sources are asked for every slot which rows they have for it. To add rows, write a source and put it here.
var sources = []func(Slot) []*Row{
	tandemRows,
	floorRows,
	ringRows,
	osRows,
	chanRows,
	pythonRows,
	waitingRows,
	policyRows,
}

// slots is the grid. Pairs have two processes, so more than two CPUs change nothing for them; rows with many producers
// and consumers have columns of their own.
func slots() []Slot {
	var all []Slot
	add := func(s Slot) {
		s.Batch = max(s.Batch, 1)
		all = append(all, s)
	}
	add(Slot{Bench: "floor", Case: "cacheline", Size: 8, Wait: "spin", Cores: 2})
	for _, cores := range []int{1, 2} {
		add(Slot{Bench: "floor", Case: "futex", Size: 4, Wait: "block", Cores: cores})
	}
	for _, cores := range []int{1, 2} {
		for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
			add(Slot{Bench: "floor", Case: "copy2", Size: size, Wait: waitFor(cores), Cores: cores})
		}
	}
	add(Slot{Bench: "rtt", Case: "single", Size: 64, Wait: "spin", Cores: 2})
	for _, cores := range []int{1, 2} {
		add(Slot{Bench: "rtt", Case: "single", Size: 64, Wait: "block", Cores: cores})
	}
	for _, bench := range []string{"spsc", "conn"} {
		for _, cores := range []int{1, 2} {
			for _, size := range sizes {
				wait := waitFor(cores)
				if bench == "conn" {
					wait = "block"
				}
				add(Slot{Bench: bench, Case: "single", Size: size, Wait: wait, Cores: cores})
				add(Slot{Bench: bench, Case: "batch", Size: size, Batch: batchOf(size), Wait: wait, Cores: cores})
				add(Slot{Bench: bench, Case: "zerocopy", Size: size, Wait: wait, Cores: cores})
			}
		}
	}
	for _, cores := range []int{1, 2} {
		add(Slot{Bench: "waiters", Size: 8, Wait: "auto", Cores: cores})
	}
	add(Slot{Bench: "idle", Size: 8, Wait: "auto", Cores: 2})
	for _, size := range []int{1 << 20, 64 << 20, 512 << 20} {
		add(Slot{Bench: "recovery", Case: "kill", Size: size, Wait: "auto", Cores: 2})
	}
	return append(all, policySlots()...)
}

// waitFor is how a ring in C waits: on one CPU it gives the CPU to the other end.
func waitFor(cores int) string {
	if cores == 1 {
		return "auto"
	}
	return "spin"
}

// against says which rows of a slot the others are divided by, and which rows of other groups run beside them for that.
func against(s Slot) (impls, beside []string) {
	switch s.Bench {
	case "floor":
		if s.Case == "cacheline" {
			return []string{lineName()}, nil
		}
		if s.Case == "copy2" {
			beside = []string{fmt.Sprintf("floor/c/memcpy/%d/spin/1", s.Size)}
			return beside, beside
		}
	case "spsc":
		return []string{"c", "c-index"}, nil
	case "recovery":
		return []string{"pipe"}, nil
	case "conn":
		if s.Size >= 64<<10 && s.Case == "single" {
			beside = []string{fmt.Sprintf("floor/c/copy2/%d/%s/%d", s.Size, waitFor(s.Cores), s.Cores)}
		}
		return append([]string{"pipe", "unix"}, beside...), beside
	case policyBench:
		return []string{"auto"}, nil
	case "rtt":
		if s.Wait == "spin" {
			return []string{lineName()}, []string{lineName()}
		}
		beside = []string{fmt.Sprintf("floor/c/futex/4/block/%d", s.Cores), fmt.Sprintf("floor/c/futex-free/4/block/%d", s.Cores)}
		return append(beside[:2:2], "pipe"), beside
	}
	return nil, nil
}

// groups builds every group there is on this system, in the order of the tables, and finds the rows by name. The harness
// and its roles both call it, so a name means the same row in all of them.
func groups() ([]*Group, map[string]*Row, error) {
	byName := map[string]*Row{}
	var all []*Group
	var places []Slot
	for _, s := range slots() {
		g := &Group{}
		for _, source := range sources {
			for _, row := range source(s) {
				if err := row.fill(); err != nil {
					return nil, nil, err
				}
				name := row.Name()
				if byName[name] != nil {
					return nil, nil, fmt.Errorf("bench: there are two rows %s", name)
				}
				byName[name] = row
				g.Rows = append(g.Rows, row)
			}
		}
		if len(g.Rows) > 0 {
			all, places = append(all, g), append(places, s)
		}
	}
	for i, g := range all {
		names, beside := against(places[i])
		for _, name := range names {
			row := byName[name]
			for _, r := range g.Rows {
				if r.Impl == name && r.Case == places[i].Case {
					row = r
				}
			}
			if row == nil {
				continue // a neighbour that this system does not have
			}
			g.Against = append(g.Against, row)
			if slices.Contains(beside, name) && !slices.Contains(g.Rows, row) {
				g.Beside = append(g.Beside, row)
			}
		}
	}
	return all, byName, nil
}

// lineName is the row of the cache line's round trip, which every group on two CPUs begins with.
func lineName() string {
	if crows.Available {
		return "floor/c/cacheline/8/spin/2"
	}
	return "floor/go/cacheline/8/spin/2"
}
