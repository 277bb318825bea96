//go:build cgo

package sweep_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestEveryInstructionOfChosenCFunctionsIsAPoint(t *testing.T) {
	out := call(t, 0, "-only", "^toy/c-bytes$", "-v", "-recordings", "1")
	for i := range 10 {
		if want := fmt.Sprintf("+0x%x] 00 -> %02x in toy_bytes", i, '0'+i); strings.Count(out, want) != 1 {
			t.Errorf("no single %q:\n%s", want, out)
		}
	}
	// At least load, store, count, compare and jump ten times.
	if n := strings.Count(out, " instruction in toy_bytes"); n < 30 {
		t.Errorf("%d instructions without effect are points:\n%s", n, out)
	}
	if !strings.Contains(out, "(c_unsafe.go:") {
		t.Errorf("no lines of C:\n%s", out)
	}
}

func TestARepeatedMoveInCIsKilledAfterEveryByte(t *testing.T) {
	out := call(t, 0, "-only", "^toy/c-rep$", "-recordings", "1")
	if !strings.Contains(out, " 100 stores into shared mappings") {
		t.Errorf("%s", out)
	}
}

func TestAVectorStoreInCIsOnePoint(t *testing.T) {
	out := call(t, 0, "-only", "^toy/c-fill$", "-v", "-recordings", "1")
	if strings.Count(out, "VMOVDQU Y0") != 2 || strings.Count(out, "STOSQ") != 16 {
		t.Errorf("%s", out)
	}
}

func TestAWholeCFileCanBeChosen(t *testing.T) {
	out := call(t, 0, "-only", "^toy/c-file$", "-v", "-recordings", "1", "-mode", "kill")
	if !strings.Contains(out, " instruction in toy_vector") || strings.Count(out, "STOSQ") != 16 {
		t.Errorf("%s", out)
	}
}

func TestACSelectorThatMatchesNothingBreaksTheSweep(t *testing.T) {
	out := call(t, 2, "-only", "^toy/c-none$", "-recordings", "1")
	if !strings.Contains(out, `"toy_no_such_function" in `) || !strings.Contains(out, "no function matches") {
		t.Errorf("%s", out)
	}
}
