package trace

import (
	"runtime"
	"testing"
)

func TestAMachineWhoseBreakpointsNeverFireIsNoticed(t *testing.T) {
	t.Setenv(breakpointsVariable, "") // or it is not asked
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ignored := func(v *Victim, addr uint64) error { return v.debugRegister(0, addr) } // not enabled
	if fired, err := fires(ignored); fired || err != nil {
		t.Errorf("a breakpoint that cannot fire: %v, %v", fired, err)
	}
	fired, err := fires((*Victim).breakAt)
	if again, err := fires((*Victim).breakAt); again != fired || err != nil {
		t.Errorf("asked again: %v, %v", again, err)
	}
	if tr := newTracer(t); err != nil || tr.Stepping() == fired {
		t.Errorf("breakpoints fire: %v, %v; the tracer steps: %v", fired, err, tr.Stepping())
	}
}

func TestBreakpointsCanBeTurnedOff(t *testing.T) {
	t.Setenv(breakpointsVariable, "off")
	if !newTracer(t).Stepping() {
		t.Error("not off")
	}
}

// What else stands at its end has no INT3 there any more.
func TestADetachedVictimRunsItsEndAsItWasBuilt(t *testing.T) {
	v := start(t, newTracer(t), "five", newRegion(t, regionSize))
	if err := v.RunToEnd(guardContext(t)); err != nil {
		t.Fatal(err)
	}
	if code := v.code(v.end); code[0] != int3 {
		t.Errorf("at its end: %x", code)
	}
	v.t.do(func() { v.trapNowhere() })
	if code := v.code(v.end); [15]byte(code) != [15]byte(v.endCode[:]) {
		t.Errorf("%x, built as %x", code, v.endCode)
	}
	if err := v.Detach(); err != nil {
		t.Fatal(err)
	}
	if ws, err := v.Wait(guardContext(t)); err != nil || ws.ExitStatus() != 0 {
		t.Errorf("%v, %v", ws, err)
	}
}
