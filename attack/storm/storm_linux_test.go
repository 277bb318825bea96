package storm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tandem-ipc/tandem/attack/internal/leftover"
)

func TestMain(m *testing.M) {
	Init(Trees())
	os.Exit(leftover.Run(m.Run, fmt.Sprint(dirPrefix, os.Getpid())))
}

func storm(t *testing.T, s *Suite, args ...string) (status int, out string) {
	t.Helper()
	var b bytes.Buffer
	status = command(context.Background(), s, args, &b, &b)
	return status, b.String()
}

func TestAStormKillsAndFindsNothingWrong(t *testing.T) {
	status, out := storm(t, Trees(), "-only", "^tree$", "-seed", "1", "-kills", "60", "-lanes", "2")
	if status != 0 || !regexp.MustCompile(`^tree: seed 1\ntree: 0 violations .* [1-9][0-9]+ kills`).MatchString(out) {
		t.Errorf("status %d:\n%s", status, out)
	}
}

func TestAViolationSaysWhatAndHowToRepeatIt(t *testing.T) {
	bad := &Suite{Scenarios: []Scenario{{Name: "bad", Run: func(_ context.Context, s *Storm) error {
		for !s.Enough() {
			s.Violation(3, "one\ntwo\n")
		}
		return nil
	}}}}
	status, out := storm(t, bad, "-seed", "5", "-for", "1h")
	want := "\nVIOLATION bad, round 3\n  verdict: one\n    two\n  repeat:  " + program() + " -only '^bad$' -seed 5 -round 3 "
	if status != 1 || !strings.Contains(out, want) {
		t.Errorf("status %d, want 1 and %q:\n%s", status, want, out)
	}
}

func TestWrongUseIsRefused(t *testing.T) {
	for _, args := range [][]string{{"-only", "("}, {"-only", "^nothing$"}, {"more"}, {"-what"}} {
		if status, out := storm(t, Trees(), args...); status != 2 || out == "" {
			t.Errorf("%v: status %d, %q", args, status, out)
		}
	}
}
