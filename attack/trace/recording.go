package trace

import (
	"fmt"
	"io"
	"time"
)

// Options says what to look for.
type Options struct {
	// Dir: shared mappings of files in or below it are watched. Default /dev/shm.
	Dir string

	// Code selects functions in which every instruction is a point: "tdm_ring_" is a prefix of names in the victim's
	// symbol table, "file:ring.h" means all functions that DWARF says that file defines (not where they are inlined
	// into another's). A selector that matches nothing is an error.
	Code []string

	// PrivateCalls makes system calls points that can concern nobody outside.
	PrivateCalls bool

	// MaxInstructions bounds the recording. Default 20,000,000.
	MaxInstructions int
}

// Recording is what one pass over an operation found.
type Recording struct {
	Points []Point // in the order of the run, without Begin and End

	Instructions int // single steps
	Stores       int // instructions that changed a watched mapping, nameless ones included
	Nameless     int // of these: into files that nobody else can see yet
	SystemCalls  int // all
	PrivateCalls int // of these: can concern nobody outside, so no points
	Compared     int // instructions found by comparing all watched memory, as their operand is not known
	Unexplained  int // places that changed without a recorded store or system call; see the package's doc
	Time         time.Duration

	// UnexplainedAt says where, for the first few of them.
	UnexplainedAt []string
}

// Write prints the counts on one line.
func (r *Recording) Write(w io.Writer) {
	fmt.Fprintf(w, "%d instructions, %d stores into shared mappings (%d nameless), %d system calls (%d private), %d points",
		r.Instructions, r.Stores, r.Nameless, r.SystemCalls, r.PrivateCalls, len(r.Points))
	if r.Compared > 0 {
		fmt.Fprintf(w, ", %d found by comparing", r.Compared)
	}
	if r.Unexplained > 0 {
		fmt.Fprintf(w, ", %d changes by others", r.Unexplained)
	}
	fmt.Fprintf(w, ", %v", r.Time.Round(time.Millisecond))
}

// Merge adds the points of other that r lacks, behind r's own, and returns how many those were.
func (r *Recording) Merge(other *Recording) int {
	have := make(map[string]bool, len(r.Points))
	for _, p := range r.Points {
		have[p.Name()] = true
	}
	n := 0
	for _, p := range other.Points {
		if !have[p.Name()] {
			r.Points = append(r.Points, p)
			n++
		}
	}
	return n
}
