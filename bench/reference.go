package main

import "fmt"

// The figures of the machine on which the project was designed, whose cache line took 230 ns there and back. They are not
// to be quoted beside others; they only tell whether the C rows of this run are as fast as C can be here.
const referenceLine = 230.0 // ns

var reference = map[string]float64{
	"floor/c/futex/4/block/1":       4200, // ns
	"floor/c/futex/4/block/2":       11500,
	"floor/c/cacheline/64/spin/2":   291,
	"floor/c/copy2/65536/spin/2":    10.1e9, // B/s
	"floor/c/copy2/1048576/spin/2":  8.7e9,
	"spsc/c/single/8/spin/2":        72e6, // msg/s
	"spsc/c/single/64/spin/2":       100e6,
	"spsc/c/batch/8/spin/2":         413e6,
	"spsc/c/batch/64/spin/2":        110e6,
	"spsc/c-index/single/8/spin/2":  67e6, // msg/s
	"spsc/c-index/single/64/spin/2": 43.5e6,
}

// slowerThanReference is a rule of thumb: what crosses between two CPUs costs in proportion to the cache line. A line faster
// than half the reference's means that the two CPUs share more than memory, and the rule ends there.
func slowerThanReference(row *Row, res Result) string {
	want, ok := reference[row.Name()]
	if !ok {
		return ""
	}
	scale := 1.0
	if row.Cores > 1 {
		if res.Line == nil {
			return ""
		}
		scale = max(*res.Line/referenceLine, 0.5)
	}
	const tolerance = 1.1
	if row.rate() {
		want /= scale
		if res.Value*tolerance >= want {
			return ""
		}
	} else {
		want *= scale
		if res.Value <= want*tolerance {
			return ""
		}
	}
	against := "relative to the cache line"
	if row.Cores == 1 {
		against = "absolutely, on one CPU"
	}
	return fmt.Sprintf("slower than on the reference machine %s: %s, expected %s",
		against, human(res.Value, row.Unit), human(want, row.Unit))
}
