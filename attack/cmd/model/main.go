// Model explores Tandem's protocols exhaustively, with crashes and stops, and mutants of them.
//
//	model
//	model -only '^heap'
//	model -only sets -trace
//	model -full
//
// Exit status: 0 all held and every mutant was caught, 1 a property does not hold, or a mutant survived, 2 wrong use.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/tandem-ipc/tandem/attack/model"
	"github.com/tandem-ipc/tandem/attack/model/check"
)

func main() {
	only := flag.String("only", "", "explore the cases whose name, model and configuration or mutant, matches this `regexp`")
	full := flag.Bool("full", false, "also the configurations that take long")
	trace := flag.Bool("trace", false, "print how each mutant is caught")
	list := flag.Bool("list", false, "list the cases")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "model: -only:", err)
		os.Exit(2)
	}
	os.Exit(run(match, *full, *trace, *list))
}

func run(match *regexp.Regexp, full, trace, list bool) int {
	var protocols, mutants []model.Case
	for _, c := range model.Cases() {
		switch {
		case !match.MatchString(c.Name()), c.Full && !full:
		case list:
			fmt.Println(c.Name())
		case c.Mutant != "":
			mutants = append(mutants, c)
		default:
			protocols = append(protocols, c)
		}
	}
	start, bad := time.Now(), 0
	if len(protocols) > 0 {
		fmt.Printf("%-10s %-66s %10s %6s %8s %7s %8s\n", "model", "configuration", "states", "depth", "ends", "alone", "time")
	}
	for _, c := range protocols {
		r := c.Explore()
		fmt.Printf("%-10s %-66s %10d %6d %8d %7d %8v  %s\n", c.Model, c.Config, r.States, r.Depth, r.Ends, r.Longest,
			r.Time.Round(10*time.Millisecond), verdict(r))
		if r.Failure != nil || r.Cut {
			bad++
			show(r.Failure)
		}
	}
	if len(mutants) > 0 {
		fmt.Printf("\n%-10s %-66s %10s %8s  %s\n", "model", "mutant", "states", "time", "caught by")
	}
	for _, c := range mutants {
		r := c.Explore()
		what := "NOT CAUGHT"
		if r.Failure != nil {
			what = r.Failure.Why
		} else {
			bad++
		}
		fmt.Printf("%-10s %-66s %10d %8v  %s\n", c.Model, c.Mutant, r.States, r.Time.Round(10*time.Millisecond), what)
		if trace {
			show(r.Failure)
		}
	}
	fmt.Printf("\n%d configurations, %d mutants, %v", len(protocols), len(mutants), time.Since(start).Round(100*time.Millisecond))
	if bad > 0 {
		fmt.Printf(", %d FAILED", bad)
	}
	fmt.Println()
	if bad > 0 {
		return 1
	}
	return 0
}

func verdict(r check.Result) string {
	switch {
	case r.Failure != nil:
		return "FAILED"
	case r.Cut:
		return "TOO MANY STATES"
	}
	return "ok"
}

// show prints a failure as the steps that lead to it.
func show(f *check.Failure) {
	if f == nil {
		return
	}
	proc, step := 4, 20
	for _, l := range f.Trace {
		proc, step = max(proc, len(l.Proc)), max(step, len(l.Step))
	}
	for i, l := range f.Trace {
		const head, tail = 100, 12 // a run without an end is long
		if i == head && len(f.Trace) > head+tail {
			fmt.Println("       …")
		}
		if i >= head && i < len(f.Trace)-tail {
			continue
		}
		fmt.Println(strings.TrimRight(fmt.Sprintf("  %3d  %-*s  %-*s  %s", i+1, proc, l.Proc, step, l.Step, l.Effect), " "))
	}
	fmt.Printf("       => %s\n", f.Why)
}
