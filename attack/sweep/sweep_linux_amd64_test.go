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
	"strings"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/attack/internal/toy"
	"github.com/tandem-ipc/tandem/attack/sweep"
)

var allModes = []sweep.Mode{sweep.Kill, sweep.Stop, sweep.Resume}

func TestARightOperationHasNoViolationInAnyMode(t *testing.T) {
	for _, name := range []string{"toy/right", "toy/noise", "toy/apart", "toy/transfer", "toy/birth"} {
		t.Run(name, func(t *testing.T) {
			rep, out := run(t, name, sweep.Options{Modes: allModes})
			requireClean(t, rep, out)
			if rep.Trials != 3*rep.Found || rep.Unexplained != 0 {
				t.Errorf("%d trials of %d points in three modes, %d unexplained", rep.Trials, rep.Found, rep.Unexplained)
			}
		})
	}
}

func TestVictimsAreStoppedWhenOthersRunAndGoneWhenRecoveryDoes(t *testing.T) {
	for _, name := range []string{"odd/witness", "odd-pair/beside", "odd-pair/sequel"} {
		t.Run(name, func(t *testing.T) {
			rep, out := run(t, name, sweep.Options{Modes: allModes})
			requireClean(t, rep, out)
		})
	}
}

func TestPointsAreSweptWithoutBreakpoints(t *testing.T) {
	t.Setenv("ATTACK_BREAKPOINTS", "off")
	rep, out := run(t, "toy/transfer", sweep.Options{Modes: allModes})
	requireClean(t, rep, out)
	rep, out = run(t, "toy/wrong", sweep.Options{Modes: allModes})
	if rep.Err != nil || len(rep.Violations) != 3 || rep.Tried != rep.Found {
		t.Errorf("%s", out)
	}
}

func TestAWrongOperationIsFoundAtPreciselyTheWrongPoint(t *testing.T) {
	for _, mode := range allModes {
		t.Run(string(mode), func(t *testing.T) {
			rep, out := run(t, "toy/wrong", sweep.Options{Modes: []sweep.Mode{mode}})
			if rep.Err != nil || len(rep.Violations) != 1 || rep.Tried != 4 || rep.Found != 4 {
				t.Fatalf("%s", out)
			}
			v := rep.Violations[0]
			if !strings.Contains(v.Detail, "+0x8] 00 -> 01 in ") || !strings.Contains(v.Verdict, "flag is set but data is 0") || v.Mode != mode {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestARecoveryIsAnOperationToo(t *testing.T) {
	rep, out := run(t, "toy/recover", sweep.Options{})
	requireClean(t, rep, out)
	if rep.Found != 4 { // begin, the store of B, the store of the intent, end
		t.Errorf("%d points:\n%s", rep.Found, out)
	}
}

func TestAStoppedVictimThatBlocksOthersIsReportedPromptlyAsAHang(t *testing.T) {
	start := time.Now()
	rep, out := run(t, "toy/spin", sweep.Options{Modes: []sweep.Mode{sweep.Stop}})
	if len(rep.Violations) != 2 || rep.Err != nil || rep.Tried != 5 {
		t.Fatalf("%s", out)
	}
	for _, v := range rep.Violations {
		if !strings.Contains(v.Verdict, "others, while the victim is stopped: hangs") || !strings.Contains(v.Verdict, "toy.lock") {
			t.Errorf("%+v", v)
		}
	}
	if d := time.Since(start); d > 15*time.Second { // two hangs of 2 s, in one lane or two; not of reachLimit
		t.Errorf("took %v", d)
	}
	rep, out = run(t, "toy/spin", sweep.Options{Modes: []sweep.Mode{sweep.Kill}})
	requireClean(t, rep, out)
}

func TestAProcessThatRunsOnTooLateIsFoundByResumingIt(t *testing.T) {
	rep, out := run(t, "toy/late", sweep.Options{Modes: []sweep.Mode{sweep.Kill, sweep.Stop}})
	requireClean(t, rep, out)
	rep, out = run(t, "toy/late", sweep.Options{Modes: []sweep.Mode{sweep.Resume}})
	if len(rep.Violations) != 1 || !strings.Contains(rep.Violations[0].Verdict, "recover: count is 1, should be 2") {
		t.Errorf("%s", out)
	}
}

func TestWhatIsLeftBehindIsAVerdictOfAfter(t *testing.T) {
	rep, out := run(t, "toy/litter", sweep.Options{Modes: []sweep.Mode{sweep.Kill}, MaxViolations: 100})
	// From the link on: linkat, a store, close; at the end the operation has returned.
	if len(rep.Violations) != 3 || rep.Err != nil {
		t.Fatalf("%s", out)
	}
	for i, what := range []string{"linkat = 0", "+0x20]", "close = 0"} {
		found := false
		for _, v := range rep.Violations {
			found = found || strings.Contains(v.Detail, what) && strings.Contains(v.Verdict, "after: left behind: ")
		}
		if !found {
			t.Errorf("%d: no violation at %s:\n%s", i, what, out)
		}
	}
}

func TestAnOperationEndsAfterEnoughViolations(t *testing.T) {
	rep, _ := run(t, "toy/litter", sweep.Options{Modes: []sweep.Mode{sweep.Kill}, MaxViolations: 1, Lanes: 1})
	if len(rep.Violations) != 1 || rep.Tried >= rep.Found {
		t.Errorf("%d violations, %d of %d points", len(rep.Violations), rep.Tried, rep.Found)
	}
}

func TestVerdictsOfCrashesAndErrors(t *testing.T) {
	for name, want := range map[string]string{
		"odd/crash":             "plain end: victim: crashed, exit status 2:\npanic: as expected",
		"odd/fails":             "plain end: victim: operation failed: cannot",
		"odd/unprepared":        "plain end: victim: cannot prepare: not today",
		"odd/after-fails":       "plain end: after: something is left",
		"odd/after-fails-apart": "plain end: after: something is left",
		"odd/late-crash":        "kill begin: recover: crashed, exit status 2:\npanic: recovery is not robust",
		"odd/journal":           `plain end: recover: journal: 30 "one" returned=true, mode plain, at end`,
	} {
		t.Run(name, func(t *testing.T) {
			rep, out := run(t, name, sweep.Options{Modes: []sweep.Mode{sweep.Kill}, Lanes: 1})
			if len(rep.Violations) == 0 || !strings.HasPrefix(verdicts(rep), want) {
				t.Errorf("want %q:\n%s", want, out)
			}
		})
	}
}

func TestWhatTheVictimWroteIntoItsJournalOutlivesIt(t *testing.T) {
	var out bytes.Buffer
	// The plain run would end the operation: name the points of a recording.
	rep, _ := run(t, "toy/right", sweep.Options{Verbose: true, Modes: []sweep.Mode{sweep.Kill}})
	if rep.Found != 4 {
		t.Fatalf("%d points", rep.Found)
	}
	for point, want := range map[string]string{
		"begin": `journal: 0 "" returned=false, mode kill, at begin`,
		"end":   `journal: 30 "one" returned=true, mode kill, at end`,
	} {
		rep, err := sweep.Run(guardContext(t), suite(), sweep.Options{
			Only: regexp.MustCompile("^odd/journal$"), Point: point, Modes: []sweep.Mode{sweep.Kill}, Out: &out})
		if err != nil || rep.Violations() != 1 || !strings.Contains(rep.Ops[0].Violations[0].Verdict, want) {
			t.Errorf("at %s: %v\n%s", point, err, &out)
		}
	}
}

func TestTheAttacksOwnFailuresAreNoVerdicts(t *testing.T) {
	for name, want := range map[string]string{
		"odd/no-world":       "world: no world",
		"odd/no-world-apart": "world: no world",
		"odd/helper-fails":   "world: sweep: helper bad: not ready: EOF bad helper",
	} {
		t.Run(name, func(t *testing.T) {
			rep, out := run(t, name, sweep.Options{})
			if rep.Err == nil || !strings.Contains(rep.Err.Error(), want) || len(rep.Violations) > 0 {
				t.Errorf("want %q:\n%s", want, out)
			}
			if !strings.Contains(out, "BROKEN") {
				t.Errorf("the table hides it:\n%s", out)
			}
		})
	}
}

func TestPointsThatAreNotReachedAreReportedAndTooManyBreakTheSweep(t *testing.T) {
	rep, out := run(t, "odd/fickle", sweep.Options{MaxMissed: 0.5})
	if len(rep.Missed) != 2 || rep.Tried != 3 || rep.Found != 5 || rep.Err != nil ||
		strings.Count(out, "missed in odd/fickle: kill at 0x") != 2 || !strings.Contains(out, "passed 1 times") {
		t.Errorf("%s", out)
	}
	if rep, out := run(t, "odd/fickle", sweep.Options{}); rep.Err == nil || !strings.Contains(out, "2 points of 5 were never reached") {
		t.Errorf("%s", out)
	}
}

func TestAProcessLeftBehindIsAViolationAndKilled(t *testing.T) {
	rep, out := run(t, "odd/orphan", sweep.Options{Modes: []sweep.Mode{sweep.Kill}, Recordings: 1})
	if len(rep.Violations) != rep.Trials+2 { // and after the plain run and the recording
		t.Errorf("%d trials, %s", rep.Trials, out)
	}
	for _, v := range rep.Violations {
		if !strings.Contains(v.Verdict, "left a process behind") || !strings.Contains(v.Verdict, "sleep 600") {
			t.Errorf("%+v", v)
		}
	}
}

func TestATrialMayHaveADirectoryOfItsOwn(t *testing.T) {
	t.Setenv(testSuite, "directories")
	rep, out := run(t, "dir/right", sweep.Options{Modes: allModes})
	requireClean(t, rep, out)
	rep, out = run(t, "dir/litter", sweep.Options{})
	if len(rep.Violations) != 1 || !strings.Contains(rep.Violations[0].Verdict, "left behind in /dev/shm: "+toy.Prefix()) {
		t.Errorf("%s", out)
	}
	if left, _ := filepath.Glob("/dev/shm/" + trialDirs() + "*"); len(left) > 0 {
		t.Errorf("the sweep left %q", left)
	}
}

func TestDirectoriesOfKilledSweepsAreRemoved(t *testing.T) {
	dead := exec.Command("/bin/true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	stale := fmt.Sprintf("/dev/shm/attack-trial-%d-1", dead.Process.Pid)
	mine := fmt.Sprintf("/dev/shm/attack-trial-%d-1", os.Getpid())
	for _, d := range []string{stale, mine} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(d)
	}
	run(t, "toy/right", sweep.Options{})
	if _, err := os.Stat(stale); err == nil {
		t.Error("the dead one's is still there")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error("a living one's was removed")
	}
}

func TestPairsAreKilledBesideAStoppedOne(t *testing.T) {
	rep, out := run(t, "toy-pair/right", sweep.Options{MaxPairs: 12})
	if rep.Err != nil || len(rep.Violations) > 0 || rep.Found != 4*5 || rep.Tried != 12 || len(rep.Missed) > 0 {
		t.Errorf("%s", out)
	}
	if !strings.Contains(out, "trying 12 of 20 pairs of points") {
		t.Errorf("does not say how many of how many:\n%s", out)
	}
}

func TestAnOperationThatAStoppedOneBlocksIsFoundInPairs(t *testing.T) {
	rep, out := run(t, "toy-pair/blocked", sweep.Options{MaxViolations: 1})
	if len(rep.Violations) == 0 || !strings.Contains(verdicts(rep), "hangs") {
		t.Errorf("%s", out)
	}
}

func TestARecoveryAfterEveryDeathIsKilledAtEveryPointOfItsOwn(t *testing.T) {
	rep, out := run(t, "toy-pair/sequel", sweep.Options{})
	requireClean(t, rep, out)
	if rep.Found < 20 || !strings.Contains(out, "8 of 8 deaths of toy/transfer") {
		t.Errorf("%s", out)
	}
}

func TestLargeOperationsAreSampledTheSameWayForTheSameSeed(t *testing.T) {
	var first []string
	for range 2 {
		var out bytes.Buffer
		rep, err := sweep.Run(guardContext(t), suite(), sweep.Options{
			Only: regexp.MustCompile("^toy/transfer$"), MaxPoints: 3, Modes: []sweep.Mode{sweep.Kill}, Out: &out, Recordings: 1, Seed: 7})
		if err != nil || rep.Ops[0].Trials != 3 || rep.Ops[0].Found != 8 {
			t.Fatalf("%v\n%s", err, &out)
		}
		if !strings.Contains(out.String(), "trying 3 of 8 points") {
			t.Errorf("does not say how many of how many:\n%s", &out)
		}
		first = append(first, regexp.MustCompile(`trying.*`).FindString(out.String()))
	}
	if first[0] != first[1] {
		t.Errorf("%q", first)
	}
}

func TestASweepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	rep, err := sweep.Run(ctx, suite(), sweep.Options{Modes: allModes})
	if err == nil {
		err = rep.Err()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestASuiteThatCannotBeRunIsRefused(t *testing.T) {
	fine := suite().Ops[0]
	for what, s := range map[string]*sweep.Suite{
		"a name used twice":   {Ops: []sweep.Op{fine, fine}},
		"no name":             {Ops: []sweep.Op{{World: fine.World, Victim: fine.Victim, Recover: fine.Recover}}},
		"no oracle":           {Ops: []sweep.Op{{Name: "x", World: fine.World, Victim: fine.Victim}}},
		"a pair of nothing":   {Ops: []sweep.Op{fine}, Pairs: []sweep.Pair{{Name: "p", A: fine.Name, B: "nothing"}}},
		"a mutant like an op": {Ops: []sweep.Op{fine}, Mutants: []sweep.Mutant{{Name: fine.Name}}},
	} {
		if _, err := sweep.Run(guardContext(t), s, sweep.Options{}); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}
