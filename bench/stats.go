package main

import (
	"math"
	"slices"
)

// median of values, NaN of none.
func median(v []float64) float64 { return quantile(v, 0.5) }

// quantile by linear interpolation between the two nearest ranks; NaN of no values.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	at := q * float64(len(s)-1)
	low := int(at)
	if low+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[low] + (at-float64(low))*(s[low+1]-s[low])
}

// ratios divides repetition by repetition, where both have one: what changes between two repetitions, the machine's mood
// above all, is then in both and drops out.
func ratios(of, by map[int]float64) []float64 {
	var r []float64
	for rep, v := range of {
		if w, ok := by[rep]; ok && w != 0 {
			r = append(r, v/w)
		}
	}
	return r
}
