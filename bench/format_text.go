package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// writeText writes the machine and a table for each bench.
func writeText(out, _ io.Writer, m *Machine, groups []*Group, rec *record) error {
	for _, l := range m.lines() {
		fmt.Fprintln(out, l)
	}
	for _, l := range lost() {
		fmt.Fprintln(out, "lost      ", l)
	}
	all := allResults(m, groups, rec)
	var benches []string
	for _, r := range all {
		if !slices.Contains(benches, r.Bench) {
			benches = append(benches, r.Bench)
		}
	}
	for _, bench := range benches {
		var rows []Result
		for _, r := range all {
			if r.Bench == bench {
				rows = append(rows, r)
			}
		}
		if err := writeTable(out, bench, rows); err != nil {
			return err
		}
	}
	return nil
}

func writeTable(out io.Writer, bench string, rows []Result) error {
	fmt.Fprintf(out, "\n%s\n", bench)
	// Bandwidth that is another reading of the row before it stands on that row.
	bandwidths := map[*Row]Result{}
	for _, r := range rows {
		if r.Metric != r.row.Metric {
			bandwidths[r.row] = r
		}
	}
	rows = slices.DeleteFunc(slices.Clone(rows), func(r Result) bool { return r.Metric != r.row.Metric })
	sampled := slices.ContainsFunc(rows, func(r Result) bool { return r.P50 != nil })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := "case\tsize\tcores\twait\timpl\tmedian\tmin … max\t"
	if sampled {
		head += "p50\tp99\tp99.9\t"
	}
	if len(bandwidths) > 0 {
		head += "bandwidth\t"
	}
	head += "line\t× baseline\t"
	columns := strings.Count(head, "\t")
	fmt.Fprintln(w, head)
	var notes []string
	for i, r := range rows {
		if i > 0 && rows[i-1].group != r.group {
			fmt.Fprintln(w, strings.Repeat("\t", columns))
		}
		kind := r.Case
		if r.Batch > 1 {
			kind += fmt.Sprintf(" of %d", r.Batch)
		}
		mark := ""
		if r.Note != "" {
			n := slices.Index(notes, r.Note)
			if n < 0 {
				n = len(notes)
				notes = append(notes, r.Note)
			}
			mark = fmt.Sprintf(" [%d]", n+1)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s … %s\t", kind, humanSize(r.Size), r.Cores, r.Wait, r.Impl+mark,
			human(r.Value, r.Unit), human(r.Min, r.Unit), human(r.Max, r.Unit))
		if sampled {
			for _, p := range []*float64{r.P50, r.P99, r.P999} {
				if p == nil {
					fmt.Fprint(w, "\t")
				} else {
					fmt.Fprintf(w, "%s\t", human(*p, Nanoseconds))
				}
			}
		}
		if b, ok := bandwidths[r.row]; ok {
			fmt.Fprint(w, human(b.Value, b.Unit))
		}
		if len(bandwidths) > 0 {
			fmt.Fprint(w, "\t")
		}
		line := ""
		if r.Line != nil {
			line = human(*r.Line, Nanoseconds)
		}
		fmt.Fprintf(w, "%s\t%s\t\n", line, ratioText(r.Ratios))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i, n := range notes {
		fmt.Fprintf(out, "[%d] %s.\n", i+1, n)
	}
	return nil
}

func ratioText(ratios []Ratio) string {
	var all []string
	for _, r := range ratios {
		all = append(all, digits(r.Value)+" × "+r.Baseline)
	}
	return strings.Join(all, ", ")
}
