// Outside of the package, so that it imports in this binary what it imports elsewhere.
package tracker_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/tandem-ipc/tandem/internal/tracker"
)

// Whatever can be seen from outside needs package os, or what it needs.
func TestItWaitsBeforeAnythingThatCouldDoAnything(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, m := range regexp.MustCompile(`(?m)^init (\S+) @`).FindAllStringSubmatch(string(out), -1) {
		order = append(order, m[1])
	}
	all := " " + strings.Join(order, " ") + " "
	us, others := strings.Index(all, "/internal/tracker "), strings.Index(all, " os ")
	if us < 0 || others < 0 || us > others {
		t.Fatalf("initialised in this order: %v", order)
	}
}

func TestTheVariableAloneIsExplained(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.Env = append(os.Environ(), tracker.Env+"=1")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 70 || !strings.Contains(string(out), "descriptor 3 is not a tree file") {
		t.Fatalf("%v: %s", err, out)
	}
}
