// Storm kills processes of living trees at random and looks what is left.
//
//	storm -list
//	storm -only '^tree$' -for 1m
//	storm -only '^tree$' -kills 100000
//	storm -only '^tree$' -seed 7 -round 3
//	storm -mutants
//
// Exit status: 0 all held, 1 a violation (or a mutant that was not caught), 2 the attack itself failed.
package main

import (
	"github.com/tandem-ipc/tandem/attack/scribble"
	"github.com/tandem-ipc/tandem/attack/storm"
)

func main() { storm.Main(storm.Trees().Add(scribble.Suite())) }
