package cpus

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Who pins one thread leaves the others to the process; who confines the process leaves it what that is.
func TestUsableIsWhatAnyThreadMayRunOn(t *testing.T) {
	unpinned := count()
	undo := Pin(0)
	defer undo()
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil || mine.Count() != 1 {
		t.Fatalf("pinned to %d processors, %v", mine.Count(), err)
	}
	if n := count(); n != unpinned {
		t.Fatalf("%d usable processors with one thread pinned, %d without", n, unpinned)
	}
	if n := confined(t); n != 1 {
		t.Fatalf("%d usable processors in a process that has one", n)
	}
}

// confined counts in a process that may use what this thread may.
func confined(t *testing.T) (n int) {
	cmd := exec.Command(os.Args[0], "-test.run", "^TestCountForAnother$", "-test.v")
	cmd.Env = append(os.Environ(), "CPUS_TEST=count")
	out, err := cmd.CombinedOutput() // started by this thread: what it may run on is inherited
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := fmt.Sscanf(string(out[strings.Index(string(out), "usable "):]), "usable %d", &n); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return n
}

func TestCountForAnother(t *testing.T) {
	if os.Getenv("CPUS_TEST") == "count" {
		fmt.Printf("usable %d\n", count())
	}
}
