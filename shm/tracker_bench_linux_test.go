package shm

import (
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/internal/roles"
)

func init() {
	// clock says how long its first Space took.
	parts["clock"] = func(p *roles.Peer, args []string) {
		begin := time.Now()
		_, err := Private()
		p.Must(err)
		p.Say("%d", time.Since(begin).Nanoseconds())
	}
}

// What the first Space of a program costs with and without a tracker.
func BenchmarkFirstSpace(b *testing.B) {
	for _, tracker := range []string{"off", "on"} {
		b.Run("tracker="+tracker, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				p := roles.StartAs(b, []string{EnvTracker + "=" + tracker, EnvDir + "=" + treeDir(b)}, nil, "clock")
				ns, err := strconv.Atoi(p.Hear())
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Duration(ns))
				p.Wait()
			}
			reportMedian(b, took)
		})
	}
}

// How long it takes from the SIGKILL of a tree until its files are gone.
func BenchmarkKilledTree(b *testing.B) {
	for _, space := range []string{"private", "named"} {
		b.Run(space, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				dir := treeDir(b)
				p := startTree(b, dir, space)
				begin := time.Now()
				p.Signal(syscall.SIGKILL)
				eventually(b, "the files are gone", func() bool { return isEmpty(dir) })
				took = append(took, time.Since(begin))
				p.Kill()
			}
			reportMedian(b, took)
		})
	}
}

func reportMedian(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(0, "ns/op") // of the harness
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "ms-median")
	b.ReportMetric(took[len(took)-1].Seconds()*1e3, "ms-max")
}
