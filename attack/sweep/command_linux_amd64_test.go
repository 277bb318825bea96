package sweep_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func TestTheCommandLineOfAViolationRepeatsJustThatTrial(t *testing.T) {
	out := call(t, 1, "-only", "^toy/wrong$", "-mode", "kill")
	line := regexp.MustCompile(`(?m)^  repeat:  (.*)$`).FindStringSubmatch(out)
	if line == nil {
		t.Fatalf("no line:\n%s", out)
	}
	if !regexp.MustCompile(`(?m)^  point: .* in \S+toy\.publishWrong\S* \(publish\.go:\d+\): XCHGQ`).MatchString(out) {
		t.Errorf("the point is not named for people:\n%s", out)
	}
	again := callShell(t, 1, exec.CommandContext(guardContext(t), "/bin/sh", "-c", line[1]))
	if strings.Count(again, "VIOLATION toy/wrong, kill at 0x") != 1 || !strings.Contains(again, "flag is set but data is 0") ||
		!regexp.MustCompile(`toy/wrong .* 1 .* 1 `).MatchString(again) || !strings.Contains(again, line[0]) ||
		!strings.Contains(again, "toy.publishWrong") {
		t.Errorf("%s\ngave\n%s", line[1], again)
	}
}

func TestThePairOfAViolationIsRepeatedToo(t *testing.T) {
	out := call(t, 1, "-only", "^toy-pair/blocked$", "-violations", "1")
	line := regexp.MustCompile(`(?m)^  repeat:  (.*)$`).FindStringSubmatch(out)
	if line == nil || !strings.Contains(line[1], "@") {
		t.Fatalf("no line:\n%s", out)
	}
	again := callShell(t, 1, exec.CommandContext(guardContext(t), "/bin/sh", "-c", line[1]))
	if strings.Count(again, "VIOLATION toy-pair/blocked") != 1 {
		t.Errorf("%s\ngave\n%s", line[1], again)
	}
}

func TestExitStatusTellsViolationFromFailure(t *testing.T) {
	for _, c := range []struct {
		status int
		args   string
	}{
		{0, "-only ^toy/right$"},
		{0, "-list"},
		{0, "-h"},
		{1, "-only ^toy/wrong$"},
		{2, "-only ^no-such-operation$"},
		{2, "-only ( "},
		{2, "-mode sideways"},
		{2, "-only ^toy/ -point begin"},
		{2, "-only ^toy/right$ -point middle"},
		{2, "-no-such-flag"},
		{2, "stray"},
	} {
		call(t, c.status, strings.Fields(c.args)...)
	}
}

func TestTheListNamesEverything(t *testing.T) {
	out := call(t, 0, "-list")
	for _, want := range []string{
		"op      toy/right\n", "pair    toy-pair/right  (toy/right beside toy/noise)",
		"pair    toy-pair/sequel  (toy/transfer, then toy/recover)",
		"mutant  toy-mutant/swapped  (attack/internal/toy/publish.go, must be caught by ^toy/right$)",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q:\n%s", want, out)
		}
	}
	if out := call(t, 0, "-list", "-only", "sequel"); strings.Count(out, "\n") != 1 {
		t.Errorf("%s", out)
	}
}

func TestVerboseNamesEveryPointForPeople(t *testing.T) {
	out := call(t, 0, "-only", "^toy/birth$", "-v", "-mode", "kill", "-recordings", "1")
	for _, want := range []string{
		`system call linkat = 0 in \S+Syscall6\S* \(\S+\) for \S+toy\.birth\S* \(birth_linux\.go:\d+\): SYSCALL`,
		`store \[attack-toy-[-\d]+\+0x20\] 00 -> 68 in \S+toy\.birth\S* \(birth_linux\.go:\d+\): XCHGQ`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %q:\n%s", want, out)
		}
	}
}

func TestMutantsAreCaughtOrNot(t *testing.T) {
	t.Chdir("..")
	for _, c := range []struct {
		mutant string
		status int
		want   string
	}{
		{"swapped", 0, "mutant toy-mutant/swapped: caught: recover: flag is set but data is 0 ("},
		{"redo", 0, "mutant toy-mutant/redo: caught: "},
		{"harmless", 1, "mutant toy-mutant/harmless: NOT CAUGHT ("},
		{"otherwise", 1, `NOT CAUGHT: a violation, but none that says "something else"`},
		{"absent", 2, `BROKEN: attack/internal/toy/publish.go holds "no such text" 0 times, not once`},
		{"uncompiled", 2, "BROKEN: go build: exit status 1"},
	} {
		t.Run(c.mutant, func(t *testing.T) {
			if out := call(t, c.status, "-mutants", "-mode", "kill", "-only", c.mutant); !strings.Contains(out, c.want) {
				t.Errorf("want %q:\n%s", c.want, out)
			}
		})
	}
}

func TestMutantsNeedTheModulesDirectory(t *testing.T) {
	binary := command(t)
	t.Chdir(t.TempDir())
	out := callShell(t, 2, exec.CommandContext(guardContext(t), binary, "-mutants"))
	if !strings.Contains(out, "start in the directory of module github.com/tandem-ipc/tandem/attack") {
		t.Errorf("%s", out)
	}
}
