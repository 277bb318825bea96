// Command tests runs go test with its arguments in a module, prints how each package ended and what failed, and at last a
// line for every test that skipped itself, with the reason: no skip is silent.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"

	"github.com/tandem-ipc/tandem/attack/internal/gotest"
)

func main() {
	dir := flag.String("C", "..", "the module with the tests")
	flag.Parse()
	status, err := run(*dir, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(status)
}

func run(dir string, args []string) (status int, err error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var skipped []string
	err = gotest.Read(out, os.Stderr, func(p gotest.Package) {
		fmt.Print(p.Printed)
		if !p.Failed {
			fmt.Println(p.Said)
		}
		skipped = append(skipped, p.Skipped...)
	})
	cmd.Wait()
	for _, s := range skipped {
		fmt.Println("SKIPPED", s)
	}
	return cmd.ProcessState.ExitCode(), err
}
