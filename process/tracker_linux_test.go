package process_test

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/internal/leak"
	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/process"
	"github.com/tandem-ipc/tandem/shm"
)

func init() {
	// crew has children that answer, uses a named Space too, and says the pids of all.
	parts["crew"] = func(p *roles.Peer, args []string) {
		ctx := context.Background()
		_, err := shm.OpenSpace("crew")
		p.Must(err)
		var conns []*pipe.Conn[string]
		pids := fmt.Sprint(os.Getpid())
		for range 3 {
			a, b, err := pipe.New[string](pipe.Capacity(4096)) // small enough for the root: files are counted
			p.Must(err)
			child, err := crew.Start(ctx, mixed{Conn: b})
			p.Must(err)
			conns = append(conns, a)
			pids += fmt.Sprint(" ", child.PID())
		}
		for line := pids; ; line = p.Hear() {
			for _, c := range conns {
				p.Must(c.Send(ctx, line))
				_, err := c.Recv(ctx)
				p.Must(err)
			}
			p.Say("%s", line)
		}
	}
}

var crew = process.Define("crew", func(ctx context.Context, a mixed) error {
	if _, err := shm.OpenSpace("crew"); err != nil {
		return err
	}
	for v, err := range a.Conn.All(ctx) {
		if err != nil {
			return err
		}
		if err := a.Conn.Send(ctx, v); err != nil {
			return err
		}
	}
	return nil
})

// startCrew returns the pids of a tree, the main process first.
func startCrew(t *testing.T) (*roles.Proc, []int) {
	t.Helper()
	p := roles.Start(t, "crew")
	pids := make([]int, 4)
	if _, err := fmt.Sscan(p.Hear(), &pids[0], &pids[1], &pids[2], &pids[3]); err != nil {
		t.Fatal(err)
	}
	return p, pids
}

// slay stops a whole tree, so that nobody sees another's death and leaves in order, and kills it.
func slay(t *testing.T, pids []int) {
	t.Helper()
	for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, pid := range pids {
			must(t, syscall.Kill(pid, s))
		}
	}
}

func TestNothingIsLeftOfATreeThatWasKilled(t *testing.T) {
	for range 5 {
		a, b := pair(t)
		_, pids := startCrew(t)
		other, _ := startCrew(t) // shares the named Space
		if n := len(othersFiles(t)); n != 3 {
			t.Fatalf("files: %v", othersFiles(t))
		}
		slay(t, pids)
		eventually(t, "only the other tree's files are left", func() bool { return len(othersFiles(t)) == 2 })
		if got := other.Ask("still here"); got != "still here" {
			t.Fatal(got)
		}
		must(t, a.Send(t.Context(), "and we"))
		if _, err := b.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		other.Kill()
		eventually(t, "the files are gone", func() bool { return len(othersFiles(t)) == 0 })
	}
}

// D9: nobody needs the tracker to work, and Sweep does what it would have done.
func TestScenarioD9TheTrackerIsKilled(t *testing.T) {
	dir, err := os.MkdirTemp(os.Getenv(shm.EnvDir), "orphaned")
	must(t, err)
	defer os.RemoveAll(dir)
	t.Setenv(shm.EnvDir, dir) // no tracker of another test sweeps here
	p, pids := startCrew(t)
	q, others := startCrew(t)
	for _, main := range []int{pids[0], others[0]} {
		var pid int
		eventually(t, "there is a tracker", func() bool { pid = leak.TrackerOf(main); return pid != 0 })
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		gone(t, pid)
	}
	for _, tree := range []*roles.Proc{p, q} {
		if got := tree.Ask("still here"); got != "still here" {
			t.Fatal(got)
		}
	}
	slay(t, pids)
	sweepAway(t, dir, 2)
	if got := q.Ask("still here"); got != "still here" {
		t.Fatal(got)
	}
	slay(t, others)
	sweepAway(t, dir, 0)
}

// sweepAway sweeps until so many files are left in dir: those who were killed may take a moment to be gone, and the living
// sweep, too, when they first use a Space.
func sweepAway(t *testing.T, dir string, left int) {
	t.Helper()
	eventually(t, "the files are swept", func() bool {
		_, err := shm.Sweep()
		must(t, err)
		files, err := os.ReadDir(dir)
		must(t, err)
		if len(files) < left {
			t.Fatalf("left: %v, want %d", files, left)
		}
		return len(files) == left
	})
}

// A tree that is killed while it starts leaves nothing either, nor do children that had not been born yet.
func TestNothingIsLeftOfATreeThatWasKilledWhileItStarted(t *testing.T) {
	dir, err := os.MkdirTemp(os.Getenv(shm.EnvDir), "starting")
	must(t, err)
	defer os.RemoveAll(dir)
	for i := range 60 {
		p := roles.StartAs(t, []string{shm.EnvDir + "=" + dir}, nil, "crew")
		time.Sleep(time.Duration(i) * 300 * time.Microsecond) // wherever it is then
		p.Kill()
	}
	eventually(t, "the files are gone", func() bool {
		left, err := os.ReadDir(dir)
		must(t, err)
		return len(left) == 0
	})
}
