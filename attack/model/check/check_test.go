package check

import (
	"fmt"
	"strings"
	"testing"
)

// mutex is a toy: two processes enter a critical section once each.
type mutex struct {
	want [2]bool
	turn uint8
	lock uint8 // 0 free, else 1 + who has it
	pc   [2]uint8
	dead [2]bool
}

const (
	outside = iota
	looked
	waiting
	inside
	done
)

var names = []string{"A", "B"}

func (s *mutex) finished(p int) bool { return s.dead[p] || s.pc[p] == done }

func (s *mutex) show() []string {
	return []string{fmt.Sprint("want ", s.want), fmt.Sprint("turn ", s.turn), fmt.Sprint("lock ", s.lock), fmt.Sprint("pc ", s.pc), fmt.Sprint("dead ", s.dead)}
}

func toy(step func(*mutex, int, *Out[mutex])) *Model[mutex] {
	return &Model[mutex]{
		Procs: names, Step: step, Bound: 20,
		Finished: func(s *mutex, p int) bool { return s.finished(p) },
		Check: func(s *mutex) string {
			if s.pc[0] == inside && s.pc[1] == inside {
				return "both are inside"
			}
			return ""
		},
		Show: (*mutex).show,
	}
}

// peterson is Peterson's algorithm; without the turn it deadlocks.
func peterson(turn bool) func(*mutex, int, *Out[mutex]) {
	return func(s *mutex, p int, o *Out[mutex]) {
		x := *s
		switch s.pc[p] {
		case outside:
			x.want[p], x.pc[p] = true, looked
			o.Go("want", x)
		case looked:
			x.turn, x.pc[p] = uint8(1-p), waiting
			o.Go("turn", x)
		case waiting:
			if !s.want[1-p] || turn && s.turn == uint8(p) {
				x.pc[p] = inside
				o.Go("enter", x)
			}
		case inside:
			x.want[p], x.pc[p] = false, done
			o.Go("leave", x)
		}
	}
}

// lookThenLock looks at a lock and takes it in two steps, or in one.
func lookThenLock(steps int) func(*mutex, int, *Out[mutex]) {
	return func(s *mutex, p int, o *Out[mutex]) {
		x := *s
		switch {
		case s.dead[p]:
		case s.pc[p] == outside && s.lock == 0 && steps == 1:
			x.lock, x.pc[p] = uint8(1+p), inside
			o.Go("lock", x)
		case s.pc[p] == outside && s.lock == 0:
			x.pc[p] = looked
			o.Go("look", x)
		case s.pc[p] == looked:
			x.lock, x.pc[p] = uint8(1+p), inside
			o.Go("lock", x)
		case s.pc[p] == inside:
			x.lock, x.pc[p] = 0, done
			o.Go("unlock", x)
		}
	}
}

func kill(s *mutex, p int, o *Out[mutex]) {
	if !s.dead[0] && !s.dead[1] && s.pc[p] != done {
		x := *s
		x.dead[p] = true
		o.Go("killed", x)
	}
}

func each(s *mutex) []uint32 {
	var all []uint32
	for p := range names {
		if !s.finished(p) {
			all = append(all, 1<<p)
		}
	}
	return all
}

func both(*mutex) []uint32 { return []uint32{3} }

func want(t *testing.T, r Result, why string) {
	t.Helper()
	switch {
	case why == "" && r.Failure != nil:
		t.Fatalf("%s\n%v", r.Failure.Why, r.Failure.Trace)
	case why != "" && r.Failure == nil:
		t.Fatalf("not caught in %d states, want %q", r.States, why)
	case why != "" && !strings.Contains(r.Failure.Why, why):
		t.Fatalf("caught by %q, want %q", r.Failure.Why, why)
	}
}

func TestAProtocolThatHoldsPasses(t *testing.T) {
	r := Explore(toy(peterson(true)))
	want(t, r, "")
	if r.Ends == 0 || r.States < 10 || r.Depth != 8 {
		t.Fatalf("%+v", r)
	}
}

func TestABrokenMutexIsCaughtByTheShortestTrace(t *testing.T) {
	r := Explore(toy(lookThenLock(2)))
	want(t, r, "both are inside")
	var got []string
	for _, l := range r.Failure.Trace {
		got = append(got, l.Proc+" "+l.Step)
	}
	if len(got) != 4 || r.Failure.Trace[3].Effect == "" {
		t.Fatalf("%q", got)
	}
	want(t, Explore(toy(lookThenLock(1))), "")
}

func TestADeadlockIsCaught(t *testing.T) {
	want(t, Explore(toy(peterson(false))), "cannot go on, and nobody else")
}

func TestAProcessThatWaitsForADeadOneIsCaught(t *testing.T) {
	m := toy(lookThenLock(1))
	m.Fault = kill
	want(t, Explore(m), "B cannot go on")
}

func TestWaitingForAnotherIsNoProgressAloneButInTurns(t *testing.T) {
	m := toy(peterson(true))
	m.Alone = each
	want(t, Explore(m), "cannot go on without the others")
	m.Alone = both
	r := Explore(m)
	want(t, r, "")
	if r.Longest != 8 {
		t.Fatalf("%d steps in turns, want all 8", r.Longest)
	}
}

func TestAnEndlessLoopIsCaught(t *testing.T) {
	m := toy(func(s *mutex, p int, o *Out[mutex]) {
		x := *s
		x.turn = 1 - s.turn
		o.Go("again", x)
	})
	m.Alone = each
	want(t, Explore(m), "not finished after the bound")
}

func TestAStepThatFailsIsReported(t *testing.T) {
	m := toy(func(s *mutex, p int, o *Out[mutex]) {
		if p == 1 {
			o.Fail("assert", "wrong")
		}
	})
	r := Explore(m)
	want(t, r, "wrong")
	if n := len(r.Failure.Trace); n != 1 || r.Failure.Trace[0].Proc != "B" {
		t.Fatalf("%v", r.Failure.Trace)
	}
}

func TestAllStatesOfACounterAreFound(t *testing.T) {
	type grid struct{ at [4]uint8 }
	m := &Model[grid]{
		Procs: []string{"a", "b", "c", "d"},
		Step: func(s *grid, p int, o *Out[grid]) {
			if s.at[p] < 17 {
				x := *s
				x.at[p]++
				o.Go("up", x)
			}
		},
		Finished: func(s *grid, p int) bool { return s.at[p] == 17 },
		Show:     func(s *grid) []string { return nil },
	}
	r := Explore(m)
	if r.States != 18*18*18*18 || r.Depth != 4*17 || r.Ends != 1 {
		t.Fatalf("%+v", r)
	}
	t.Logf("%d states in %v", r.States, r.Time)
}
