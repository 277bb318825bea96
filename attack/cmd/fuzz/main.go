// Command fuzz runs every Fuzz function of the modules that it is given, one after another, each for its share of the
// time. The first crasher ends it, with an error that says where the input lies.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

type target struct{ module, pkg, name string }

func main() {
	total := flag.Duration("time", time.Minute, "for all of them together")
	only := flag.String("only", os.Getenv("ONLY"), "names to run, a regular expression")
	flag.Parse()
	if err := run(flag.Args(), *only, *total); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(modules []string, only string, total time.Duration) error {
	want, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	var targets []target
	for _, m := range modules {
		found, err := discover(m, want)
		if err != nil {
			return err
		}
		targets = append(targets, found...)
	}
	if len(targets) == 0 {
		return fmt.Errorf("no Fuzz function matches %q", only)
	}
	share := max(total/time.Duration(len(targets)), time.Second)
	for _, t := range targets {
		if err := t.fuzz(share); err != nil {
			return err
		}
	}
	return nil
}

// discover lists the Fuzz functions: go test prints those of a package in front of the line that ends it.
func discover(module string, want *regexp.Regexp) (found []target, err error) {
	cmd := exec.Command("go", "test", "-list", "^Fuzz", "./...")
	cmd.Dir, cmd.Stderr = module, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: go test -list: %w", module, err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 1 && strings.HasPrefix(f[0], "Fuzz"):
			names = append(names, f[0])
		case len(f) > 1 && f[0] == "ok":
			for _, n := range names {
				if want.MatchString(n) {
					found = append(found, target{module, f[1], n})
				}
			}
			names = nil
		}
	}
	return found, nil
}

var (
	executed = regexp.MustCompile(`execs: (\d+)`)
	written  = regexp.MustCompile(`Failing input written to (\S+)`)
)

func (t target) fuzz(share time.Duration) error {
	start := time.Now()
	var out bytes.Buffer
	cmd := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", share.String(), t.pkg)
	cmd.Dir = t.module
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	execs := "0"
	if all := executed.FindAllSubmatch(out.Bytes(), -1); len(all) > 0 {
		execs = string(all[len(all)-1][1])
	}
	input := written.FindSubmatch(out.Bytes())
	// A worker that is in the middle of an input when the time is over is no crasher, but go test says FAIL.
	if err != nil && input == nil && bytes.Contains(out.Bytes(), []byte("context deadline exceeded")) {
		err = nil
	}
	if err != nil {
		io.Copy(os.Stdout, &out)
		if input == nil {
			return fmt.Errorf("%s of %s: %w", t.name, t.pkg, err)
		}
		where, _ := t.where()
		return errors.Join(fmt.Errorf("%s of %s found a crasher: %s/%s", t.name, t.pkg, where, input[1]), err)
	}
	fmt.Printf("ok\t%s\t%s\t%s executions\t%.1fs\n", t.pkg, t.name, execs, time.Since(start).Seconds())
	return nil
}

func (t target) where() (string, error) {
	cmd := exec.Command("go", "list", "-f", "{{.Dir}}", t.pkg)
	cmd.Dir = t.module
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
