package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/internal/policy"
	"github.com/tandem-ipc/tandem/pipe"
)

// policyBench is the table of the policy: what it chooses by itself beside everything that it could be forced to, at every
// number of CPUs. Forced are both processes, by their environment; none is pinned within its CPUs.
const policyBench = "policy"

// policySlots are 1, 2, 4 … CPUs, and all of them. A role process, which has as many as its row, finds its own among them.
func policySlots() []Slot {
	var all []Slot
	most := runtime.NumCPU()
	for cores := 1; ; cores = min(2*cores, most) {
		for _, c := range []struct {
			name string
			size int
		}{{"trips", 64}, {"pairs", 64}, {"crowd", 64}, {"stream", 64}, {"stream", 1 << 10}, {"stream", 64 << 10}, {"stream", 1 << 20}} {
			if c.name != "pairs" || cores >= 4 { // below it is trips
				all = append(all, Slot{Bench: policyBench, Case: c.name, Size: c.size, Wait: "auto", Cores: cores})
			}
		}
		if cores == most {
			return all
		}
	}
}

func policyRows(s Slot) []*Row {
	if s.Bench != policyBench {
		return nil
	}
	row := Row{Bench: s.Bench, Case: s.Case, Size: s.Size, Wait: s.Wait, Cores: s.Cores, Free: true, Metric: Throughput, Unit: MessagesPerSecond,
		Time: 40 * time.Millisecond, Chunk: cChunk(s.Size),
		Note: "trips: round trips of one pair of goroutines; pairs and crowd: of a pair for every two CPUs, and of four for every CPU, at once; stream: one way, " +
			"copied in and out. Against the best of the forced: chosen by half of the repetitions, compared by the other half, both ways"}
	try := []string{policy.EnvSpin, policy.EnvSpinners}
	switch {
	case s.Case == "trips":
		row.Metric, row.Unit, row.Chunk = RoundTrip, Nanoseconds, 16
		row.A, row.B = connPing("auto"), connPong("auto")
		try = []string{policy.EnvSpin}
	case s.Case == "pairs":
		row.A, row.B = manyPing(max(1, s.Cores/2)), manyPong(max(1, s.Cores/2))
	case s.Case == "crowd":
		row.A, row.B = manyPing(4*s.Cores), manyPong(4*s.Cores)
	case s.Size == 64:
		row.A, row.B = connSend[[64]byte], connRecv[[64]byte]
		try = []string{policy.EnvSpin, policy.EnvRing, policy.EnvPublish}
	case s.Size == 1<<10:
		row.A, row.B = connSend[[1024]byte], connRecv[[1024]byte]
		try = []string{policy.EnvSpin, policy.EnvRing, policy.EnvPublish}
	default:
		row.A, row.B = connSendBytes, connRecvBytes
		try = []string{policy.EnvRing, policy.EnvCopy}
	}
	auto := row
	auto.Impl = "auto"
	rows := []*Row{&auto}
	for _, variable := range try {
		for _, value := range forced(variable, s.Cores) {
			r := row
			r.Impl = strings.ToLower(strings.TrimPrefix(variable, "TANDEM_")) + "-" + value
			r.Env = []string{variable + "=" + value}
			rows = append(rows, &r)
		}
	}
	return rows
}

// forced are the values of a variable to compare with.
func forced(variable string, cores int) []string {
	switch variable {
	case policy.EnvSpin:
		return []string{"off", "5us", "20us", "100us", "500us"}
	case policy.EnvSpinners:
		all := []string{"0", "1"}
		for _, n := range []int{cores / 2, cores} {
			if s := strconv.Itoa(n); n > 0 && !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
		return all
	case policy.EnvRing:
		return []string{"16384", "65536", "131072", "262144", "1048576"}
	case policy.EnvPublish:
		return []string{"2", "8", "32"}
	case policy.EnvCopy:
		var all []string
		for _, m := range policy.Look().Methods() {
			all = append(all, string(m))
		}
		return all
	}
	panic("bench: no values for " + variable)
}

// againstBest compares the policy's own choice with the best of the forced ones. The best of many noisy figures is too good,
// so it is chosen by one half of the repetitions and compared by the other, and the other way round. Above 1 the policy is
// better, in throughput and in time.
func (rec *record) againstBest(g *Group, auto *Row) []Ratio {
	if auto.Bench != policyBench || auto.Impl != "auto" {
		return nil
	}
	var q []float64
	var names []string
	for half := range 2 {
		var best []float64
		name := ""
		for _, row := range g.Rows {
			if row == auto {
				continue
			}
			choose, compare := rec.gain(g, auto, row, half)
			if len(choose) > 0 && len(compare) > 0 && (best == nil || median(choose) < median(best)) {
				best, name = choose, row.Impl
			}
		}
		for _, row := range g.Rows {
			if row.Impl == name {
				_, compare := rec.gain(g, auto, row, half)
				q = append(q, compare...)
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	if len(q) == 0 {
		return nil
	}
	return []Ratio{{Baseline: "best forced (" + strings.Join(names, ", ") + ")", Value: median(q), Min: slices.Min(q), Max: slices.Max(q)}}
}

// gain is how much better auto is than row in each repetition: those of one half, and those of the other.
func (rec *record) gain(g *Group, auto, row *Row, half int) (mine, other []float64) {
	by := byRep(rec.runs[place{g, row}])
	for _, r := range rec.runs[place{g, auto}] {
		v, ok := by[r.rep]
		if !ok {
			continue
		}
		q := r.value / v
		if !auto.rate() {
			q = 1 / q
		}
		if r.rep%2 == half {
			mine = append(mine, q)
		} else {
			other = append(other, q)
		}
	}
	return mine, other
}

// manyOf makes n connections, as connOf makes one.
func manyOf(r *Role, n int) (all []*pipe.Conn[[64]byte], err error) {
	for range n {
		c, err := connOf[[64]byte](r, r.Wait)
		if err != nil {
			return all, err
		}
		all = append(all, c)
	}
	return all, nil
}

// each calls f for every connection, in goroutines of their own, and returns how many trips they made.
func each(all []*pipe.Conn[[64]byte], f func(*pipe.Conn[[64]byte]) (int64, error)) (int64, error) {
	var trips atomic.Int64
	errs := make([]error, len(all))
	var done sync.WaitGroup
	for i, c := range all {
		done.Go(func() {
			n, err := f(c)
			trips.Add(n)
			errs[i] = errors.Join(err, c.Close())
		})
	}
	done.Wait()
	return trips.Load(), errors.Join(errs...)
}

func manyPing(n int) func(*Role) error {
	return func(r *Role) error {
		all, err := manyOf(r, n)
		if err != nil {
			return err
		}
		ctx, msg := context.Background(), arrayOf[[64]byte](r.Messages())
		if err := r.Go(); err != nil {
			return err
		}
		start := monotonic()
		end := start + int64(r.duration)
		trips, err := each(all, func(c *pipe.Conn[[64]byte]) (n int64, err error) {
			for n == 0 || monotonic() < end {
				for range r.Chunk {
					if err := c.Send(ctx, msg); err != nil {
						return n, err
					}
					if _, err := c.Recv(ctx); err != nil {
						return n, err
					}
					n++
				}
			}
			return n, nil
		})
		r.Measured(trips, time.Duration(monotonic()-start))
		return err
	}
}

func manyPong(n int) func(*Role) error {
	return func(r *Role) error {
		all, err := manyOf(r, n)
		if err != nil {
			return err
		}
		ctx := context.Background()
		if err := r.Go(); err != nil {
			return err
		}
		trips, err := each(all, func(c *pipe.Conn[[64]byte]) (n int64, err error) {
			for ; ; n++ {
				v, err := c.Recv(ctx)
				if err == io.EOF {
					return n, nil
				}
				if err != nil {
					return n, err
				}
				if err := c.Send(ctx, v); err != nil {
					return n, fmt.Errorf("trip %d: %w", n, err)
				}
			}
		})
		r.Measured(trips, 1) // the other side has the clock
		return err
	}
}
