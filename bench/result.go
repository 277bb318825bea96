package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Result is what is known about a row when all its repetitions are done. Its JSON form is the format of a line.
type Result struct {
	Bench     string   `json:"bench"`
	Impl      string   `json:"impl"`
	Case      string   `json:"case"`
	Size      int      `json:"size"`
	Batch     int      `json:"batch"`
	Wait      string   `json:"wait"`
	Procs     int      `json:"procs"`
	Producers int      `json:"producers"`
	Consumers int      `json:"consumers"`
	Cores     int      `json:"cores"`
	Metric    Metric   `json:"metric"`
	Unit      Unit     `json:"unit"`
	Value     float64  `json:"value"` // median
	Min       float64  `json:"min"`
	Max       float64  `json:"max"`
	P50       *float64 `json:"p50"` // of the samples, for what has samples
	P99       *float64 `json:"p99"`
	P999      *float64 `json:"p999"`
	Runs      int      `json:"runs"`

	Ratios    []Ratio  `json:"ratios,omitempty"`
	Line      *float64 `json:"line,omitempty"` // ns: the cache line's round trip beside these runs
	Placement string   `json:"placement,omitempty"`
	Machine   string   `json:"machine,omitempty"`
	Note      string   `json:"note,omitempty"`

	group *Group
	row   *Row
	runs  []run
}

// Ratio is a row divided by another, repetition by repetition.
type Ratio struct {
	Baseline string  `json:"baseline"`
	Value    float64 `json:"ratio"` // median
	Min      float64 `json:"min"`
	Max      float64 `json:"max"`
}

// run is one repetition of one row.
type run struct {
	rep     int
	value   float64 // in the row's unit
	count   int64
	elapsed time.Duration
	samples []int64
	line    float64 // the cache line's round trip in the same repetition, 0 if there was none
}

// record collects the runs of all rows.
type record struct {
	runs   map[place][]run
	failed map[*Row]error
}

// place is a row in a group: what runs beside several groups is divided by only within each.
type place struct {
	group *Group
	row   *Row
}

// results are a group's results, in the order of its rows; a row that never ran has none.
func (rec *record) results(g *Group, m *Machine) []Result {
	var all []Result
	for _, row := range g.Rows {
		runs := rec.runs[place{g, row}]
		if len(runs) == 0 {
			continue
		}
		res := summarise(row, runs)
		res.group = g
		own := byRep(runs)
		for _, base := range g.Against {
			if base == row {
				continue
			}
			q := ratios(own, byRep(rec.runs[place{g, base}]))
			if row.Unit == MessagesPerSecond && base.Unit == BytesPerSecond {
				for i := range q {
					q[i] *= float64(row.Size)
				}
			}
			if len(q) == 0 {
				continue
			}
			res.Ratios = append(res.Ratios, Ratio{
				Baseline: base.short(row), Value: median(q), Min: slices.Min(q), Max: slices.Max(q),
			})
		}
		res.Ratios = append(res.Ratios, rec.againstBest(g, row)...)
		res.Placement, res.Machine = m.placement(row), m.short()
		res.Note = row.Note
		if slow := slowerThanReference(row, res); slow != "" {
			if res.Note != "" {
				res.Note += "; "
			}
			res.Note += slow
		}
		all = append(all, res)
		if row.Metric == Throughput && row.Size >= 64<<10 && row.Case != "zerocopy" {
			all = append(all, res.bandwidth())
		}
	}
	return all
}

// short names a baseline as one reads it beside another row: by what is different.
func (r *Row) short(beside *Row) string {
	if r.Bench != beside.Bench {
		return r.Bench + "/" + r.Impl + "/" + r.Case
	}
	if r.Impl == beside.Impl {
		return r.Impl + "/" + r.Case
	}
	return r.Impl
}

func byRep(runs []run) map[int]float64 {
	m := make(map[int]float64, len(runs))
	for _, r := range runs {
		m[r.rep] = r.value
	}
	return m
}

func summarise(row *Row, runs []run) Result {
	res := Result{
		Bench: row.Bench, Impl: row.Impl, Case: row.Case, Size: row.Size, Batch: row.Batch, Wait: row.Wait,
		Procs: row.Procs, Producers: row.Producers, Consumers: row.Consumers, Cores: row.Cores,
		Metric: row.Metric, Unit: row.Unit, Runs: len(runs), row: row, runs: runs,
	}
	var values, samples, lines []float64
	for _, r := range runs {
		values = append(values, r.value)
		for _, s := range r.samples {
			samples = append(samples, float64(s))
		}
		if r.line > 0 {
			lines = append(lines, r.line)
		}
	}
	res.Value, res.Min, res.Max = median(values), slices.Min(values), slices.Max(values)
	if len(samples) > 0 {
		res.P50, res.P99, res.P999 = new(quantile(samples, 0.5)), new(quantile(samples, 0.99)), new(quantile(samples, 0.999))
	}
	if len(lines) > 0 {
		res.Line = new(median(lines))
	}
	return res
}

// bandwidth is the same runs, counted in bytes.
func (r Result) bandwidth() Result {
	size := float64(r.Size)
	r.Metric, r.Unit = Bandwidth, BytesPerSecond
	r.Value, r.Min, r.Max = r.Value*size, r.Min*size, r.Max*size
	return r
}

// value is a run's value in the row's unit.
func (o *Outcome) value() (float64, error) {
	if o.Count <= 0 || o.Elapsed <= 0 {
		return 0, fmt.Errorf("bench: %s: %d messages in %v", o.Row.Name(), o.Count, o.Elapsed)
	}
	v := math.NaN()
	switch n, s := float64(o.Count), o.Elapsed.Seconds(); {
	case o.Row.Compute != nil:
		v = o.Row.Compute(*o)
	case o.Row.Unit == BytesPerSecond:
		v = n * float64(o.Row.Size) / s
	case o.Row.rate():
		v = n / s
	case o.Row.Unit == Nanoseconds:
		v = s * 1e9 / n
	}
	none := o.Row.Metric == Switches || o.Row.Metric == CPU // may be 0, and that is the best
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || v == 0 && !none {
		return 0, fmt.Errorf("bench: %s: a value of %v", o.Row.Name(), v)
	}
	return v, nil
}
