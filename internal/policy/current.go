package policy

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/cpuid/v2"

	"github.com/tandem-ipc/tandem/internal/cgroup"
	"github.com/tandem-ipc/tandem/internal/cpus"
)

var (
	current atomic.Pointer[Policy]
	wake    atomic.Int64 // Machine.Wake
	poll    atomic.Int64 // Machine.Poll
)

// Recent is Current as of some time ago, when somebody last asked for it, at the cost of a load.
func Recent() *Policy {
	if p := current.Load(); p != nil {
		return p
	}
	return Current()
}

// Current is the policy in force in this process. It changes when the number of usable processors does, or the costs
// become known. Asking for those takes a tenth of a microsecond.
func Current() *Policy {
	p := current.Load()
	if p == nil || p.Machine.Cores != cores() || int64(p.Machine.Wake) != wake.Load() || int64(p.Machine.Poll) != poll.Load() {
		p = compute()
		current.Store(p)
	}
	return p
}

func compute() *Policy {
	p, _ := Override(For(Look()), os.Getenv) // Check tells what is wrong
	return &p
}

// Check tells what is wrong with the variables. Whoever makes the first Space, or ring, asks.
var Check = sync.OnceValue(func() error {
	_, err := Override(For(Look()), os.Getenv)
	return err
})

// Copying is Copy of the policy in force. It does not change while the process runs.
var Copying = sync.OnceValue(func() Method { return Current().Copy.Value })

// Calibrated sets what was measured: the cost of a wake-up, and of a spin-wait hint. It is for package futex.
func Calibrated(aWake, aPoll time.Duration) {
	poll.Store(int64(aPoll))
	wake.Store(int64(aWake))
	Current()
}

// Look describes the machine, as far as it is known now.
func Look() Machine {
	c := &cpuid.CPU
	return Machine{
		Cores: cores(), Affinity: cpus.Affinity(), Quota: cgroup.CPUs(), Threads: max(c.ThreadsPerCore, 0),
		L1: max(c.Cache.L1D, 0), L2: max(c.Cache.L2, 0), L3: max(c.Cache.L3, 0),
		Model: c.BrandName, Virtual: c.VM(),
		CLib: cLib, Amd64: runtime.GOARCH == "amd64", ERMS: c.Supports(cpuid.ERMS), FSRM: c.Supports(cpuid.FSRM),
		Wake: time.Duration(wake.Load()), Poll: time.Duration(poll.Load()),
	}
}

func cores() int { return min(cpus.Usable(), runtime.GOMAXPROCS(0)) }
