package main

import (
	"fmt"
	"io"
	"os"
)

// progress says how far the harness is: in one line that is written over and over on a terminal, in a line for each round
// elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	round    int
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, round: -1}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *progress) at(round, rounds, group, groups int, row *Row) {
	switch {
	case p.terminal:
		fmt.Fprintf(p.w, "\r\x1b[Kround %d of %d, group %d of %d: %s", round+1, rounds, group+1, groups, row.Name())
	case round != p.round:
		fmt.Fprintf(p.w, "bench: round %d of %d through %d groups\n", round+1, rounds, groups)
	}
	p.round = round
}

// done clears the line.
func (p *progress) done() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
