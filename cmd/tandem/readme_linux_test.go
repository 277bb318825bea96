package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/shm"
)

// called is a member that is known by another command, and that makes an object; a child gets its parent's Handle.
func called(p *roles.Peer, args []string) {
	os.Args[0] = args[0]
	open := shm.Private
	switch {
	case strings.Contains(args[1], ":"):
		var h shm.Handle
		p.Must(h.UnmarshalText([]byte(args[1])))
		p.Must(shm.Inherit(h))
	case args[1] != "":
		open = func() (*shm.Space, error) { return shm.OpenSpace(args[1]) }
	}
	sp, err := open()
	p.Must(err)
	o, err := sp.NewObject(shm.Spec{Kind: 2, Header: 712, Sets: 1, Data: 3 << 20})
	p.Must(err)
	p.Say("%v", o.Handle())
	p.Hear()
}

func startCalled(t *testing.T, name, space string) (*roles.Proc, string) {
	t.Helper()
	p := roles.StartAs(t, []string{"TANDEM_TRACKER=off", "TANDEM_SWEEP=off"}, nil, "called", name, space)
	return p, p.Hear()
}

var (
	block = regexp.MustCompile("(?ms)^```sh\n(.*?)^```\n(?:^```text\n(.*?)^```\n)?")

	// What differs from one machine, and one moment, to the next.
	varying = []struct {
		what *regexp.Regexp
		as   string
	}{
		{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "ID"},
		{regexp.MustCompile(`\b[0-9.]+ ([KMGTPE]i)?B\b`), "SIZE"},
		{regexp.MustCompile(`\b[0-9]+[smhd]([0-9]+[smh])?\b`), "AGE"},
		{regexp.MustCompile(`\b[0-9]{2,}\b`), "PID"},
		{regexp.MustCompile(` +`), " "},
	}
)

func shape(text string) string {
	for _, v := range varying {
		text = v.what.ReplaceAllString(text, v.as)
	}
	return text
}

// What the README says about crashes is done, to the letter, after one; what it says is printed is printed, in shape.
func TestTheReadmeOnCrashesIsTrue(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(readme), "\n## After a crash\n")
	section, _, end := strings.Cut(section, "\n## ")
	steps := block.FindAllStringSubmatch(section, -1)
	if !ok || !end || len(steps) < 5 {
		t.Fatalf("%d commands in the section", len(steps))
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "tandem"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	box, err := shm.OpenSpace("outbox", shm.Keep())
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	feeder, _ := startCalled(t, "feeder", "prices")
	reader, _ := startCalled(t, "reader", "prices")
	parent, handle := startCalled(t, "report", "")
	child, _ := startCalled(t, "report", handle)
	parent.Stop() // or it settles what the child leaves
	child.Kill()
	parent.Kill()

	for _, s := range steps {
		cmd := exec.Command("sh", "-c", s[1])
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil || errs.Len() > 0 {
			t.Errorf("%s: %v %s\n%s", s[1], err, errs.String(), out)
		}
		if s[2] != "" && shape(string(out)) != shape(s[2]) {
			t.Errorf("%sprints\n%s\nthe README says\n%s", s[1], out, s[2])
		}
	}
	for _, p := range []*roles.Proc{feeder, reader} {
		if code := p.Wait(); code != 3 { // its peer, which is us, is gone: it did not notice anything
			t.Errorf("exit code %d", code)
		}
	}
	if _, err := shm.Sweep(); err != nil {
		t.Error(err)
	}
	if got := left(t); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// The variables of this machine must not make the shapes equal by leaving nothing.
func TestShapesKeepWhatMatters(t *testing.T) {
	got := strings.Fields(shape("7c1e6a90d2b4f835  leaked  4.13 MiB  2m10s  2 pid 4711"))
	if !slices.Equal(got, []string{"ID", "leaked", "SIZE", "AGE", "2", "pid", "PID"}) {
		t.Error(got)
	}
}
