// Command without repeats the tests of packages with each kernel feature that Tandem probes for forced off
// (TANDEM_DISABLE): one after another, then all at once. The features are those of package internal/feature.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/tandem-ipc/tandem/attack/internal/gotest"
	"github.com/tandem-ipc/tandem/internal/feature"
)

func main() {
	dir := flag.String("C", "..", "the module with the packages")
	flag.Parse()
	if err := run(*dir, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// binary is the tests of a package, built.
type binary struct{ path, name, dir string }

func run(dir string, packages []string) error {
	tmp, err := os.MkdirTemp("", "tandem-without-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	binaries, err := build(dir, tmp, packages)
	if err != nil {
		return err
	}
	var names []string
	var failed []error
	for _, f := range feature.All {
		names = append(names, string(f))
		failed = append(failed, test(string(f), binaries))
	}
	return errors.Join(append(failed, test(strings.Join(names, ","), binaries))...)
}

func build(dir, tmp string, packages []string) (all []binary, err error) {
	cmd := exec.Command("go", append([]string{"list", "-f", "{{.ImportPath}} {{.Dir}}"}, packages...)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		name, where, _ := strings.Cut(strings.TrimSpace(line), " ")
		all = append(all, binary{filepath.Join(tmp, filepath.Base(name)+".test"), name, where})
	}
	cmd = exec.Command("go", append([]string{"test", "-c", "-o", tmp + "/"}, packages...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	return all, cmd.Run()
}

// test runs all binaries, as many at a time as there are processors.
func test(off string, binaries []binary) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		turns  = make(chan bool, runtime.GOMAXPROCS(0))
		failed error
	)
	for _, b := range binaries {
		turns <- true
		wg.Go(func() {
			defer func() { <-turns }()
			p, err := b.test(off)
			mu.Lock()
			defer mu.Unlock()
			how := "ok  "
			if err != nil {
				fmt.Print(p.Printed)
				how = "FAIL"
				failed = errors.Join(failed, fmt.Errorf("without %s: %s: %w", off, b.name, err))
			}
			fmt.Printf("%s\twithout %s\t%s\t%.3fs\n", how, off, b.name, p.Seconds)
			for _, s := range p.Skipped {
				fmt.Println("SKIPPED", s)
			}
		})
	}
	wg.Wait()
	return failed
}

func (b binary) test(off string) (p gotest.Package, err error) {
	cmd := exec.Command("go", "tool", "test2json", "-t", "-p", b.name, b.path, "-test.v=test2json", "-test.timeout=5m")
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), "TANDEM_DISABLE="+off)
	out, err := cmd.Output()
	var other bytes.Buffer
	if bad := gotest.Read(bytes.NewReader(out), &other, func(q gotest.Package) { p = q }); bad != nil {
		return p, bad
	}
	if err != nil || p.Failed || p.Name == "" {
		p.Printed += other.String()
		return p, errors.Join(err, errors.New("tests failed"))
	}
	return p, nil
}
