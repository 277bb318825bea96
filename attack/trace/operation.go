package trace

import (
	"reflect"
	"runtime"
)

// Operation runs f. In a process that a [Tracer] started it is the operation under attack: the first call locks the OS
// thread, waits until the tracer has seized it, and marks beginning and end around f. Every other call, in every other
// process, just calls f.
func Operation(f func()) {
	link := takeLink()
	if link == nil {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	link.report()
	link.await()
	markBegin(endAddress)
	f()
	markEnd()
	link.close()
}

// linkVariable holds the descriptors of the two pipes to the tracer.
const linkVariable = "TANDEM_ATTACK_TRACE"

// The beginning is a getpid with these arguments and the address of markEnd behind them.
const (
	magic1 = 0x74616e64
	magic2 = 0x6b696c6c
)

var endAddress = reflect.ValueOf(markEnd).Pointer()

// markEnd is where the tracer's last breakpoint sits, and where it runs copies of instructions. Nobody else calls it.
//
//go:noinline
func markEnd() {}
