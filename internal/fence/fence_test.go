package fence

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestRegisterEndsInOneOfTwoStates(t *testing.T) {
	if !Asymmetric {
		Register()
		if Registered() {
			t.Fatal("registered on a processor that needs it not")
		}
		return
	}
	Register()
	for deadline := time.Now().Add(10 * time.Second); state.Load() < 2; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("registration did not end")
		}
	}
	if Registered() != CanHeavy() {
		t.Fatalf("registered %v, but Heavy works: %v", Registered(), CanHeavy())
	}
}

// The store buffer test: each side stores, then looks at the other's word. One of them must see the other's store if the
// publisher uses StoreRelease and the sleeper Heavy.
func TestAStoreIsSeenOrSeesTheSleeper(t *testing.T) {
	if !CanHeavy() || runtime.NumCPU() < 2 {
		t.Log("membarrier or a second processor is missing; full stores are used instead")
		return
	}
	Register()
	for !Registered() {
		runtime.Gosched()
	}
	const rounds = 60_000
	var turn, done atomic.Uint64
	var line [64]uint64
	var sleeps atomic.Uint64
	var sawSleep uint64
	go func() {
		runtime.LockOSThread()
		for i := uint64(1); i <= rounds; i++ {
			for turn.Load() < i {
			}
			StoreRelease(&line[0], i)
			sawSleep = sleeps.Load()
			done.Store(i)
		}
	}()
	for i := uint64(1); i <= rounds; i++ {
		turn.Store(i)
		sleeps.Store(i)
		Heavy()
		sawStore := atomic.LoadUint64(&line[0]) == i
		for done.Load() < i {
			runtime.Gosched()
		}
		if !sawStore && sawSleep != i {
			t.Fatalf("round %d: the store was not seen and did not see the sleeper", i)
		}
	}
}
