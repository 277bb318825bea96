package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
)

// writeGobench writes one line for each repetition, as go test -bench would, for benchstat to compare.
func writeGobench(out, _ io.Writer, m *Machine, groups []*Group, rec *record) error {
	fmt.Fprintf(out, "goos: %s\ngoarch: %s\npkg: github.com/tandem-ipc/tandem/bench\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, m.CPU)
	for _, r := range allResults(m, groups, rec) {
		if r.Metric == Bandwidth && r.row.Metric != Bandwidth {
			continue // the same runs again; MB/s stands beside ns/op
		}
		name := fmt.Sprintf("Benchmark%s/impl=%s/case=%s/size=%d/batch=%d/wait=%s-%d",
			strings.ToUpper(r.Bench[:1])+r.Bench[1:], r.Impl, r.Case, r.Size, r.Batch, r.Wait, r.Cores)
		for _, run := range r.runs {
			fmt.Fprintf(out, "%s\t%d\t%s\n", name, max(run.count, 1), r.row.gobench(run))
		}
	}
	return nil
}

// gobench is a run's figures with their units.
func (r *Row) gobench(run run) string {
	switch {
	case r.Unit == Bytes:
		return fmt.Sprintf("%.0f B", run.value)
	case r.Unit == Count || r.Unit == PerSecond:
		return fmt.Sprintf("%.2f %s", run.value, r.Metric)
	case !r.rate():
		s := fmt.Sprintf("%.2f ns/op", run.value)
		if len(run.samples) > 0 {
			samples := make([]float64, len(run.samples))
			for i, v := range run.samples {
				samples[i] = float64(v)
			}
			s += fmt.Sprintf("\t%.0f p50-ns\t%.0f p99-ns\t%.0f p99.9-ns", quantile(samples, 0.5), quantile(samples, 0.99), quantile(samples, 0.999))
		}
		return s
	case r.Unit == BytesPerSecond:
		return fmt.Sprintf("%.2f ns/op\t%.2f MB/s", 1e9*float64(r.Size)/run.value, run.value/1e6)
	}
	s := fmt.Sprintf("%.4f ns/op", 1e9/run.value)
	if r.Metric == Throughput && r.Case != "zerocopy" {
		s += fmt.Sprintf("\t%.2f MB/s", run.value*float64(r.Size)/1e6)
	}
	return s
}
