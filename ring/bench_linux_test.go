package ring

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/fence"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/pause"
)

func pin(cpu int) {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	unix.SchedSetaffinity(0, &set)
}

func BenchmarkStream(b *testing.B) {
	fence.Register()
	for !fence.Registered() && fence.CanHeavy() {
		time.Sleep(time.Millisecond)
	}
	for _, size := range []int{8, 64, 1024} {
		for _, batch := range []int{1, 32} {
			b.Run(fmt.Sprintf("size=%d/batch=%d", size, batch), func(b *testing.B) {
				const capacity = 1 << 18
				r, err := New(shared(b, Size(capacity)), capacity)
				if err != nil {
					b.Fatal(err)
				}
				p, _ := r.Producer(futex.Spin)
				c, _ := r.Consumer(futex.Spin)
				n := (b.N + batch - 1) / batch * batch
				done := make(chan struct{})
				b.ResetTimer()
				go func() {
					pin(1)
					defer close(done)
					buf := make([]byte, size*batch)
					for got := 0; got < n; {
						var k int
						var err error
						if batch == 1 {
							if _, err = c.TryPop(buf); err == nil {
								k = 1
							}
						} else {
							k, err = c.TryPopFlat(buf, size)
						}
						if err == ErrEmpty {
							c.Wait(b.Context(), never{})
						} else if err != nil {
							panic(err)
						}
						got += k
					}
				}()
				pin(0)
				buf := make([]byte, size*batch)
				for sent := 0; sent < n; {
					if batch == 1 {
						if err := p.TryPush(buf); err == nil {
							sent++
						} else if err == ErrFull {
							p.Wait(b.Context(), size, never{})
						} else {
							b.Fatal(err)
						}
					} else {
						k, err := p.TryPushFlat(buf[:min(batch, n-sent)*size], size)
						sent += k
						if err == ErrFull {
							p.Wait(b.Context(), size, never{})
						} else if err != nil {
							b.Fatal(err)
						}
					}
				}
				<-done
				b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "M/s")
				pause.Spin(1)
			})
		}
	}
}

// The cost of the instructions alone: both sides on one processor, everything in its cache. The best of many short runs.
func BenchmarkInstructions(b *testing.B) {
	r, err := New(shared(b, Size(1<<16)), 1<<16)
	if err != nil {
		b.Fatal(err)
	}
	p, _ := r.Producer(futex.Spin)
	c, _ := r.Consumer(futex.Spin)
	futex.Relax(&r.ring.RWait)
	futex.Relax(&r.ring.WWait)
	buf := make([]byte, 64*32)
	const k = 320
	fill := func() {
		for range k / 32 {
			if n, err := p.TryPushFlat(buf, 64); n != 32 {
				b.Fatal(err)
			}
		}
	}
	drain := func() {
		for {
			if _, err := c.TryPopFlat(buf, 64); err != nil {
				break
			}
		}
		p.own.Limit = p.own.Pos + p.own.Mask + 1
	}
	for _, op := range []struct {
		name      string
		before, f func()
	}{
		{"push", drain, func() {
			for range k {
				p.TryPush(buf[:64])
			}
		}},
		{"push-batch", drain, fill},
		{"pop", func() { drain(); fill() }, func() {
			for range k {
				c.TryPop(buf)
			}
		}},
		{"pop-batch", func() { drain(); fill() }, func() {
			for range k / 32 {
				c.TryPopFlat(buf, 64)
			}
		}},
	} {
		for _, trust := range []uint32{noTrust, layout.WaitRelaxed} {
			b.Run(fmt.Sprintf("%s/fence=%v", op.name, trust == noTrust), func(b *testing.B) {
				best := time.Hour
				for b.Loop() {
					op.before()
					p.own.Trust, c.own.Trust = trust, trust
					t := time.Now()
					op.f()
					best = min(best, time.Since(t))
				}
				b.ReportMetric(float64(best)/k, "ns/record")
			})
		}
	}
}
