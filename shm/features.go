package shm

import (
	"os"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/internal/fence"
)

// A Feature is something that a kernel may lack, and that Tandem can do without.
type Feature struct {
	Name    string // as TANDEM_DISABLE calls it
	Since   string // which kernel has it
	Without string // what its absence means
	Off     bool   // TANDEM_DISABLE says so
	InUse   bool
}

// probes ask the kernel, each as the code does that uses the feature.
var probes = map[feature.Feature]func() bool{
	feature.WaitV:      futex.CanWaitAny,
	feature.TmpFile:    bornWithoutName,
	feature.Membarrier: fence.CanHeavy,
	feature.MapLock:    mappingsHoldLocks,
	feature.RobustList: noticed,
	feature.PidFD:      selfHandle,
	feature.Populate:   canPopulate,
}

// Features probes for everything that a kernel may lack. It makes a file in the directory for segments and removes it.
func Features() []Feature {
	var all []Feature
	for _, f := range feature.All {
		since, without := f.About()
		off := f.Off()
		all = append(all, Feature{Name: string(f), Since: since, Without: without, Off: off, InUse: !off && probes[f]()})
	}
	return all
}

func bornWithoutName() bool {
	f, temporary, err := newFile(directory(), bornFile(randomNonce()))
	if err != nil {
		return false
	}
	f.Close()
	if temporary == "" {
		return true
	}
	os.Remove(temporary)
	return false
}

// noticed starts the thread by whose end the kernel gives notice of ours.
func noticed() bool {
	notice.start.Do(startNotice)
	return notice.tid != 0
}

func selfHandle() bool {
	p, err := os.FindProcess(os.Getpid())
	if err != nil {
		return false
	}
	defer p.Release()
	return p.WithHandle(func(uintptr) {}) == nil
}
