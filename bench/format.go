package main

import (
	"fmt"
	"io"
)

// formats write what was measured: the figures to the first writer; what no figure's line has room for may go to the
// second.
var formats = map[string]func(out, aside io.Writer, m *Machine, groups []*Group, rec *record) error{
	"text":    writeText,
	"json":    writeJSON,
	"gobench": writeGobench,
}

// allResults are the results of all groups in the order of the tables.
func allResults(m *Machine, groups []*Group, rec *record) []Result {
	var all []Result
	for _, g := range groups {
		all = append(all, rec.results(g, m)...)
	}
	return all
}

// human is a value as one says it: 12.3 M msg/s, 95 ns, 1.2 µs, 8.7 GB/s.
func human(v float64, u Unit) string {
	switch u {
	case Nanoseconds:
		switch {
		case v < 1e3:
			return digits(v) + " ns"
		case v < 1e6:
			return digits(v/1e3) + " µs"
		case v < 1e9:
			return digits(v/1e6) + " ms"
		}
		return digits(v/1e9) + " s"
	case BytesPerSecond, Bytes:
		return scaled(v, string(u), "")
	case Count:
		return fmt.Sprintf("%.0f", v)
	}
	return scaled(v, string(u), " ")
}

func scaled(v float64, unit, space string) string {
	switch {
	case v >= 1e9:
		return digits(v/1e9) + " G" + space + unit
	case v >= 1e6:
		return digits(v/1e6) + " M" + space + unit
	case v >= 1e3:
		return digits(v/1e3) + " k" + space + unit
	}
	return digits(v) + " " + unit
}

// digits is three significant digits.
func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// humanSize is a size in bytes: 8 B, 64 KiB, 1 MiB.
func humanSize(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
