// Package gotest reads what go test -json and go tool test2json write, and keeps what a person wants to see: how each
// package ended, what the failed tests printed, and which tests were skipped and why.
//
// # Concurrency
//
// Several streams may be read at once.
//
// # Crash behaviour
//
// None: it only reads.
package gotest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Package is how the tests of a package ended.
type Package struct {
	Name    string
	Failed  bool
	Seconds float64
	Said    string   // the line that go test ends with, if it did
	Printed string   // of a failed one: what it and its failed tests printed
	Skipped []string // "package.Test: reason"
}

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

type reader struct {
	lines map[string][]string // by test; "" is the package itself
	ended map[string]string
}

var summary = regexp.MustCompile(`^(ok  |FAIL|\?   )\t`)

// Read calls each for every package as it ends. What is no event, a compiler's errors say, goes to other.
func Read(r io.Reader, other io.Writer, each func(Package)) error {
	open := map[string]*reader{}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			read(line, open, other, each)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func read(line string, open map[string]*reader, other io.Writer, each func(Package)) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(other, line)
		return
	}
	if e.Package == "" { // build-output
		fmt.Fprint(other, e.Output)
		return
	}
	p := open[e.Package]
	if p == nil {
		p = &reader{map[string][]string{}, map[string]string{}}
		open[e.Package] = p
	}
	switch e.Action {
	case "output":
		p.lines[e.Test] = append(p.lines[e.Test], e.Output)
	case "pass", "fail", "skip":
		p.ended[e.Test] = e.Action
		if e.Test == "" {
			delete(open, e.Package)
			each(p.end(e))
		}
	}
}

func (p *reader) end(e event) Package {
	out := Package{Name: e.Package, Failed: e.Action == "fail", Seconds: e.Elapsed}
	var printed strings.Builder
	for _, test := range slices.Sorted(maps.Keys(p.lines)) {
		lines := p.lines[test]
		switch how := p.ended[test]; {
		case test == "":
			for _, l := range lines {
				if summary.MatchString(l) {
					out.Said = strings.TrimSuffix(l, "\n")
				}
			}
			fallthrough
		case out.Failed && how != "pass" && how != "skip":
			printed.WriteString(strings.Join(lines, ""))
		case how == "skip":
			out.Skipped = append(out.Skipped, e.Package+"."+test+": "+reason(lines))
		}
	}
	if out.Failed {
		out.Printed = printed.String()
	}
	return out
}

var place = regexp.MustCompile(`^\S+_test\.go:\d+: `)

// reason is what a test said when it skipped itself.
func reason(lines []string) string {
	var said []string
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "=== ") && !strings.HasPrefix(l, "--- ") {
			said = append(said, place.ReplaceAllString(l, ""))
		}
	}
	return strings.Join(said, "; ")
}
