package futex

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/internal/cpus"
	"github.com/tandem-ipc/tandem/internal/pause"
)

// A Mode says what a waiter does before it sleeps.
type Mode int

const (
	Auto  Mode = iota // poll as long as it is worth it on this machine, then sleep
	Block             // sleep at once
	Spin              // never sleep: burns a processor; for pinned pairs, and to measure
)

func (m Mode) String() string {
	switch m {
	case Auto:
		return "auto"
	case Block:
		return "block"
	case Spin:
		return "spin"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}

// ParseMode reads what String prints.
func ParseMode(s string) (Mode, error) {
	for _, m := range []Mode{Auto, Block, Spin} {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("futex: waiting mode %q: want auto, block or spin", s)
}

// EnvMode overrides the mode of every waiter that does not ask for one: auto, block or spin.
const EnvMode = "TANDEM_WAIT"

// DefaultMode is Auto, unless TANDEM_WAIT says otherwise.
var DefaultMode = sync.OnceValue(func() Mode {
	if m, err := ParseMode(os.Getenv(EnvMode)); err == nil {
		return m
	}
	return Auto
})

const (
	assumedWake = 10 * time.Microsecond // until measured
	leastWake   = time.Microsecond
	mostWake    = 50 * time.Microsecond
)

// wakeCost is the time from a Wake to the woken thread running, on this machine. 0: not measured yet.
var wakeCost atomic.Int64

var startMeasuring sync.Once

// WakeCost is how long a wake-up takes here, as far as known: the first call starts the measurement (about 1 ms, in the
// background) and returns a guess.
func WakeCost() time.Duration {
	if d := wakeCost.Load(); d != 0 {
		return time.Duration(d)
	}
	startMeasuring.Do(func() { go func() { wakeCost.Store(int64(measureWake())) }() })
	return assumedWake
}

// worthPolling is the longest poll that Auto makes. A waiter that polls as long as a sleep would cost spends at most
// twice what the best choice would have (the ski rental argument); half as much again lets it catch a peer that had to be
// woken itself.
func worthPolling() time.Duration {
	if min(cpus.Usable(), runtime.GOMAXPROCS(0)) < 2 {
		return 0
	}
	return WakeCost() * 5 / 2
}

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
// a wake-up on the same processor is far cheaper than one that has to reach an idle one.
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
				return assumedWake
			}
		}
		took = append(took, time.Since(t)/2)
	}
	<-done
	slices.Sort(took)
	return min(max(took[rounds/2], leastWake), mostWake)
}
