// Package mutant builds a command again with one change to the source of the main module, which its attack must catch: an
// attack that cannot fail shows nothing.
//
// # Concurrency
//
// [Run] may be called from several goroutines.
//
// # Crash behaviour
//
// A killed run leaves a directory tandem-mutant-* with a binary among the system's temporary files.
package mutant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

// Mutant is a change that an attack must catch.
type Mutant struct {
	Name     string
	File     string // relative to the main module's root
	Old, New string // Old must occur exactly once
	Only     string // regexp of what to run
	Expect   string // regexp that a verdict must match; empty: any violation
}

// Exit status of a command under mutation.
const (
	Clean     = 0 // nothing was found
	Violation = 1
	Broken    = 2 // the attack itself failed
)

// VerdictPrefix begins the line of a command's output that says what was found.
const VerdictPrefix = "  verdict: "

// self is this binary, also when its file has been replaced meanwhile.
const self = "/proc/self/exe"

// limit bounds build and run of one mutant.
const limit = 5 * time.Minute

// Run builds this command with each mutant whose name matches only (nil: all), runs it with the arguments that args makes of
// Mutant.Only, and prints what became of it. Without the mutant it must be clean. It must be started inside the directory of
// the command's module. The result is an exit status.
func Run(ctx context.Context, all []Mutant, only *regexp.Regexp, args func(only string) []string, out io.Writer) (int, error) {
	b, err := newBench(ctx)
	if err != nil {
		return Broken, err
	}
	defer os.RemoveAll(b.tmp)
	b.args = args
	status, n := Clean, 0
	for _, m := range all {
		if only != nil && !only.MatchString(m.Name) {
			continue
		}
		n++
		start := time.Now()
		verdict, ok, err := b.run(ctx, m)
		if err != nil {
			verdict, status = "BROKEN: "+err.Error(), Broken
		} else if !ok && status == Clean {
			status = Violation
		}
		fmt.Fprintf(out, "mutant %s: %s (%v)\n", m.Name, verdict, time.Since(start).Round(10*time.Millisecond))
	}
	if n == 0 {
		return Broken, errors.New("no mutant matches")
	}
	return status, nil
}

// bench is where mutants are built.
type bench struct {
	module string // directory of the module of the command
	root   string // directory of the main module, one above
	pkg    string // the command
	tmp    string
	args   func(only string) []string
	clean  map[string]bool // what has been seen to have no violation without a mutant
}

func newBench(ctx context.Context) (*bench, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, errors.New("mutants: the binary does not say what it was built from")
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("mutants: go env: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	text, err := os.ReadFile(mod)
	if err != nil || !bytes.Contains(text, []byte("module "+info.Main.Path+"\n")) {
		return nil, fmt.Errorf("mutants: start in the directory of module %s (here: %q)", info.Main.Path, mod)
	}
	tmp, err := os.MkdirTemp("", "tandem-mutant-")
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(mod)
	return &bench{module: dir, root: filepath.Dir(dir), pkg: info.Path, tmp: tmp, clean: map[string]bool{}}, nil
}

// run says what became of one mutant, and whether it was caught.
func (b *bench) run(ctx context.Context, m Mutant) (string, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var expect *regexp.Regexp
	if m.Expect != "" {
		var err error
		if expect, err = regexp.Compile(m.Expect); err != nil {
			return "", false, err
		}
	}
	if _, err := regexp.Compile(m.Only); err != nil || m.Only == "" {
		return "", false, fmt.Errorf("what to run, %q: %v", m.Only, err)
	}
	if !b.clean[m.Only] {
		if out, status, err := b.command(ctx, self, m.Only); err != nil || status != Clean {
			return "", false, fmt.Errorf("%s is not clean without the mutant: %v\n%s", m.Only, err, out)
		}
		b.clean[m.Only] = true
	}
	binary, err := b.build(ctx, m)
	if err != nil {
		return "", false, err
	}
	defer os.Remove(binary)
	out, status, err := b.command(ctx, binary, m.Only)
	switch {
	case err != nil:
		return "", false, err
	case status == Clean:
		return "NOT CAUGHT", false, nil
	case status != Violation:
		return "", false, fmt.Errorf("exit status %d:\n%s", status, out)
	case expect != nil && !matchesVerdict(expect, out):
		return fmt.Sprintf("NOT CAUGHT: a violation, but none that says %q:\n%s", m.Expect, out), false, nil
	}
	return "caught: " + firstVerdict(out), true, nil
}

// build makes the command with one file changed.
func (b *bench) build(ctx context.Context, m Mutant) (string, error) {
	file := filepath.Join(b.root, m.File)
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(text, []byte(m.Old)); n != 1 || m.Old == "" {
		return "", fmt.Errorf("%s holds %q %d times, not once", m.File, m.Old, n)
	}
	changed := filepath.Join(b.tmp, "changed"+filepath.Ext(file))
	if err := os.WriteFile(changed, bytes.Replace(text, []byte(m.Old), []byte(m.New), 1), 0o600); err != nil {
		return "", err
	}
	overlay := filepath.Join(b.tmp, "overlay.json")
	config, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, config, 0o600); err != nil {
		return "", err
	}
	binary := filepath.Join(b.tmp, "mutant")
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", binary, b.pkg)
	cmd.Dir = b.module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

// command runs a binary, to its first violation.
func (b *bench) command(ctx context.Context, binary, only string) (string, int, error) {
	out, err := exec.CommandContext(ctx, binary, b.args(only)...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return string(out), exit.ExitCode(), nil
	}
	return string(out), 0, err
}

func matchesVerdict(expect *regexp.Regexp, out string) bool {
	_, rest, _ := strings.Cut(out, VerdictPrefix)
	return expect.MatchString(rest)
}

func firstVerdict(out string) string {
	_, rest, _ := strings.Cut(out, VerdictPrefix)
	line, _, _ := strings.Cut(rest, "\n")
	return line
}
