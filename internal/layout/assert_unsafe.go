package layout

import "unsafe"

// Each line compiles only if both sides agree: the index must be 0.
var zero [1]struct{}

var (
	_ = zero[unsafe.Sizeof(SegmentHeader{})-SizeSegment]
	_ = zero[unsafe.Sizeof(Root{})-SizeRoot]
	_ = zero[unsafe.Sizeof(Page{})-SizePage]
	_ = zero[unsafe.Sizeof(Tree{})-SizeTree]
	_ = zero[unsafe.Sizeof(Entry{})-SizeEntry]
	_ = zero[unsafe.Sizeof(SlabHeader{})-SizeSlab]
	_ = zero[unsafe.Sizeof(Object{})-SizeObject]
	_ = zero[unsafe.Sizeof(Set{})-SizeSet]
	_ = zero[unsafe.Sizeof(Ring{})-SizeRing]
	_ = zero[unsafe.Sizeof(Lane{})-SizeLane]
	_ = zero[unsafe.Sizeof(Big{})-SizeBig]
	_ = zero[unsafe.Sizeof(Conn{})-SizeConn]
	_ = zero[unsafe.Sizeof(Process{})-SizeProcess]
	_ = zero[unsafe.Sizeof(DirEntry{})-SizeDirEntry]
	_ = zero[unsafe.Sizeof(Directory{})-SizeDirectory]

	_ = zero[unsafe.Offsetof(SegmentHeader{}.Nonce)-16]
	_ = zero[unsafe.Offsetof(SegmentHeader{}.Heap)-32]
	_ = zero[unsafe.Offsetof(SegmentHeader{}.Self)-56]
	_ = zero[unsafe.Offsetof(Root{}.Limit)-128]
	_ = zero[unsafe.Offsetof(Root{}.Name)-144]
	_ = zero[unsafe.Offsetof(Root{}.Doomed)-RootDoomed]
	_ = zero[unsafe.Offsetof(Root{}.Deaths)-384]
	_ = zero[unsafe.Offsetof(Root{}.SlotHint)-512]
	_ = zero[unsafe.Offsetof(Root{}.Kinds)-640]
	_ = zero[unsafe.Offsetof(Root{}.Directory)-768]
	_ = zero[unsafe.Offsetof(Page{}.Doorbell)-128]
	_ = zero[unsafe.Offsetof(Page{}.Hazard)-256]
	_ = zero[unsafe.Offsetof(Page{}.Dirty)-512]
	_ = zero[unsafe.Offsetof(Object{}.Data)-24]
	_ = zero[unsafe.Offsetof(Object{}.TypeName)-48]
	_ = zero[unsafe.Offsetof(Ring{}.Head)-128]
	_ = zero[unsafe.Offsetof(Ring{}.Cursor)-256]
	_ = zero[unsafe.Offsetof(Ring{}.Leased)-264]
	_ = zero[unsafe.Offsetof(Ring{}.RWait)-384]
	_ = zero[unsafe.Offsetof(Ring{}.WWait)-512]
	_ = zero[unsafe.Offsetof(Lane{}.Producer)-LaneProducer]
	_ = zero[unsafe.Offsetof(Lane{}.Consumer)-LaneConsumer]
	_ = zero[unsafe.Offsetof(Lane{}.Big)-64]
	_ = zero[unsafe.Offsetof(Conn{}.Lane)-1152]
	_ = zero[unsafe.Offsetof(Process{}.State)-640]
	_ = zero[unsafe.Offsetof(Process{}.Parent)-ProcessParent]
	_ = zero[unsafe.Offsetof(Process{}.Result)-672]
	_ = zero[unsafe.Offsetof(DirEntry{}.Name)-48]
	_ = zero[unsafe.Offsetof(Directory{}.Entry)-256]
)
