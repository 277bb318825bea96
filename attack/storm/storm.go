package storm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tandem-ipc/tandem/attack/internal/mutant"
	"github.com/tandem-ipc/tandem/process"
)

// A Scenario is a kind of storm.
type Scenario struct {
	Name  string
	About string // one line
	// Run attacks until s.Enough. Its error is one of the attack itself; what was found goes to s.Violation.
	Run func(ctx context.Context, s *Storm) error
}

// Program is a role that a process of this binary plays, if the variable is in its environment.
type Program struct {
	Variable string
	Run      func() // does not return
}

// Suite is everything that a command can run.
type Suite struct {
	Scenarios []Scenario
	Programs  []Program
	Mutants   []mutant.Mutant
}

// Options say how long and how.
type Options struct {
	Seed  uint64        // of all choices
	For   time.Duration // how long; 0: until Kills
	Kills int           // how many kills; 0: until For
	Round int           // make only this round; 0: all
	Lanes int           // rounds at a time; 0: as many as suit the machine
}

// Storm is one run of a scenario.
type Storm struct {
	Options
	Name    string
	Out     io.Writer
	Log     io.Writer
	command string
	began   time.Time

	mu         sync.Mutex
	violations int
	kills      int
	facts      []string
}

// Enough tells whether the storm has lasted.
func (s *Storm) Enough() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.violations > 0 || s.For > 0 && time.Since(s.began) >= s.For || s.Kills > 0 && s.kills >= s.Kills
}

// Killed counts processes that had begun their work and were killed.
func (s *Storm) Killed(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kills += n
}

// Violation reports what must not happen, and in which round. The first one ends the storm.
func (s *Storm) Violation(round int, verdict string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations++
	fmt.Fprintf(s.Out, "\nVIOLATION %s, round %d\n", s.Name, round)
	fmt.Fprintf(s.Out, mutant.VerdictPrefix+"%s\n", strings.ReplaceAll(strings.TrimRight(verdict, "\n"), "\n", "\n    "))
	fmt.Fprintf(s.Out, "  repeat:  %s -only '^%s$' -seed %d -round %d   (the same choices; the kernel makes others)\n", s.command,
		regexp.QuoteMeta(s.Name), s.Seed, round)
}

// Fact adds to the line that sums the storm up.
func (s *Storm) Fact(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts = append(s.facts, fmt.Sprintf(format, args...))
}

// Main is the whole command: it plays a role if this process has one, and else does what the command line says. It does not
// return.
func Main(s *Suite) {
	Init(s)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := command(ctx, s, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// Init plays a role, if this process has one, and does not return then.
func Init(s *Suite) {
	process.Init()
	for _, p := range s.Programs {
		if os.Getenv(p.Variable) != "" {
			p.Run()
		}
	}
}

// command is Main without its process.
func command(ctx context.Context, s *Suite, args []string, out, log io.Writer) int {
	var (
		o       Options
		f       = flag.NewFlagSet("storm", flag.ContinueOnError)
		only    = f.String("only", os.Getenv("ONLY"), "`regexp` of the scenarios, or mutants (default $ONLY, else all)")
		list    = f.Bool("list", false, "list scenarios and mutants")
		mutants = f.Bool("mutants", false, "run the mutants, by their own names, instead of the scenarios")
	)
	f.SetOutput(log)
	f.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()), "of all choices (default: another one each time)")
	f.DurationVar(&o.For, "for", 0, "how long each scenario lasts (default 30s, if no number of kills is given)")
	f.IntVar(&o.Kills, "kills", 0, "end each scenario after so many kills")
	f.IntVar(&o.Round, "round", 0, "make only this round, as a violation names it")
	f.IntVar(&o.Lanes, "lanes", 0, "rounds at a time (default: as suits the machine)")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return mutant.Clean
	} else if err != nil {
		return mutant.Broken
	}
	broken := func(err error) int {
		fmt.Fprintln(log, "storm:", err)
		return mutant.Broken
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return broken(err)
	}
	if f.NArg() > 0 {
		return broken(fmt.Errorf("unexpected %q", f.Arg(0)))
	}
	if o.For == 0 && o.Kills == 0 {
		o.For = 30 * time.Second
	}
	switch {
	case *list:
		s.list(out, match)
		return mutant.Clean
	case *mutants && !s.hasMutant(match) && s.hasScenario(match):
		fmt.Fprintln(log, "storm: these scenarios have no mutants")
		return mutant.Clean
	case *mutants:
		status, err := mutant.Run(ctx, s.Mutants, match, o.mutantArguments, out)
		if err != nil {
			return broken(err)
		}
		return status
	}
	status, n := mutant.Clean, 0
	for _, sc := range s.Scenarios {
		if !match.MatchString(sc.Name) {
			continue
		}
		n++
		st := &Storm{Options: o, Name: sc.Name, Out: out, Log: log, command: program(), began: time.Now()}
		fmt.Fprintf(log, "%s: seed %d\n", sc.Name, o.Seed)
		if err := sc.Run(ctx, st); err != nil {
			return broken(fmt.Errorf("%s: %w", sc.Name, err))
		}
		if err := context.Cause(ctx); err != nil {
			return broken(err)
		}
		fmt.Fprintln(out, st.summary())
		if st.violations > 0 {
			status = mutant.Violation
		}
	}
	if n == 0 {
		return broken(errors.New("no scenario matches"))
	}
	return status
}

func (s *Storm) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := time.Since(s.began)
	parts := append([]string{fmt.Sprintf("%s: %d violations in %v, seed %d", s.Name, s.violations, took.Round(100*time.Millisecond), s.Seed)},
		s.facts...)
	if s.kills > 0 {
		parts = append(parts, fmt.Sprintf("%d kills (%.0f/s)", s.kills, float64(s.kills)/took.Seconds()))
	}
	return strings.Join(parts, "; ")
}

// mutantArguments make a binary run scenarios for a while, with the same choices each time.
func (o Options) mutantArguments(only string) []string {
	return []string{"-only", only, "-seed", fmt.Sprint(o.Seed), "-for", mutantFor.String()}
}

const mutantFor = 15 * time.Second

func (s *Suite) hasMutant(match *regexp.Regexp) bool {
	return slices.ContainsFunc(s.Mutants, func(m mutant.Mutant) bool { return match.MatchString(m.Name) })
}

func (s *Suite) hasScenario(match *regexp.Regexp) bool {
	return slices.ContainsFunc(s.Scenarios, func(sc Scenario) bool { return match.MatchString(sc.Name) })
}

func (s *Suite) list(w io.Writer, only *regexp.Regexp) {
	for _, sc := range s.Scenarios {
		if only.MatchString(sc.Name) {
			fmt.Fprintf(w, "scenario %s  (%s)\n", sc.Name, sc.About)
		}
	}
	for _, m := range s.Mutants {
		if only.MatchString(m.Name) {
			fmt.Fprintf(w, "mutant   %s  (%s, must be caught by %s)\n", m.Name, m.File, m.Only)
		}
	}
}

// program is how to start this program again: go run's binary will be gone.
func program() string {
	if strings.Contains(os.Args[0], string(filepath.Separator)+"go-build") {
		if info, ok := debug.ReadBuildInfo(); ok {
			return "go run " + info.Path
		}
	}
	return os.Args[0]
}

// Add adds another suite.
func (s *Suite) Add(t *Suite) *Suite {
	s.Scenarios = append(s.Scenarios, t.Scenarios...)
	s.Programs = append(s.Programs, t.Programs...)
	s.Mutants = append(s.Mutants, t.Mutants...)
	return s
}
