package scribble

import (
	"github.com/tandem-ipc/tandem/attack/storm"
	"github.com/tandem-ipc/tandem/process"
)

// Suite is the scenarios of hostile memory.
func Suite() *storm.Suite {
	return &storm.Suite{
		Scenarios: []storm.Scenario{
			{Name: "scribble", About: "every public operation, while somebody writes anything anywhere", Run: scribbled},
			{Name: "truncate", About: "the same, while files are shortened", Run: truncated},
		},
		Programs: []storm.Program{{Variable: roleVariable, Run: func() { process.Main(use) }}},
		Mutants:  mutants(),
	}
}
