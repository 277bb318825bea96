package futex

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/internal/cpus"
	"github.com/tandem-ipc/tandem/internal/pause"
	"github.com/tandem-ipc/tandem/internal/policy"
)

// Calibrate measures what a wake-up and a spin-wait hint cost here, about 1 ms, and tells the policy. It is done once.
var Calibrate = sync.OnceFunc(func() { policy.Calibrated(measureWake(), pauseTime()) })

var startCalibrating sync.Once

// worthPolling is the longest poll that Auto makes. The first call starts to calibrate, in the background.
func worthPolling(again bool) time.Duration {
	p := policy.Recent()
	if again {
		p = policy.Current()
	}
	most := p.Spin.Value
	if most > 0 {
		startCalibrating.Do(func() { go Calibrate() })
	}
	return most
}

// pollers is how many waiters of this process poll now, in mode Auto.
var pollers atomic.Int32

// takePoll tells whether one more may poll; it gives the place back with givePoll.
func takePoll() bool {
	if int(pollers.Add(1)) <= policy.Recent().Spinners.Value {
		return true
	}
	pollers.Add(-1)
	return false
}

func givePoll() { pollers.Add(-1) }

// pauseTime is how long one spin-wait hint takes: 4 to 50 ns.
var pauseTime = sync.OnceValue(func() time.Duration {
	const n = 256
	best := time.Hour
	for range 8 {
		t := time.Now()
		pause.Spin(n)
		best = min(best, time.Since(t))
	}
	return max(1, best/n)
})

// measureWake plays ping-pong between two threads, each on a processor of its own where we may choose, and takes the median:
// a wake-up on the same processor is far cheaper than one that has to reach an idle one. 0: it cannot be measured.
func measureWake() time.Duration {
	const rounds = 32
	var ball atomic.Uint32
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cpus.Pin(1)()
		for i := uint32(0); i < rounds; i++ {
			for ball.Load() != 2*i+1 {
				if _, err := Wait(&ball, 2*i, time.Time{}); err != nil {
					return
				}
			}
			ball.Store(2*i + 2)
			wake(&ball, 1)
		}
	}()
	defer cpus.Pin(0)()
	var took []time.Duration
	for i := uint32(0); i < rounds; i++ {
		t := time.Now()
		ball.Store(2*i + 1)
		wake(&ball, 1)
		for ball.Load() != 2*i+2 {
			if _, err := Wait(&ball, 2*i+1, time.Time{}); err != nil {
				return 0
			}
		}
		took = append(took, time.Since(t)/2)
	}
	<-done
	slices.Sort(took)
	return took[rounds/2]
}
