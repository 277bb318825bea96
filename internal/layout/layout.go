// Package layout mirrors csrc/layout.h for Go: the structs that are laid over shared memory, and the packing of their
// words. It holds no logic beyond that.
//
// Fields of an atomic type are written while others look; all others are written before the memory is published and
// never again. The comment on a field says who writes it; layout.h says what it means.
package layout

import (
	"structs"
	"sync/atomic"
)

const (
	Magic   = 0x6d65646e6174d00d
	Version = 2
	Line    = 128
	Region  = 65536

	LockName   = 0
	LockMapped = 1
	LockSlot   = 16

	Slots    = 1000
	SlotBits = 10
	GenBits  = 20
	GenMax   = 0xffffe

	SlotClean     = 0
	SlotLive      = 1
	SlotDead      = 2
	SlotStateBits = 4
	SlotDiedBit   = 4
	SlotGenShift  = 10

	Lives      = 3
	LifeStride = 64
	LifeStep   = 16

	SegRoot      = 1
	SegGrowth    = 2
	Segments     = 4096
	Units        = 1024
	UnitMinShift = 12

	RootMembers  = 0x1000
	RootSegments = 0x4000
	RootTable    = 0xc000
	RootLives    = 0x10000
	RootPages    = 0x20000
	PageSize     = 0x4000
	RootHeap     = 0x1020000
	GrowthTable  = 0x1000
	GrowthHeap   = 0x10000

	RootKeep    = 1
	RootPrivate = 2
	NameMax     = 200

	LimitGiven  = 0
	LimitFiles  = 1
	LimitCgroup = 2
	LimitMemory = 3

	RootDoomed = 352

	DirtyBits = 65536
	Hazards   = 16

	HazardRouse = 0

	TreeFile = 3

	Free    = 0
	Claim   = 1
	Owned   = 2
	Shared  = 3
	Part    = 4
	Freeing = 5
	Cont    = 6
	Slab    = 7
	Holed   = 8

	HoledDoubtful = 1

	SeqShift = 34

	Classes       = 6
	ClassObject   = 16
	ObjectClasses = 4
	SlabHead      = 64

	KindConn    = 1
	KindProcess = 2
	Kinds       = 3

	Holds     = 63
	SetOpen   = 0
	SetClosed = 1
	SetDied   = 2

	RingMagic = 0x53505343
	RingMin   = 4096
	RingMax   = 1 << 30
	RecHeader = 8
	RecCommit = 1
	RecPad    = 2
	RecBig    = 4
	RecFlags  = 7

	WaitSleeps  = 1
	WaitRelaxed = 2
	WaitParked  = 4

	LaneProducer = 0
	LaneConsumer = 8

	Bigs        = 8
	ConnSimplex = 1

	ProcStarted = 0
	ProcHello   = 1
	ProcDone    = 2

	ProcessParent = 656

	OutcomeResult = 0
	OutcomeError  = 1
	OutcomePanic  = 2

	DirEmpty   = 0
	DirClaim   = 1
	DirPending = 2
	DirLive    = 3
	DirEntries = 63

	SizeSegment   = 128
	SizeRoot      = 896
	SizePage      = 16384
	SizeTree      = 16
	SizeEntry     = 16
	SizeSlab      = 64
	SizeObject    = 128
	SizeSet       = 512
	SizeRing      = 640
	SizeLane      = 128
	SizeBig       = 16
	SizeConn      = 1408
	SizeProcess   = 712
	SizeDirEntry  = 256
	SizeDirectory = 16384
)

// SegmentHeader is the start of every segment file.
type SegmentHeader struct {
	_         structs.HostLayout
	Magic     uint64
	Version   uint32
	Kind      uint32
	Nonce     uint64
	Size      uint64
	Heap      uint64
	Units     uint32
	UnitShift uint32
	Index     uint32
	UID       uint32
	Self      uint64
	Created   uint64
	_         [56]byte
}

// Root is the start of a Space's root segment.
type Root struct {
	_         structs.HostLayout
	Seg       SegmentHeader
	Limit     uint64
	Flags     uint32
	NameLen   uint32
	Name      [208]byte
	Doomed    atomic.Uint32 // a cleaner, holding NAME
	LimitFrom uint32
	_         [24]byte
	Deaths    atomic.Uint32 // reapers add one
	_         [124]byte
	SlotHint  atomic.Uint32 // attachers
	Wanted    atomic.Uint32 // who needs memory that is being given back
	_         [120]byte
	Kinds     atomic.Uint64 // whoever publishes the first object of a kind
	_         [120]byte
	Directory atomic.Uint64 // CAS from 0
	_         [120]byte
}

// Page is a member's slot page.
type Page struct {
	_        structs.HostLayout
	PID      atomic.Uint32 // its member
	_        uint32
	Started  atomic.Uint64 // its member
	Command  [112]byte     // its member, before the slot is live
	Doorbell atomic.Uint32 // anyone adds one
	Sleeping atomic.Uint32 // its member's poller
	_        [120]byte
	Hazard   [Hazards]atomic.Uint64 // its member
	Summary  [16]atomic.Uint64      // anyone sets bits, its member clears them
	Dirty    [1024]atomic.Uint64    // anyone sets bits, its member clears them
	_        [7680]byte
}

// Tree is what a process tree tells its tracker.
type Tree struct {
	_     structs.HostLayout
	Nonce atomic.Uint64 // the root process
	Over  atomic.Uint64 // the root process
}

// Entry describes a unit of a segment, or a block of a slab.
type Entry struct {
	_    structs.HostLayout
	Word atomic.Uint64
	Aux  atomic.Uint64 // the owner, while the word says Owned
}

// SlabHeader is the start of a slab.
type SlabHeader struct {
	_     structs.HostLayout
	Class uint32
	Count uint32
	Block uint32
	First uint32
	Units uint32
	_     [44]byte
}

// Object is the start of every object header.
type Object struct {
	_        structs.HostLayout
	Kind     uint32
	Sets     uint32
	TypeHash uint64
	TypeSize uint64
	Data     uint64
	DataSize uint64
	Flags    uint32
	TypeLen  uint32
	TypeName [80]byte
}

// Set is a hold set.
type Set struct {
	_     structs.HostLayout
	State atomic.Uint64        // CAS: whoever joins, the last to leave, reapers
	Word  [Holds]atomic.Uint64 // CAS: its member, reapers
}

// Ring is the control block of an SPSC ring.
type Ring struct {
	_      structs.HostLayout
	Magic  uint32
	Shift  uint32
	_      [120]byte
	Head   atomic.Uint64 // consumer
	_      [120]byte
	Cursor atomic.Uint64 // consumer
	Leased atomic.Uint64 // consumer
	_      [112]byte
	RWait  atomic.Uint32 // consumer sets, producer clears
	_      [124]byte
	WWait  atomic.Uint32 // producer sets, consumer clears
	_      [60]byte
	Want   atomic.Uint64 // producer
	_      [56]byte
}

// Big is the payload of a record whose message lies in a block of its own.
type Big struct {
	_   structs.HostLayout
	Ref uint64
	Len uint64
}

// Lane is one direction of a connection.
type Lane struct {
	_        structs.HostLayout
	Producer atomic.Uint64 // CAS: members of the sending end
	Consumer atomic.Uint64 // CAS: members of the receiving end
	Ring     uint64
	_        [40]byte
	Big      [Bigs]atomic.Uint64 // producer
}

// Conn is the header of a connection.
type Conn struct {
	_    structs.HostLayout
	Obj  Object
	End  [2]Set
	Lane [2]Lane
}

// Process is the header of a child process.
type Process struct {
	_         structs.HostLayout
	Obj       Object
	Set       Set
	State     atomic.Uint32 // child
	Outcome   atomic.Uint32 // child, before ProcDone
	Wait      atomic.Uint32 // parent sets, child and reapers clear
	_         uint32
	Parent    uint64
	Child     atomic.Uint64 // child, before ProcHello
	Result    atomic.Uint64 // child, before ProcDone
	ResultLen atomic.Uint64 // child, before ProcDone
	Taken     atomic.Uint64 // child, before ProcHello
	TakenLen  atomic.Uint64 // child, before ProcHello
	ParentPID uint32
	ChildPID  atomic.Uint32 // child
}

// DirEntry is one name of a Space's directory.
type DirEntry struct {
	_        structs.HostLayout
	Word     atomic.Uint64
	Hash     atomic.Uint64
	Ref      atomic.Uint64
	TypeHash atomic.Uint64
	Kind     atomic.Uint32
	Seq      atomic.Uint32
	NameLen  atomic.Uint32
	_        uint32
	Name     [208]byte
}

// Directory is a block of names.
type Directory struct {
	_     structs.HostLayout
	Next  atomic.Uint64 // CAS from 0
	_     [248]byte
	Entry [DirEntries]DirEntry
}
