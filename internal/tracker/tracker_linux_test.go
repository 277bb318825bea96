// Outside of the package, so that it imports in this binary what it imports elsewhere.
package tracker_test

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tandem-ipc/tandem/internal/layout"
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

// Nothing of the program is initialised any more, and nothing swept, after a tree that has left in order.
func TestItEndsAtOnceAfterAnOrderlyEnd(t *testing.T) {
	for over, want := range []string{"PASS", ""} {
		page, err := os.Create(filepath.Join(t.TempDir(), "tree"))
		if err != nil {
			t.Fatal(err)
		}
		var told layout.Tree
		told.Over.Store(uint64(over))
		if err := errors.Join(page.Truncate(4096), binary.Write(page, binary.NativeEndian, []uint64{told.Nonce.Load(), told.Over.Load()})); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/proc/self/exe", "-test.run=^$")
		cmd.Env = append(os.Environ(), tracker.Env+"=1")
		cmd.ExtraFiles = []*os.File{page} // layout.TreeFile
		out, err := cmd.CombinedOutput()
		page.Close()
		if err != nil || !strings.Contains(string(out), want) || want == "" && len(out) > 0 {
			t.Errorf("over %d: %v: %q, want %q", over, err, out, want)
		}
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
