package storm

import "github.com/tandem-ipc/tandem/process"

// Trees is the storms of trees of processes.
func Trees() *Suite {
	return &Suite{
		Scenarios: []Scenario{
			{Name: "tree", About: "trees of processes, killed one by one and as a whole", Run: trees},
		},
		Programs: []Program{{Variable: roleVariable, Run: func() { process.Main(root) }}},
		Mutants:  mutants(),
	}
}
