package sweep

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

// mutantLimit bounds build and sweep of one mutant.
const mutantLimit = 5 * time.Minute

// runMutants builds this command with each mutant, and sweeps. It must be started inside the module's directory.
func (s *Suite) runMutants(ctx context.Context, o Options, broken func(error) int) int {
	if err := s.check(); err != nil {
		return broken(err)
	}
	b, err := newBench(ctx)
	if err != nil {
		return broken(err)
	}
	defer os.RemoveAll(b.tmp)
	status, n := exitClean, 0
	clean := make(map[string]bool)
	for _, m := range s.Mutants {
		if o.Only != nil && !o.Only.MatchString(m.Name) {
			continue
		}
		n++
		start := time.Now()
		verdict, ok, err := b.run(ctx, s, o, m, clean)
		if err != nil {
			verdict, status = "BROKEN: "+err.Error(), exitBroken
		} else if !ok && status == exitClean {
			status = exitViolation
		}
		fmt.Fprintf(o.Out, "mutant %s: %s (%v)\n", m.Name, verdict, time.Since(start).Round(10*time.Millisecond))
	}
	if n == 0 {
		return broken(errors.New("sweep: no mutant matches"))
	}
	return status
}

// bench is where mutants are built.
type bench struct {
	module string // directory of the module of the command
	root   string // directory of the main module, one above
	pkg    string // the command
	tmp    string
}

func newBench(ctx context.Context) (*bench, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, errors.New("sweep: mutants: the binary does not say what it was built from")
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("sweep: mutants: go env: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	text, err := os.ReadFile(mod)
	if err != nil || !bytes.Contains(text, []byte("module "+info.Main.Path+"\n")) {
		return nil, fmt.Errorf("sweep: mutants: start in the directory of module %s (here: %q)", info.Main.Path, mod)
	}
	tmp, err := os.MkdirTemp("", "tandem-mutant-")
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(mod)
	return &bench{module: dir, root: filepath.Dir(dir), pkg: info.Path, tmp: tmp}, nil
}

// run says what became of one mutant, and whether it was caught. clean remembers the operations that have been seen to
// have no violation without a mutant.
func (b *bench) run(ctx context.Context, s *Suite, o Options, m Mutant, clean map[string]bool) (string, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, mutantLimit)
	defer cancel()
	var expect *regexp.Regexp
	if m.Expect != "" {
		var err error
		if expect, err = regexp.Compile(m.Expect); err != nil {
			return "", false, err
		}
	}
	if _, err := regexp.Compile(m.Only); err != nil || m.Only == "" {
		return "", false, fmt.Errorf("operations to run, %q: %v", m.Only, err)
	}
	if !clean[m.Only] {
		if out, status, err := b.sweep(ctx, self, o, m.Only); err != nil || status != exitClean {
			return "", false, fmt.Errorf("%s is not clean without the mutant: %v\n%s", m.Only, err, out)
		}
		clean[m.Only] = true
	}
	binary, err := b.build(ctx, m)
	if err != nil {
		return "", false, err
	}
	defer os.Remove(binary)
	out, status, err := b.sweep(ctx, binary, o, m.Only)
	switch {
	case err != nil:
		return "", false, err
	case status == exitClean:
		return "NOT CAUGHT", false, nil
	case status != exitViolation:
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

// sweep runs a binary over the operations, until the first violation.
func (b *bench) sweep(ctx context.Context, binary string, o Options, only string) (string, int, error) {
	args := []string{"-only", only, "-violations", "1", "-recordings", "1", "-seed", fmt.Sprint(o.Seed),
		"-points", fmt.Sprint(o.MaxPoints), "-pairs", fmt.Sprint(o.MaxPairs), "-lanes", fmt.Sprint(o.Lanes),
		"-missed", fmt.Sprint(o.MaxMissed)}
	var modes []string
	for _, m := range o.Modes {
		modes = append(modes, string(m))
	}
	args = append(args, "-mode", strings.Join(modes, ","))
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return string(out), exit.ExitCode(), nil
	}
	return string(out), 0, err
}

const verdictPrefix = "  verdict: "

func matchesVerdict(expect *regexp.Regexp, out string) bool {
	_, rest, _ := strings.Cut(out, verdictPrefix)
	return expect.MatchString(rest)
}

func firstVerdict(out string) string {
	_, rest, _ := strings.Cut(out, verdictPrefix)
	line, _, _ := strings.Cut(rest, "\n")
	return line
}
