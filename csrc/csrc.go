// Package csrc is the C side of Tandem: layout.h, the one definition of what lies in shared memory, and the hot path in C:
// batches and bulk copies, one crossing each. A crossing costs 30 to 100 ns, so single messages are pushed and popped in
// Go (package ring). It is a package of its own because cgo and Go assembly cannot share one. It is also where a resource
// tracker waits, before there is a Go runtime (tracker_linux.c).
//
// Without cgo Available is false and callers use their Go code: everything works, batches are slower.
//
// # Concurrency
//
// A Producer or Consumer state is used by one goroutine at a time; the two sides of a ring by one process each.
//
// # Crash behaviour
//
// As package ring: a burst becomes visible by its last store, a position by one store; killed before it, nothing happened.
package csrc

// Producer is the private state of a ring's producing side, the same in C.
type Producer struct {
	Pos   uint64 // of the next record
	Limit uint64 // may write below
	Mask  uint64 // capacity - 1
	Trust uint32 // what RWait says when nothing needs to be done about it
	Wake  uint32 // out: fence, look at RWait and wake
}

// Consumer is the private state of a ring's consuming side, the same in C.
type Consumer struct {
	Pos       uint64 // of the next record
	Published uint64 // Head as last stored
	Mask      uint64
	Lag       uint64 // Published may lag by less than this
	Trust     uint32 // what WWait says when nothing needs to be done about it
	Wake      uint32 // out: fence, look at WWait and wake
}

// A Status says why a batch ended early.
type Status uint32

const (
	OK      Status = 0
	Full    Status = 1
	Empty   Status = 1
	Corrupt Status = 2
	Length  Status = 3 // the next record has another length, or does not fit
	Other   Status = 4 // the next record is no plain one
)
