package sweep

import (
	"context"
	"fmt"
	"strings"

	"github.com/tandem-ipc/tandem/attack/internal/mutant"
)

// runMutants builds this command with each mutant, and sweeps. It must be started inside the module's directory.
func (s *Suite) runMutants(ctx context.Context, o Options, broken func(error) int) int {
	if err := s.check(); err != nil {
		return broken(err)
	}
	status, err := mutant.Run(ctx, s.Mutants, o.Only, o.mutantArguments, o.Out)
	if err != nil {
		return broken(fmt.Errorf("sweep: %w", err))
	}
	return status
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
