// Command bench measures Tandem beside what a user would take instead, and beside what the machine itself charges, between
// real processes, in one run. Every payload is written and read. It needs nothing but Go; with a C compiler it also has the
// floor and the rings in C.
//
//	go run .                          # the tables, some minutes
//	ONLY='^spsc/.*/64/' go run .      # rows by bench/impl/case/size/wait/cores, and what they are compared with
//	ONLY='^policy' go run .           # what the policy chooses beside what it could be forced to; only if asked for
//	FORMAT=json go run .              # one object a line; gobench is for benchstat
//
// Rows that are compared are measured in turn, A B C B C A, each repetition within a fraction of a second and beginning
// with the cache line's round trip; the ratio printed is the median of the repetitions' ratios. On machines that change
// their mood between two seconds (virtual ones do) that is the figure to trust; value, min and max say how the mood was.
//
// # Concurrency
//
// The harness measures one row at a time. Each row's two ends are two processes of this binary, started anew for every
// group and every round, each on a thread pinned to its CPU.
//
// # Crash behaviour
//
// The processes end when the harness does, however it ends: they notice that their command pipe is closed, and take along
// what they started. What they share has no name, but for Tandem's Spaces, which are swept at the end, or by whoever uses
// Tandem next. A row that fails or hangs is reported as failed, and the others go on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/tandem-ipc/tandem/bench/crows"
	"github.com/tandem-ipc/tandem/shm"
)

func main() {
	if what := os.Getenv(waitVariable); what != "" { // of a role, whose variable it inherits
		if err := playWaiting(what); err != nil {
			fatal(err)
		}
		return
	}
	if role := os.Getenv(roleVariable); role != "" {
		if err := playRole(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := harness(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case errors.Is(err, context.Canceled):
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func playRole(role string) error {
	env, err := parseRole(role)
	if err != nil {
		return err
	}
	_, rows, err := groups()
	if err != nil {
		return err
	}
	return roleMain(env, rows)
}

// errRows says that some rows have no figure.
var errRows = errors.New("bench: some rows failed")

func harness(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	format := flags.String("format", or(os.Getenv("FORMAT"), "text"), "text, json or gobench; also FORMAT")
	only := flags.String("only", os.Getenv("ONLY"), "rows whose bench/impl/case/size/wait/cores matches this `regexp`; also ONLY")
	quick := flags.Bool("quick", false, "one very short run of each row, to see that it works")
	list := flags.Bool("list", false, "list the rows and measure nothing")
	full := fullOptions
	flags.IntVar(&full.reps, "reps", full.reps, "repetitions of each group")
	flags.IntVar(&full.rounds, "rounds", full.rounds, "passes through all groups that the repetitions are spread over")
	flags.DurationVar(&full.time, "time", full.time, "how long one run lasts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	opt := full
	if *quick {
		opt = quickOptions
	}
	if opt.reps < 1 || opt.rounds < 1 || opt.time <= 0 || flags.NArg() > 0 {
		flags.Usage()
		return flag.ErrHelp
	}
	write, ok := formats[*format]
	if !ok {
		return fmt.Errorf("bench: format %q is not text, json or gobench", *format)
	}
	if *only != "" {
		var err error
		if opt.only, err = regexp.Compile(*only); err != nil {
			return fmt.Errorf("bench: only: %w", err)
		}
	}
	all, byName, err := groups()
	if err != nil {
		return err
	}
	if opt.only == nil && !*quick && !*list {
		all = slices.DeleteFunc(all, func(g *Group) bool { return g.Rows[0].Bench == policyBench }) // it has minutes of its own
	}
	all = selected(all, opt.only)
	if len(all) == 0 {
		return fmt.Errorf("bench: no row matches %q", *only)
	}
	if *list {
		for _, g := range all {
			for _, r := range g.Rows {
				fmt.Fprintln(stdout, r.Name())
			}
		}
		return nil
	}
	m, err := readMachine()
	if err != nil {
		return err
	}
	for _, s := range lost() {
		fmt.Fprintln(stderr, "bench:", s)
	}
	rec, err := measure(ctx, all, byName[lineName()], m, opt, stderr)
	if _, swept := shm.Sweep(); swept != nil && !errors.Is(swept, errors.ErrUnsupported) {
		err = errors.Join(err, swept)
	}
	if err != nil {
		return err
	}
	if err := write(stdout, stderr, m, all, rec); err != nil {
		return err
	}
	for _, row := range sortedRows(rec.failed) {
		fmt.Fprintf(stderr, "bench: %s failed: %v\n", row.Name(), rec.failed[row])
	}
	if len(rec.failed) > 0 {
		return errRows
	}
	return nil
}

// lost says which neighbours this binary or this machine does without.
func lost() []string {
	var all []string
	if !crows.Available {
		all = append(all, "no C compiler, or built with CGO_ENABLED=0: without the floor (cacheline, futex, memcpy, copy2), the rings in C (c, c-index), and the ratios to them")
	}
	if python() == "" {
		all = append(all, "no python3: without its rows")
	}
	return all
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func sortedRows(m map[*Row]error) []*Row {
	var rows []*Row
	for r := range m {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *Row) int { return strings.Compare(a.Name(), b.Name()) })
	return rows
}
