package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"
)

// options are what a run of the harness can be told.
type options struct {
	only   *regexp.Regexp
	reps   int
	rounds int           // the repetitions are spread over so many passes through all groups
	time   time.Duration // of one run
	lead   time.Duration // of each run, before the clock starts
	warm   time.Duration // of the run before the first of each round, which does not count; 0 for none
}

var (
	fullOptions  = options{reps: 9, rounds: 3, time: 60 * time.Millisecond, lead: 30 * time.Millisecond, warm: 8 * time.Millisecond}
	quickOptions = options{reps: 1, rounds: 1, time: time.Millisecond}
)

// selected are the groups that the pattern leaves: rows it matches, and those they are divided by, because a figure
// without its neighbour is no figure.
func selected(groups []*Group, only *regexp.Regexp) []*Group {
	if only == nil {
		return groups
	}
	var left []*Group
	for _, g := range groups {
		wanted := map[*Row]bool{}
		for _, r := range g.Rows {
			if only.MatchString(r.Name()) {
				wanted[r] = true
			}
		}
		if len(wanted) == 0 {
			continue
		}
		for _, r := range g.Against {
			wanted[r] = true
		}
		n := &Group{Against: g.Against, Beside: g.Beside}
		for _, r := range g.Rows {
			if wanted[r] {
				n.Rows = append(n.Rows, r)
			}
		}
		left = append(left, n)
	}
	return left
}

// measure runs all groups. A row that fails is recorded and the others go on; only the end of ctx stops it.
func measure(ctx context.Context, groups []*Group, line *Row, m *Machine, opt options, stderr io.Writer) (*record, error) {
	rec := &record{runs: map[place][]run{}, failed: map[*Row]error{}}
	var todo []*Group
	tooFew := map[int]int{} // groups, by the CPUs they would need
	for _, g := range groups {
		if m.cpusFor(g.cores()) == nil {
			tooFew[g.cores()]++
			continue
		}
		todo = append(todo, g)
	}
	for cores, n := range tooFew {
		fmt.Fprintf(stderr, "bench: %d groups left out: they need %d CPUs, there are %d\n", n, cores, m.Usable())
	}
	rounds := min(opt.rounds, opt.reps)
	bar := newProgress(stderr)
	defer bar.done()
	for round := range rounds {
		first, last := round*opt.reps/rounds, (round+1)*opt.reps/rounds
		for i, g := range todo {
			bar.at(round, rounds, i, len(todo), g.Rows[0])
			s := session{ctx: ctx, group: g, line: line, machine: m, opt: opt, rec: rec}
			err := s.run(first, last)
			s.end()
			if err != nil {
				return rec, err
			}
		}
	}
	return rec, nil
}

// cores is how many CPUs a group's processes need: its rows agree, but for those that one process has to itself.
func (g *Group) cores() int {
	n := 1
	for _, r := range g.Rows {
		n = max(n, r.Cores)
	}
	return n
}

// session is one group in one round.
type session struct {
	ctx     context.Context
	group   *Group
	line    *Row
	machine *Machine
	opt     options
	rec     *record
	pairs   map[string]*pair // by cores and environment
}

func (s *session) run(first, last int) error {
	var rows []*Row
	if s.group.cores() == 2 && s.line != nil {
		rows = append(rows, s.line)
	}
	for _, row := range slices.Concat(s.group.Beside, s.group.Rows) {
		if !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	if s.opt.warm > 0 {
		for _, row := range rows {
			if row.Reps == 0 { // rows with few repetitions start from nothing each time
				if _, err := s.once(row, s.opt.warm, 0); err != nil {
					return err
				}
			}
		}
	}
	for rep := first; rep < last; rep++ {
		line := 0.0
		for _, row := range s.turns(rows, rep) {
			if row.Reps > 0 && rep >= row.Reps {
				continue
			}
			d, lead := s.opt.time, s.opt.lead
			if row.Time > 0 {
				d, lead = min(d, row.Time), 0
			}
			o, err := s.once(row, d, lead)
			if err != nil {
				return err
			}
			if o == nil {
				continue
			}
			v, err := o.value()
			if err != nil {
				s.rec.failed[row] = err
				continue
			}
			if row == s.line {
				line = v
			}
			at := place{s.group, row}
			s.rec.runs[at] = append(s.rec.runs[at], run{rep: rep, value: v, count: o.Count, elapsed: o.Elapsed, samples: o.A.Samples, line: line})
		}
	}
	return nil
}

// turns is the order of a repetition: the line first, and the others beginning with another one each time, for who comes after
// the line finds other caches than who comes after a row like itself.
func (s *session) turns(rows []*Row, rep int) []*Row {
	first := 0
	if rows[0] == s.line {
		first = 1
	}
	others := rows[first:]
	if len(others) == 0 {
		return rows
	}
	k := rep % len(others)
	return slices.Concat(rows[:first], others[k:], others[:k])
}

// once runs a row once. It returns nothing for a row that has failed, now or before.
func (s *session) once(row *Row, d, lead time.Duration) (*Outcome, error) {
	if s.rec.failed[row] != nil {
		return nil, nil
	}
	p, err := s.pair(row)
	if err != nil {
		return nil, err
	}
	o, err := p.play(row, d, lead)
	if s.ctx.Err() != nil {
		return nil, s.ctx.Err()
	}
	if err != nil {
		s.rec.failed[row] = err
		s.end() // whatever state they are in
		return nil, nil
	}
	return o, nil
}

func (s *session) pair(row *Row) (*pair, error) {
	key := fmt.Sprint(row.Cores, row.Env)
	if p := s.pairs[key]; p != nil {
		return p, nil
	}
	cpus := s.machine.cpusFor(row.Cores)
	if cpus == nil {
		return nil, fmt.Errorf("bench: %d CPUs: %w", row.Cores, errors.ErrUnsupported)
	}
	p, err := startPair(s.ctx, cpus, row.Env)
	if err != nil {
		return nil, err
	}
	if s.pairs == nil {
		s.pairs = map[string]*pair{}
	}
	s.pairs[key] = p
	return p, nil
}

func (s *session) end() {
	for key, p := range s.pairs {
		p.end()
		delete(s.pairs, key)
	}
}
