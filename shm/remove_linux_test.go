package shm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/roles"
)

func TestRemoveTakesWhatNobodyUses(t *testing.T) {
	box := openSpace(t, "box", Keep())
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	p := roles.StartAs(t, []string{"TANDEM_TRACKER=off"}, nil, "member", "dead")
	p.Hear()
	p.Ask("grow")
	p.Kill()
	if err := os.WriteFile(filepath.Join(directory(), namedFile("damaged")), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"box", "dead", "damaged"} {
		if err := Remove(name); err != nil {
			t.Error(err)
		}
		if err := Remove(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a second time: %v", err)
		}
	}
	if left := files(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestRemoveRefusesWhatIsInUse(t *testing.T) {
	p := roles.Start(t, "member", "used")
	p.Hear()
	var used *InUseError
	err := Remove("used")
	if !errors.As(err, &used) || !errors.Is(err, ErrBusy) || len(used.Members) != 1 || used.Members[0].PID != p.Cmd.Process.Pid {
		t.Fatal(err)
	}
	if !strings.Contains(err.Error(), `"used"`) || !strings.Contains(err.Error(), "(exe)") {
		t.Error(err)
	}
	p.Stop() // a stopped process is alive
	if err := Remove("used"); !errors.As(err, &used) {
		t.Fatal(err)
	}
	if err := Unlink("used"); err != nil {
		t.Fatal(err)
	}
	if err := Remove("used"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	p.Kill()
	if removed, err := Sweep(); err != nil || len(removed) > 1 {
		t.Fatal(removed, err)
	}
}

// Nothing can be said about a damaged file but whether anybody maps it.
func TestADamagedFileInUseLosesItsName(t *testing.T) {
	p := roles.Start(t, "member", "broken")
	p.Hear()
	f, err := os.OpenFile(filepath.Join(directory(), namedFile("broken")), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, layout.SizeSegment), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	var used *InUseError
	if err := Remove("broken"); !errors.As(err, &used) || len(used.Members) != 0 {
		t.Fatal(err)
	}
	if err := Unlink("broken"); err != nil {
		t.Fatal(err)
	}
	openSpace(t, "broken", Create())
	p.Kill()
	if removed, err := Sweep(); err != nil || len(removed) != 1 {
		t.Fatal(removed, err)
	}
}
