package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed pair.py
var pythonPair string

// python is where python3 is, empty when there is none.
var python = sync.OnceValue(func() string {
	path, err := exec.LookPath("python3")
	if err != nil {
		return ""
	}
	return path
})

// pythonVersion asks it.
func pythonVersion() string {
	if python() == "" {
		return "none"
	}
	out, err := exec.Command(python(), "-c", "import multiprocessing, platform; print(platform.python_version())").Output()
	if err != nil {
		return "unusable"
	}
	return strings.TrimSpace(string(out))
}

// pythonRows are what this project is the counterpart of. Five repetitions: each starts two interpreters.
func pythonRows(s Slot) []*Row {
	if python() == "" || s.Case != "single" || s.Wait != "block" {
		return nil
	}
	row := Row{Bench: s.Bench, Impl: "python", Case: s.Case, Size: s.Size, Wait: "block", Cores: s.Cores,
		Metric: Throughput, Unit: MessagesPerSecond, Reps: 5, Free: true, A: pythonEnd,
		Procs: 2, Producers: 1, Consumers: 1,
		Note: "python: multiprocessing.Pipe, send_bytes and recv_bytes, between two forked processes, pinned where pipe and unix are"}
	switch {
	case s.Bench == "rtt":
		row.Metric, row.Unit = RoundTrip, Nanoseconds
	case s.Bench != "conn" || s.Size != 64 && s.Size != 1<<20:
		return nil
	}
	return []*Row{&row}
}

// pythonEnd runs both ends in Python, which measures itself.
func pythonEnd(r *Role) error {
	cmd := exec.Command(python(), "-c", pythonPair, string(r.Metric), strconv.Itoa(r.Size), strconv.Itoa(r.Chunk),
		strconv.FormatFloat(r.duration.Seconds(), 'f', 6, 64), strconv.FormatBool(r.Metric == Throughput && r.Size <= 1<<10))
	cmd.Stderr = os.Stderr
	diesWithUs(cmd)
	if err := r.Go(); err != nil {
		return err
	}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("bench: python3: %w", err)
	}
	var got struct {
		Count   int64   `json:"count"`
		Elapsed int64   `json:"elapsed"`
		Samples []int64 `json:"samples"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("bench: python3 said %q: %w", out, err)
	}
	r.Measured(got.Count, time.Duration(got.Elapsed))
	for _, ns := range got.Samples {
		r.Sample(ns)
	}
	return nil
}
