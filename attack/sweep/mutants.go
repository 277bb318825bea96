package sweep

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tandem-ipc/tandem/attack/internal/mutant"
)

// runMutants builds this command with each mutant, and sweeps. It must be started inside the module's directory.
func (s *Suite) runMutants(ctx context.Context, o Options, broken func(error) int) int {
	if err := s.check(); err != nil {
		return broken(err)
	}
	chosen, operations, err := s.mutantsFor(o.Only)
	if err != nil {
		return broken(err)
	}
	if len(chosen) == 0 && operations {
		fmt.Fprintln(o.Out, "no mutant is of these operations")
		return mutant.Clean
	}
	status, err := mutant.Run(ctx, chosen, nil, o.mutantArguments, o.Out)
	if err != nil {
		return broken(fmt.Errorf("sweep: %w", err))
	}
	return status
}

// mutantsFor are the mutants whose name matches, or that operations which match must catch; operations tells whether there are
// such.
func (s *Suite) mutantsFor(only *regexp.Regexp) (chosen []Mutant, operations bool, err error) {
	if only == nil {
		return s.Mutants, true, nil
	}
	var names []string
	for _, op := range s.Ops {
		names = append(names, op.Name)
	}
	for _, p := range s.Pairs {
		names = append(names, p.Name)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !only.MatchString(name) })
	for _, m := range s.Mutants {
		theirs, err := regexp.Compile(m.Only)
		if err != nil {
			return nil, false, fmt.Errorf("sweep: mutant %s: %w", m.Name, err)
		}
		if only.MatchString(m.Name) || slices.ContainsFunc(names, theirs.MatchString) {
			chosen = append(chosen, m)
		}
	}
	return chosen, len(names) > 0, nil
}

// mutantArguments run a binary over the operations, until the first violation.
func (o Options) mutantArguments(only string) []string {
	var modes []string
	for _, m := range o.Modes {
		modes = append(modes, string(m))
	}
	return []string{"-only", only, "-violations", "1", "-recordings", "1", "-seed", fmt.Sprint(o.Seed),
		"-points", fmt.Sprint(o.MaxPoints), "-pairs", fmt.Sprint(o.MaxPairs), "-lanes", fmt.Sprint(o.Lanes),
		"-missed", fmt.Sprint(o.MaxMissed), "-mode", strings.Join(modes, ",")}
}
