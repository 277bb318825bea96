package toy

import (
	"slices"

	"github.com/tandem-ipc/tandem/attack/sweep"
)

// Suite is all toys.
func Suite() *sweep.Suite {
	return &sweep.Suite{
		Ops: slices.Concat(publishers(), counters(), transfers(), births(), cOps()),
		Pairs: []sweep.Pair{
			{Name: "toy-pair/right", A: "toy/right", B: "toy/noise"},
			{Name: "toy-pair/blocked", A: "toy/spin", B: "toy/spin"},
			{Name: "toy-pair/sequel", A: "toy/transfer", B: "toy/recover", Sequel: true},
		},
		Mutants: []sweep.Mutant{
			{
				Name: "toy-mutant/swapped", File: "attack/internal/toy/publish.go", Only: "^toy/right$",
				Old:    "	r.Words[wordData].Store(42)\n	r.Words[wordFlag].Store(1)\n",
				New:    "	r.Words[wordFlag].Store(1)\n	r.Words[wordData].Store(42)\n",
				Expect: "flag is set but data is 0",
			},
			{
				Name: "toy-mutant/redo", File: "attack/internal/toy/transfer.go", Only: "^toy/(transfer|recover)$|sequel",
				Old:    "		r.Words[wordB].Store(r.Words[wordNewB].Load())\n		r.Words[wordIntent].Store(0)\n",
				New:    "		r.Words[wordIntent].Store(0)\n		r.Words[wordB].Store(r.Words[wordNewB].Load())\n",
				Expect: "together not 100",
			},
			{
				Name: "toy-mutant/otherwise", File: "attack/internal/toy/publish.go", Only: "^toy/right$",
				Old:    "	r.Words[wordData].Store(42)\n	r.Words[wordFlag].Store(1)\n",
				New:    "	r.Words[wordFlag].Store(1)\n	r.Words[wordData].Store(42)\n",
				Expect: "something else",
			},
			{
				Name: "toy-mutant/uncompiled", File: "attack/internal/toy/publish.go", Only: "^toy/right$",
				Old: "// publish is right.", New: "not Go",
			},
			{
				Name: "toy-mutant/harmless", File: "attack/internal/toy/publish.go", Only: "^toy/right$",
				Old: "// publish is right.", New: "// publish is right!",
			},
			{
				Name: "toy-mutant/absent", File: "attack/internal/toy/publish.go", Only: "^toy/right$",
				Old: "no such text", New: "",
			},
		},
	}
}
