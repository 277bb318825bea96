package sweep

import (
	"context"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/tandem-ipc/tandem/attack/internal/mutant"
)

// self is this binary, also when its file has been replaced meanwhile.
const self = "/proc/self/exe"

// Exit status of Main.
const (
	exitClean     = mutant.Clean
	exitViolation = mutant.Violation
	exitBroken    = mutant.Broken
)

// Main is the whole command: it runs a role if this process is one, and else what the command line says. It does not
// return.
func Main(s *Suite) {
	Init(s)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := command(ctx, s, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// command is Main without its process.
func command(ctx context.Context, s *Suite, args []string, out, log io.Writer) int {
	var (
		o       = Options{Out: out, Log: log, Command: program()}
		f       = flag.NewFlagSet("sweep", flag.ContinueOnError)
		only    = f.String("only", os.Getenv("ONLY"), "`regexp` of the operations and pairs (default $ONLY, else all)")
		modes   = f.String("mode", "kill,stop", "what happens at a point, separated by commas: kill, stop, resume")
		list    = f.Bool("list", false, "list operations, pairs and mutants")
		mutants = f.Bool("mutants", false, "run the mutants, by their own names, instead of the operations")
	)
	f.SetOutput(log)
	f.StringVar(&o.Point, "point", "", "make only the trial at this `point`, as a violation names it")
	f.IntVar(&o.Lanes, "lanes", 0, "trials at a time (default one per CPU)")
	f.IntVar(&o.Recordings, "recordings", 2, "recordings of each operation; the points of all are tried")
	f.IntVar(&o.MaxPoints, "points", 0, "sample more than this many points of an operation (default all)")
	f.IntVar(&o.MaxPairs, "pairs", 300, "sample more than this many pairs of points")
	f.IntVar(&o.MaxViolations, "violations", 3, "end an operation after this many violations")
	f.Float64Var(&o.MaxMissed, "missed", 0.1, "share of points that may stay out of reach")
	f.Uint64Var(&o.Seed, "seed", 1, "of all samples")
	f.BoolVar(&o.Verbose, "v", false, "print every point")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitClean
	} else if err != nil {
		return exitBroken
	}
	broken := func(err error) int {
		fmt.Fprintln(log, err)
		return exitBroken
	}
	var err error
	if *only != "" {
		if o.Only, err = regexp.Compile(*only); err != nil {
			return broken(err)
		}
	}
	if o.Modes, err = parseModes(*modes); err != nil {
		return broken(err)
	}
	switch {
	case f.NArg() > 0:
		return broken(fmt.Errorf("sweep: unexpected %q", f.Arg(0)))
	case *list:
		s.list(out, o.Only)
		return exitClean
	case *mutants:
		return s.runMutants(ctx, o, broken)
	}
	if stripped() {
		fmt.Fprintln(log, "sweep: this binary is stripped, as by go run: no lines and no functions of C")
	}
	rep, err := Run(ctx, s, o)
	if err != nil {
		return broken(err)
	}
	if o.Point != "" && len(rep.Ops) != 1 {
		return broken(fmt.Errorf("sweep: -point wants -only to leave one operation, not %d", len(rep.Ops)))
	}
	fmt.Fprintln(out)
	rep.Write(out)
	switch {
	case rep.Violations() > 0:
		return exitViolation
	case rep.Err() != nil:
		return exitBroken
	case len(rep.Ops) == 0:
		return broken(fmt.Errorf("sweep: no operation matches"))
	}
	return exitClean
}

func parseModes(s string) (modes []Mode, err error) {
	for m := range strings.SplitSeq(s, ",") {
		switch Mode(m) {
		case Kill, Stop, Resume, Plain:
			modes = append(modes, Mode(m))
		case "any": // of a violation outside trials
			return nil, nil
		default:
			return nil, fmt.Errorf("sweep: no mode %q", m)
		}
	}
	return modes, nil
}

func (s *Suite) list(w io.Writer, only *regexp.Regexp) {
	show := func(kind, name, about string) {
		if only == nil || only.MatchString(name) {
			fmt.Fprintf(w, "%-7s %s%s\n", kind, name, about)
		}
	}
	for _, op := range s.Ops {
		about := ""
		if len(op.C) > 0 {
			about = "  (every instruction of " + strings.Join(op.C, ", ") + ")"
		}
		show("op", op.Name, about)
	}
	for _, p := range s.Pairs {
		word := " beside "
		if p.Sequel {
			word = ", then "
		}
		show("pair", p.Name, "  ("+p.A+word+p.B+")")
	}
	for _, m := range s.Mutants {
		show("mutant", m.Name, "  ("+m.File+", must be caught by "+m.Only+")")
	}
}

// stripped says whether this binary lacks its symbol table.
func stripped() bool {
	f, err := elf.Open(self)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Section(".symtab") == nil
}

// program is how to start this program again: go run's binary will be gone.
func program() string {
	if strings.Contains(os.Args[0], string(filepath.Separator)+"go-build") {
		if info, ok := debug.ReadBuildInfo(); ok {
			return "go run -ldflags='-s=false -w=false' " + info.Path
		}
	}
	return os.Args[0]
}

// command is the line that repeats one trial.
func (o Options) command(name string, mode Mode, point string) string {
	line := fmt.Sprintf("%s -only '^%s$'", o.Command, regexp.QuoteMeta(name))
	if point != "" && mode != Plain {
		line += fmt.Sprintf(" -mode %s -point %s", mode, point)
	}
	return line
}
