package scribble

import "github.com/tandem-ipc/tandem/attack/internal/mutant"

// mutants are checks that are missing: the scribbler must find that they are.
func mutants() []mutant.Mutant {
	return []mutant.Mutant{
		{
			Name: "scribble: a slab's header is believed",
			File: "shm/slab.go",
			Old:  "	if !validSlab(h, w, i, g.units, g.shift) {",
			New:  "	if false && !validSlab(h, w, i, g.units, g.shift) {",
			Only: "^scribble$",
		},
		{
			Name: "scribble: where a run begins is believed",
			File: "shm/heap.go",
			Old:  "		if first -= w.A(); first < 0 {",
			New:  "		if first -= w.A(); false {",
			Only: "^scribble$",
		},
	}
}
