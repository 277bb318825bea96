package layout

import "fmt"

// Member names one life of one slot: slot:10, gen:20. The zero Member is nobody.
type Member uint64

// MakeMember packs slot and generation.
func MakeMember(slot, gen int) Member { return Member(uint64(slot) | uint64(gen)<<SlotBits) }

// MemberMask covers a packed Member.
const MemberMask = 1<<(SlotBits+GenBits) - 1

// Slot is 1..Slots for a real member.
func (m Member) Slot() int { return int(m & (1<<SlotBits - 1)) }

// Gen counts the lives of the slot.
func (m Member) Gen() int { return int(m >> SlotBits & (1<<GenBits - 1)) }

// Valid tells whether m can be a member at all.
func (m Member) Valid() bool { return m <= MemberMask && m.Slot() >= 1 && m.Slot() <= Slots }

func (m Member) String() string { return fmt.Sprintf("%d.%d", m.Slot(), m.Gen()) }

// SlotWord is the state of a slot.
type SlotWord uint64

// MakeSlotWord packs a slot word.
func MakeSlotWord(state, gen int) SlotWord {
	return SlotWord(uint64(state) | uint64(gen)<<SlotGenShift)
}

// State is one of SlotClean, SlotLive, SlotDead.
func (w SlotWord) State() int { return int(w & (1<<SlotStateBits - 1)) }

// Gen is the generation that the state belongs to.
func (w SlotWord) Gen() int { return int(w >> SlotGenShift & (1<<GenBits - 1)) }

// Died tells of a clean slot that its last member died, rather than left.
func (w SlotWord) Died() bool { return w>>SlotDiedBit&1 != 0 }

// Word is an entry word of the heap: state:4, a:10, b:20, seq:30.
type Word uint64

// MakeWord packs an entry word that belongs to a member (or carries any other 30 bits).
func MakeWord(state int, m Member, seq uint32) Word {
	return Word(uint64(state) | uint64(m)<<4 | uint64(seq)<<SeqShift)
}

// State is one of Free … Holed.
func (w Word) State() int { return int(w & 15) }

// Member is whom a Claim, Owned or Freeing word belongs to.
func (w Word) Member() Member { return Member(w >> 4 & MemberMask) }

// A is the distance of a Cont word, the class of a Slab word.
func (w Word) A() int { return int(w >> 4 & (1<<SlotBits - 1)) }

// Seq counts how often the word became Free.
func (w Word) Seq() uint32 { return uint32(w >> SeqShift) }

// Freed is the word that follows w when it is given back.
func (w Word) Freed() Word { return w.FreedAs(Free) }

// FreedAs is the same as Free, Holed or Doubtful.
func (w Word) FreedAs(to Word) Word { return to | MakeWord(0, 0, (w.Seq()+1)&(1<<30-1)) }

// Doubtful is a Holed word whose memory may still be there: it can be given back again.
const Doubtful Word = Holed | HoledDoubtful<<4

// Unused tells whether anybody may claim it.
func (w Word) Unused() bool { return w.State() == Free || w.State() == Holed }

// To keeps the sequence and changes state and member.
func (w Word) To(state int, m Member) Word { return MakeWord(state, m, w.Seq()) }

func (w Word) String() string {
	return fmt.Sprintf("{state %d %v seq %d}", w.State(), w.Member(), w.Seq())
}

// HoldWord packs a word of a hold set: who, and of which incarnation of the object.
func HoldWord(m Member, seq uint32) uint64 { return uint64(m) | uint64(seq)<<30 }

// HoldMember is who a hold word names.
func HoldMember(w uint64) Member { return Member(w & MemberMask) }

// HoldSeq is the incarnation that a hold word belongs to.
func HoldSeq(w uint64) uint32 { return uint32(w >> 30) }

// SetState is the state word of a hold set: phase:2, member:30, version:32.
type SetState uint64

// MakeSetState packs a state word.
func MakeSetState(phase int, m Member, version uint32) SetState {
	return SetState(uint64(phase) | uint64(m)<<2 | uint64(version)<<32)
}

// Phase is one of SetOpen, SetClosed, SetDied.
func (s SetState) Phase() int { return int(s & 3) }

// Member is the last one who went, if it died: in an open set, of several; in one that is over, the last holder.
func (s SetState) Member() Member { return Member(s >> 2 & MemberMask) }

// Version grows whenever the set changes hands.
func (s SetState) Version() uint32 { return uint32(s >> 32) }

// Ref points into a Space: segment:16, offset:48. 0 is nothing.
type Ref uint64

// MakeRef packs a Ref.
func MakeRef(segment int, offset int64) Ref { return Ref(uint64(segment)<<48 | uint64(offset)) }

// Segment is the segment's index.
func (r Ref) Segment() int { return int(r >> 48) }

// Offset is the offset in the segment's file.
func (r Ref) Offset() int64 { return int64(r & (1<<48 - 1)) }

func (r Ref) String() string { return fmt.Sprintf("%d:%#x", r.Segment(), r.Offset()) }

// DirWord packs the word of a directory entry.
func DirWord(state int, m Member, seq uint32) Word { return MakeWord(state, m, seq) }
