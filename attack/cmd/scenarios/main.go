// Command scenarios runs the tests of the conformance scenarios and prints one line for each that is claimed: its number,
// what it says, the test, and the result. It fails when a claimed scenario has no test or a failing one. A test claims by
// its name: TestScenario6BeforeWhileAndAfter, TestScenarioD10….
//
// The numbers are those of CPython's test suite for multiprocessing, by subject, as listed in claims.txt; those with a D
// are deaths that Python does not survive.
package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"text/tabwriter"
)

//go:embed claims.txt
var claims string

type scenario struct{ number, says string }

type result struct{ test, action string }

func main() {
	only := flag.String("only", os.Getenv("ONLY"), "numbers to run, a regular expression")
	dir := flag.String("C", "..", "the module with the tests")
	flag.Parse()
	want, err := regexp.Compile("^(" + *only + ")$")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ran, output, err := run(*dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	failed := 0
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, s := range parse(claims) {
		if *only != "" && !want.MatchString(s.number) {
			continue
		}
		r, ok := ran[s.number]
		switch {
		case !ok:
			r = result{"(no test)", "missing"}
			failed++
		case r.action != "pass" && r.action != "skip": // what is skipped says why
			failed++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.number, r.action, r.test, s.says)
		delete(ran, s.number)
	}
	if *only == "" {
		for n, r := range ran {
			fmt.Fprintf(w, "%s\t%s\t%s\tnot in claims.txt\n", n, r.action, r.test)
			failed++
		}
	}
	w.Flush()
	if failed > 0 {
		fmt.Printf("%d scenarios failed\n%s", failed, output)
		os.Exit(1)
	}
}

func parse(text string) (all []scenario) {
	for line := range strings.Lines(text) {
		if number, says, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all = append(all, scenario{number, strings.TrimSpace(says)})
		}
	}
	return all
}

var name = regexp.MustCompile(`^TestScenario(D?[0-9]+)`)

// run runs the tests and returns their results by number, and what the failing ones printed.
func run(dir string) (map[string]result, string, error) {
	cmd := exec.Command("go", "test", "-json", "-count=1", "-run", "^TestScenario", "./...")
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		return nil, "", err
	}
	ran := map[string]result{}
	printed := map[string]*strings.Builder{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var e struct{ Action, Package, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		if e.Action == "fail" && e.Test == "" {
			ran["package "+e.Package] = result{e.Package, "fail"} // a leak, say
		}
		m := name.FindStringSubmatch(e.Test)
		if m == nil || strings.Contains(e.Test, "/") {
			continue
		}
		switch e.Action {
		case "output":
			if printed[m[1]] == nil {
				printed[m[1]] = &strings.Builder{}
			}
			printed[m[1]].WriteString(e.Output)
		case "pass", "fail", "skip":
			if was, twice := ran[m[1]]; !twice || was.action == "pass" {
				ran[m[1]] = result{e.Test, e.Action}
			}
		}
	}
	var text strings.Builder
	for n, r := range ran {
		if r.action != "pass" && printed[n] != nil {
			text.WriteString(printed[n].String())
		}
	}
	return ran, text.String(), nil
}
