package sweep

import (
	"io"
	"regexp"
)

// Options say what of a suite to run and how.
type Options struct {
	Only  *regexp.Regexp // names of operations and pairs; nil: all
	Modes []Mode         // default Kill and Stop

	// Point restricts the sweep to one trial, named as a violation names it; Only must leave one operation then.
	Point string

	Lanes         int // trials at a time, each pinned to a CPU. Default: one per CPU
	Recordings    int // of each operation; the points of all are tried. Default 2
	MaxPoints     int // per operation, sampled beyond. Default: all
	MaxPairs      int // per pair, sampled beyond. Default 300
	MaxViolations int // per operation; it ends then. Default 3
	MaxMissed     float64
	Seed          uint64 // of all samples

	Verbose bool      // print every point
	Out     io.Writer // what was found. Default: discarded
	Log     io.Writer // progress. Default: discarded
	Command string    // for the line that repeats a trial. Default: this program
}

func (o Options) withDefaults(cpus int) Options {
	if len(o.Modes) == 0 {
		o.Modes = []Mode{Kill, Stop}
	}
	defaultTo(&o.Lanes, cpus)
	defaultTo(&o.Recordings, 2)
	defaultTo(&o.MaxPairs, 300)
	defaultTo(&o.MaxViolations, 3)
	if o.MaxMissed == 0 {
		o.MaxMissed = 0.1
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o
}

func defaultTo(n *int, value int) {
	if *n <= 0 {
		*n = value
	}
}
