// Sweep kills a process at every kill point of every operation of Tandem, and looks at what is left.
//
//	sweep -list
//	sweep -only '^heap/' -mode kill,stop,resume
//	sweep -only '^heap/alloc$' -mode kill -point 0x4a1b2c:3 -v
//	sweep -mutants
//
// Exit status: 0 all held, 1 a violation (or a mutant that was not caught), 2 the attack itself failed.
package main

import "github.com/tandem-ipc/tandem/attack/sweep"

func main() { sweep.Main(&suite) }
