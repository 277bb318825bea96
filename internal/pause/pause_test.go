package pause

import (
	"testing"
	"time"
)

func TestSpinTakesTimeInProportion(t *testing.T) {
	best := func(n uint32) time.Duration {
		d := time.Hour
		for range 20 {
			t0 := time.Now()
			Spin(n)
			d = min(d, time.Since(t0))
		}
		return d
	}
	Spin(0) // must return
	if short, long := best(10), best(10_000); long < 50*short/4 {
		t.Fatalf("10 hints take %v, 10,000 take %v", short, long)
	}
}

func BenchmarkSpin(b *testing.B) {
	for b.Loop() {
		Spin(1)
	}
}
