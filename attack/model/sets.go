package model

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/tandem-ipc/tandem/attack/model/check"
)

// Hold sets and the end of objects: shm/set.go joinSet, leaveSet, forgetLate, resetSet; shm/object.go newObject, openObject,
// freeIfOver, finishFree, freePart; shm/settle.go leaveObjects, freeBlocks; shm/part.go Recheck, without its asking for
// proof. Object.leave settles the dead holders before it leaves; here that may happen or not.
//
// One place for an object header in a slab: its entry {state, member, seq}, one or two hold sets of three words {member,
// seq} and a state {phase, member, version}, and one block of data. An object is there at the start. Who takes part is
// configured: holders of the first object, of both sets or one; one of them rechecks the other set; joiners by its Handle,
// who may be late by any amount, or are so from the start; a creator, who makes a second object in the place once it is
// free, and a joiner of that; a bystander, dead from the start, who never held anything; helpers, who settle the dead, all
// at once if they like. Sequence numbers and versions never wrap here.
//
//	open      J1 same?   J2 same?   J3 w = word, 0?   J4 word 0 -> me (CAS), else J3 of the next   J5 st = state, OPEN?
//	          J6 state OPEN{v, how} -> OPEN{v+1, how} (CAS)   J7 same? else J8 word me -> 0;   "same?": entry is SHARED#seq
//	leaveSet  L0 each word: am I in it?   L1 st = state, OPEN? else L6   L2 each word: am I in it still? is anybody else?
//	          others: not in it at L0? return; not in it any more? L1;   else L3 same? L4 state OPEN{v} -> OPEN{v+1, how I go}
//	                  (CAS), L5 word me -> 0, and again from L1, as one who is not in it
//	          only I: L3, state OPEN{v} -> CLOSED or DIED{me} (CAS), L6 word me -> 0; over
//	          nobody: a leaver was killed half-way: L3, state OPEN{v, how} -> CLOSED or DIED{who} (CAS), L6
//	          (L0 comes before L2: who is not in it was taken out by somebody, and those that we see look again after that;
//	          an object that is not the same at L3 is over)
//	Recheck   R1 each word: is anybody in it?   R2 state OPEN?   leaveSet for nobody
//	freeIfOver F1 w = entry, SHARED? FREEING: F4   F2 all sets over?   F3 entry w -> FREEING{me} (CAS), else F1
//	finishFree F4 w = data, PART or FREEING?   F5 entry still FREEING{who}?   F6 data PART -> FREEING{me} (CAS), else F4
//	          F7 data FREEING{anybody} -> FREE (CAS)   F8 entry FREEING{who} -> FREE (CAS)
//	create    C1 entry FREE -> OWNED{me} (CAS)   C2 resetSet: words to 0, then the first word me, then state OPEN{v+1}
//	          C3 data FREE -> OWNED{me}   C4 entry -> SHARED (CAS)   C5 data -> PART (CAS)
//	settle    S1 slot DEAD?   S2 w = entry: FREEING: finishFree, whoever began; SHARED or OWNED: S3 w = each word: of m, of
//	          another object? S4 w -> 0 (CAS); SHARED: leaveSet; for each set; one over: freeIfOver
//	          S5 w = each block: OWNED{m}, or data FREEING{anybody}: -> FREE (CAS)   S6 slot -> CLEAN (CAS)
//	leave     S2 to S5 for oneself, while LIVE   S6 slot LIVE -> CLEAN (CAS)
//
// Checked in every state: who has joined and not begun to leave finds the object SHARED under its seq, its set OPEN, its
// word in it; the data of an object is a PART only while the object is there; nobody who is settled has a word in an object.
// At the end of a set: DIED only if one of its holders was killed; CLOSED not if the last one was killed. In the end: all
// have finished, the dead are settled, object and data are FREE, unless one of the holders is stopped; a settler that is
// stopped holds up nothing. Whoever runs alone finishes.

const (
	setsWords = 3 // at most
	setsProcs = 7
)

type setsHold struct{ m, seq uint8 } // m: process + 1

type setsStateWord struct{ phase, who, ver uint8 }

const (
	setOpen = iota
	setClosed
	setDied
)

type setsSet struct {
	st   setsStateWord
	word [setsWords]setsHold
	// What must be true of the end:
	casualty bool // a holder of the object was killed
	mustDie  bool // the last one was
}

const sShared = hHoled + 1 // a state of the entry beside those of the heap

type setsProc struct {
	pc, ret  uint8
	fate     uint8
	seq      uint8 // of the object that it deals with
	m        uint8 // leaveSet: whom it takes out, process + 1
	set, k   uint8
	helps    bool // it settles m
	died     bool
	held     bool // leaveSet: m was in the set
	in       bool // m is in it still
	others   bool // so is another
	over     bool // it settles: a set is over
	making   bool // it settles: the object is being made
	rechecks bool // it ends a set for nobody, and goes on holding its own
	st       setsStateWord
	w        setsHold
	e, d     heapWord // entry and data as they were read
}

type setsState struct {
	e, d heapWord // of the object, of its data
	bare bool     // the second object has its data elsewhere
	set  [2]setsSet
	slot [setsProcs]uint8
	p    [setsProcs]setsProc
	left faults
}

const (
	setsIdle = iota
	setsSame1
	setsSame2
	setsPlace
	setsPlaceCAS
	setsJoinState
	setsJoinBack
	setsBump
	setsSame3
	setsUndo
	setsHolds // the state of a holder; its next step begins to leave
	setsHeld
	setsLook
	setsOthers
	setsClearMid
	setsStill
	setsTell
	setsEnd
	setsClearEnd
	setsFree1
	setsFree2
	setsFree3
	setsFreeLate // mutant
	setsFree4
	setsFree5
	setsFree6
	setsFree7
	setsFree8
	setsCreate
	setsClearWord
	setsStoreWord
	setsFirstWord
	setsLoadState
	setsOpenState
	setsData
	setsPublish
	setsHand
	setsGo
	setsScan
	setsForget
	setsForgetCAS
	setsRecheck
	setsRecheckState
	setsBlocks
	setsBlockCAS
	setsClean
	setsDone
)

// Roles.
const (
	isHolder    = 'H' // of the first object, of all its sets
	isEnd       = 'E' // likewise, of its first set
	isWaiter    = 'W' // likewise, of its last set; it rechecks the first one
	isJoiner    = 'J' // of the first object, its last set
	isTardy     = 'T' // likewise, but the next object is there already, and it is about to take a word
	isCreator   = 'C' // of the second object
	isLate      = 'L' // joins the second object, its last set
	isBystander = 'B' // dead
	isHelper    = 'S'
)

var setsRoles = map[rune]string{isHolder: "holder", isEnd: "end", isWaiter: "waiter", isTardy: "tardy", isJoiner: "joiner", isCreator: "creator", isLate: "late", isBystander: "bystander", isHelper: "helper"}

type setsConfig struct {
	roles        string
	sets         int
	words        int  // of a set
	goes         bool // who has closed what it held leaves the Space and settles itself
	dataFirst    bool // the data lies before the header in the heap
	kills, stops uint8
	mutant       string
}

const (
	setsOverwrite = "a joiner takes the place of another object's holder"
	setsEndAny    = "a set is ended without asking whether the object is still the same"
	setsSettleAny = "likewise, but by settlers only"
	setsBlame     = "a settler ends a set in the name of who was not in it"
	setsNoAgain   = "who is not the first to free an object goes on without it"
	setsNotOver   = "an object that is being freed counts as one whose sets are not over"
	setsNoHelp    = "only what the dead have begun to free is freed to the end"
	setsNoBump    = "joining does not change the version"
	setsNoLook    = "who clears its word because of others does not look again"
	setsNoSame    = "no second look at the entry after joining"
	setsFreeFirst = "the entry becomes FREEING before the sets are looked at"
	setsAllOver   = "a settler looks whether to free only if it found all sets over, one by one"
	setsOnePass   = "who looks whether it is in a set looks for others at the same time"
	setsNewWho    = "joining forgets how the last one went"
	setsNoForget  = "words of the dead for other objects are not looked for"
	setsNoMaking  = "likewise, where an object is being made"
	setsEmpty     = "who ends a set for nobody takes an empty word for its own"
	setsNoStill   = "a part is taken without another look at the entry"
)

func (c setsConfig) String() string {
	s := fmt.Sprintf("%s, %d sets of %d, %v", c.roles, c.sets, c.words, faults{c.kills, c.stops})
	if c.goes {
		s += ", leave the Space"
	}
	if c.dataFirst {
		s += ", data first"
	}
	return s
}

func (c setsConfig) procs() []string {
	var names []string
	n := map[rune]int{}
	for _, r := range c.roles {
		name := setsRoles[r]
		if n[r]++; n[r] > 1 {
			name += fmt.Sprint(n[r])
		}
		names = append(names, name)
	}
	return names
}

func (c setsConfig) finished(s *setsState, p int) bool {
	q := &s.p[p]
	return q.fate != running || q.pc == setsDone || q.pc == setsIdle
}

// inAll tells whether p holds all sets of its object, and not just one.
func (c setsConfig) inAll(p int) bool { return c.roles[p] == isHolder || c.roles[p] == isCreator }

// empty tells whether an empty word is taken for that of nobody.
func (c setsConfig) empty(q *setsProc, w setsHold) bool {
	return c.mutant == setsEmpty && q.m == 0 && w == setsHold{}
}

// rechecked is the end of Recheck: it goes on holding its own set.
func (c setsConfig) rechecked(q *setsProc) {
	q.pc, q.m, q.set, q.k, q.rechecks, q.ret = setsHolds, 0, uint8(c.sets-1), 0, false, 1
}

// takeOut begins leaveSet.
func (q *setsProc) takeOut(m uint8) {
	q.pc, q.m, q.k, q.held, q.in, q.others = setsHeld, m, 0, false, false, false
}

// settle begins to take a member out of the next set.
func (c setsConfig) settle(q *setsProc) {
	if q.pc, q.k = setsForget, 0; c.mutant == setsNoForget {
		q.takeOut(q.m)
	}
}

// out is the end of leaveSet.
func (c setsConfig) out(s *setsState, p int, over bool) {
	q := &s.p[p]
	q.k, q.held, q.in, q.others, q.st = 0, false, false, false, setsStateWord{}
	if q.helps {
		if c.mutant == setsAllOver {
			q.over = q.over && over
		} else {
			q.over = q.over || over
		}
		switch q.set++; {
		case int(q.set) < c.sets:
			c.settle(q)
		case q.over:
			q.pc, q.set = setsFree1, 0
		default:
			q.pc, q.set, q.over, q.seq = setsBlocks, 0, false, 0
		}
		return
	}
	if q.rechecks {
		c.rechecked(q)
		return
	}
	q.m = 0
	if q.pc = setsFree1; !over {
		c.left(s, p)
	}
}

// forgot goes on with the next word in forgetLate.
func (c setsConfig) forgot(q *setsProc) {
	q.w = setsHold{}
	if q.k++; int(q.k) < c.words {
		return
	}
	q.k = 0
	if !q.making {
		q.takeOut(q.m)
	} else if q.set++; int(q.set) == c.sets {
		q.pc, q.set, q.seq, q.making = setsBlocks, 0, 0, false
	}
}

// left is what follows when a set has been left and what was to be freed is: the next set, or the end.
func (c setsConfig) left(s *setsState, p int) {
	q := &s.p[p]
	q.e, q.d, q.k = heapWord{}, heapWord{}, 0
	if q.helps {
		q.pc, q.over, q.seq = setsBlocks, false, 0
		return
	}
	if q.set++; c.inAll(p) && int(q.set) < c.sets {
		q.pc = setsHolds
		return
	}
	c.done(s, p)
}

func (c setsConfig) done(s *setsState, p int) {
	pc := uint8(setsDone)
	if c.goes {
		pc = setsGo
	}
	s.p[p] = setsProc{pc: pc}
}

// next is the block after the one that was looked at.
func (q *setsProc) next() {
	q.e, q.d = heapWord{}, heapWord{}
	if q.pc = setsBlocks; q.k == 1 {
		q.pc = setsClean
	}
	q.k = 1 - q.k
}

func (c setsConfig) step(s *setsState, p int, o *check.Out[setsState]) {
	if s.p[p].fate != running {
		return
	}
	x := *s
	q := &x.p[p]
	me := uint8(p + 1)
	same := func(seq uint8) bool { return s.e.st == sShared && s.e.seq == seq }
	set := &x.set[min(int(q.set), 1)]
	mine := setsHold{q.m, q.seq}
	k := int(q.k)
	label := ""
	switch q.pc {
	case setsIdle:
		switch rune(c.roles[p]) {
		case isJoiner:
			label = "open: find"
			q.pc, q.set = setsSame1, uint8(c.sets-1)
		case isLate:
			if s.e.st != sShared || s.e.seq == q.seq || s.d.st == hOwned {
				return // nobody knows it before it is complete
			}
			label = "open: the second object"
			q.pc, q.seq, q.set = setsSame1, s.e.seq, uint8(c.sets-1)
		case isCreator:
			if s.e.st != hFree {
				return
			}
			label = "create: w = entry"
			q.pc, q.e = setsCreate, s.e
		case isHelper:
			for v := range c.roles {
				if s.slot[v] == slotDead {
					x = *s
					q.pc, q.m, q.helps, q.died = setsScan, uint8(v+1), true, s.slot[v] == slotDead
					o.Go("settle: slot of "+c.procs()[v], x)
				}
			}
			return
		}
	case setsSame1, setsSame2:
		switch label = "open: the same"; {
		case !same(q.seq):
			label = "open: gone"
			c.done(&x, p)
		case q.pc == setsSame1:
			q.pc = setsSame2
		default:
			q.pc, q.k = setsPlace, 0
		}
	case setsPlace:
		q.w = s.set[q.set].word[k]
		taken := q.w != setsHold{}
		if c.mutant == setsOverwrite {
			taken = taken && q.w.seq == q.seq
		}
		switch {
		case !taken:
			label = "join: w = word, free"
			q.pc = setsPlaceCAS
		case k+1 < c.words:
			label = "join: w = word, taken"
			q.k, q.w = q.k+1, setsHold{}
		default:
			label = "join: no place"
			c.done(&x, p)
		}
	case setsPlaceCAS:
		if label = "join: CAS of word fails"; set.word[k] == q.w {
			label = "join: CAS word -> me"
			set.word[k] = setsHold{me, q.seq}
			q.pc = setsJoinState
		} else if q.pc, q.k = setsPlace, q.k+1; int(q.k) == c.words {
			c.done(&x, p)
		}
		q.w = setsHold{}
	case setsJoinState:
		q.st = s.set[q.set].st
		switch {
		case q.st.phase != setOpen:
			label = "join: st = state, over"
			q.pc, q.st = setsJoinBack, setsStateWord{}
		case c.mutant == setsNoBump:
			label = "join: st = state, open"
			q.pc, q.st = setsSame3, setsStateWord{}
		default:
			label = "join: st = state, open"
			q.pc = setsBump
		}
	case setsJoinBack:
		label = "join: CAS word me -> 0, gone"
		if set.word[k] == (setsHold{me, q.seq}) {
			set.word[k] = setsHold{}
		}
		c.done(&x, p)
	case setsBump:
		label = "join: CAS of state fails"
		q.pc = setsJoinState
		if set.st == q.st {
			label = "join: CAS state OPEN{v+1}"
			if set.st.ver++; c.mutant == setsNewWho {
				set.st.who = 0
			}
			if q.pc = setsSame3; c.mutant == setsNoSame {
				q.pc = setsHolds
			}
			if s.e.seq == q.seq {
				set.mustDie = false
			}
		}
		q.st = setsStateWord{}
	case setsSame3:
		q.k = 0
		if label = "join: still the same, joined"; same(q.seq) {
			q.pc = setsHolds
		} else {
			label = "join: another object by now"
			q.pc = setsUndo
		}
	case setsUndo:
		label = "join: clear the word"
		if set.word[k] == (setsHold{me, q.seq}) {
			set.word[k] = setsHold{}
		}
		if q.k++; int(q.k) == c.words {
			c.done(&x, p)
		}

	case setsRecheck:
		switch w := s.set[0].word[k]; {
		case w != setsHold{} && w.seq == q.seq:
			label = "Recheck: a holder"
			c.rechecked(q)
		default:
			label = "Recheck: no holder"
			if q.k++; int(q.k) == c.words {
				q.pc = setsRecheckState
			}
		}
	case setsRecheckState:
		if label = "Recheck: state, open"; s.set[0].st.phase == setOpen {
			q.takeOut(0)
		} else {
			label = "Recheck: state, over"
			c.rechecked(q)
		}

	case setsHolds, setsHeld:
		if q.pc == setsHolds {
			if c.roles[p] == isWaiter && q.ret == 0 {
				y := x
				y.p[p].pc, y.p[p].set, y.p[p].k, y.p[p].rechecks = setsRecheck, 0, 0, true
				o.Go("Recheck", y)
			}
			q.takeOut(me)
		}
		if label = "leaveSet: not in this word"; s.set[q.set].word[q.k] == (setsHold{q.m, q.seq}) || c.empty(q, s.set[q.set].word[q.k]) {
			label = "leaveSet: in it"
			q.held = true
		}
		if q.k++; int(q.k) == c.words {
			q.pc, q.k = setsLook, 0
			if c.mutant == setsOnePass {
				q.held = false
			}
		}
	case setsLook:
		q.st = s.set[q.set].st
		if label = "leaveSet: st = state, open"; q.st.phase == setOpen {
			q.pc, q.in, q.others = setsOthers, false, false
		} else {
			label = "leaveSet: st = state, over"
			q.pc, q.st, q.held = setsClearEnd, setsStateWord{}, false
		}
	case setsOthers:
		w := s.set[q.set].word[k]
		switch label = "leaveSet: nobody here"; {
		case w == mine || c.empty(q, w):
			label = "leaveSet: in it"
			q.in = true
			q.held = q.held || c.mutant == setsOnePass
		case w != setsHold{} && w.seq == q.seq:
			label = "leaveSet: somebody else is in it"
			q.others = true
		}
		if q.k++; int(q.k) < c.words && !(q.others && c.mutant == setsBlame) {
			break
		}
		q.k = 0
		switch {
		case q.others && !q.held:
			c.out(&x, p, false)
		case q.others && c.mutant == setsBlame:
			q.pc, q.held, q.in, q.others, q.st = setsClearMid, false, false, false, setsStateWord{}
		case q.others && !q.in:
			q.pc, q.held, q.others, q.st = setsLook, false, false, setsStateWord{}
		case c.mutant == setsEndAny || c.mutant == setsSettleAny && q.helps:
			if q.pc = setsEnd; q.others {
				q.pc = setsTell
			}
		default:
			q.pc = setsStill
		}
	case setsStill:
		switch label = "leaveSet: still the same object"; {
		case !same(q.seq):
			label = "leaveSet: another object by now"
			c.out(&x, p, c.mutant != setsNotOver)
		case q.others:
			q.pc = setsTell
		default:
			q.pc = setsEnd
		}
	case setsTell:
		if label = "leaveSet: CAS of state fails"; set.st == q.st {
			label = "leaveSet: CAS state OPEN{v+1}"
			set.st.ver++
			if set.st.who = 0; q.died {
				set.st.who = q.m
			}
			q.pc, q.held = setsClearMid, false
		} else {
			q.pc = setsLook
		}
		q.st, q.in, q.others = setsStateWord{}, false, false
	case setsClearMid:
		label = "leaveSet: clear the word"
		if set.word[k] == mine {
			set.word[k] = setsHold{}
		}
		if q.k++; int(q.k) == c.words {
			if q.pc, q.k = setsLook, 0; c.mutant == setsNoLook {
				c.out(&x, p, false)
			}
		}
	case setsEnd:
		if set.st != q.st {
			label = "leaveSet: CAS of state fails"
			q.pc, q.st, q.in = setsLook, setsStateWord{}, false
			break
		}
		who := q.st.who // nobody is in it: the last one has told how it goes
		if q.in || c.mutant == setsBlame {
			if who = 0; q.died {
				who = q.m
			}
		}
		label = "leaveSet: CAS state -> CLOSED"
		set.st = setsStateWord{setClosed, 0, q.st.ver + 1}
		if who != 0 {
			label = "leaveSet: CAS state -> DIED"
			set.st.phase, set.st.who = setDied, who
		}
		switch {
		case s.e.seq != q.seq:
		case set.st.phase == setDied && !set.casualty:
			o.Fail(label, "a set died of which no holder was killed")
			return
		case set.st.phase == setClosed && set.mustDie:
			o.Fail(label, "a set was closed of which the last holder was killed")
			return
		}
		q.pc, q.st, q.held, q.in, q.others = setsClearEnd, setsStateWord{}, false, false, false
	case setsClearEnd:
		label = "leaveSet: over, clear the word"
		if set.word[k] == mine {
			set.word[k] = setsHold{}
		}
		if q.k++; int(q.k) == c.words {
			c.out(&x, p, true)
		}

	case setsFree1:
		q.e, q.k = s.e, 0
		switch label = "freeIfOver: w = entry, SHARED"; {
		case s.e.st == hFreeing && c.mutant != setsNoHelp:
			label = "freeIfOver: w = entry, FREEING"
			q.pc = setsFree4
		case s.e.st != sShared:
			label = "freeIfOver: w = entry, not SHARED"
			c.left(&x, p)
		case c.mutant == setsFreeFirst:
			q.pc = setsFree3
		default:
			q.pc = setsFree2
		}
	case setsFree2, setsFreeLate:
		if s.set[k].st.phase == setOpen {
			if label = "freeIfOver: a set is open"; q.pc == setsFreeLate {
				x.e = heapWord{sShared, 0, q.e.seq}
			}
			c.left(&x, p)
			break
		}
		label = "freeIfOver: a set is over"
		if q.k++; int(q.k) == c.sets {
			if q.k = 0; q.pc == setsFreeLate {
				q.pc = setsFree4
			} else {
				q.pc = setsFree3
			}
		}
	case setsFree3:
		if label = "freeIfOver: CAS of entry fails"; s.e != q.e {
			if q.pc, q.e = setsFree1, (heapWord{}); c.mutant == setsNoAgain {
				c.left(&x, p)
			}
			break
		}
		label = "freeIfOver: CAS entry -> FREEING"
		x.e.st, x.e.a = hFreeing, me
		q.e, q.k = x.e, 0
		if q.pc = setsFree4; c.mutant == setsFreeFirst {
			q.pc = setsFreeLate
		}
	case setsFree4:
		q.d = s.d
		switch label = "finishFree: w = data, PART"; {
		case s.d.st != hPart && (s.d.st != hFreeing || c.mutant == setsNoHelp):
			label = "finishFree: w = data, no PART"
			q.pc, q.d = setsFree8, heapWord{}
		case c.mutant == setsNoStill:
			q.pc = setsFree6
		default:
			q.pc = setsFree5
		}
	case setsFree5:
		if label = "finishFree: entry still FREEING"; s.e == q.e {
			if q.pc = setsFree6; q.d.st == hFreeing {
				q.pc = setsFree7
			}
		} else {
			label = "finishFree: entry is another by now"
			q.pc, q.d = setsFree8, heapWord{}
		}
	case setsFree6:
		if label = "finishFree: CAS of data fails"; s.d == q.d {
			label = "finishFree: CAS data PART -> FREEING"
			x.d.st, x.d.a = hFreeing, me
			q.pc, q.d = setsFree7, x.d
		} else if q.pc, q.d = setsFree4, (heapWord{}); c.mutant == setsNoAgain {
			q.pc = setsFree8
		}
	case setsFree7:
		if label = "finishFree: CAS of data fails"; s.d == q.d {
			label = "finishFree: CAS data -> FREE"
			x.d = q.d.freed()
		}
		q.pc, q.d = setsFree8, heapWord{}
	case setsFree8:
		if label = "finishFree: CAS of entry fails"; s.e == q.e {
			label = "finishFree: CAS entry -> FREE"
			x.e = q.e.freed()
		}
		c.left(&x, p)

	case setsCreate:
		if s.e != q.e {
			label = "create: CAS of entry fails"
			*q = setsProc{}
			break
		}
		label = "create: CAS entry -> OWNED"
		x.e.st, x.e.a = hOwned, me
		*q = setsProc{pc: setsClearWord, seq: x.e.seq}
	case setsClearWord, setsStoreWord:
		if q.pc == setsClearWord && s.set[q.set].word[k] != (setsHold{}) {
			label = "resetSet: a word is not 0"
			q.pc = setsStoreWord
			break
		}
		if label = "resetSet: a word is 0"; q.pc == setsStoreWord {
			label = "resetSet: word = 0"
			set.word[k] = setsHold{}
		}
		q.pc = setsClearWord
		if q.k++; int(q.k) == c.words {
			q.pc, q.k = setsFirstWord, 0
		}
	case setsFirstWord:
		label = "resetSet: word = me"
		set.word[0] = setsHold{me, q.seq}
		q.pc = setsLoadState
	case setsLoadState:
		label = "resetSet: st = state"
		q.pc, q.st = setsOpenState, s.set[q.set].st
	case setsOpenState:
		label = "resetSet: state = OPEN{v+1}"
		set.st = setsStateWord{setOpen, 0, q.st.ver + 1}
		set.casualty, set.mustDie = false, false
		q.pc, q.st = setsClearWord, setsStateWord{}
		if q.set++; int(q.set) == c.sets {
			q.pc, q.set = setsData, 0
		}
	case setsData:
		switch label = "create: data FREE -> OWNED"; s.d.st {
		case hPart:
			o.Fail(label, "the place of an object is used again, and the old one's data was not freed")
			return
		case hFree:
			x.d.st, x.d.a = hOwned, me
		default:
			label = "create: data elsewhere" // it is about to be freed
			q.ret = 1
		}
		q.pc = setsPublish
	case setsPublish:
		if label = "create: CAS entry -> SHARED"; s.e != (heapWord{hOwned, me, q.seq}) {
			o.Fail(label, "an object that was being made was taken away")
			return
		}
		x.e.st, x.e.a = sShared, 0
		x.bare = q.ret == 1
		if q.pc = setsHand; x.bare {
			q.pc, q.ret = setsHolds, 0
		}
	case setsHand:
		if label = "create: CAS data -> PART"; s.d.st != hOwned || s.d.a != me {
			o.Fail(label, "the data of an object was taken away")
			return
		}
		x.d.st, x.d.a = hPart, 0
		q.pc = setsHolds

	case setsGo:
		q.pc, q.m, q.helps = setsScan, me, true
		fallthrough
	case setsScan:
		switch label = "leaveObjects: w = entry"; {
		case s.e.st == hFreeing && (s.e.a == q.m || c.mutant != setsNoHelp):
			q.pc, q.e = setsFree4, s.e
		case s.e.st == sShared:
			q.seq, q.set, q.over = s.e.seq, 0, c.mutant == setsAllOver
			c.settle(q)
		case s.e.st == hOwned && c.mutant != setsNoForget && c.mutant != setsNoMaking:
			q.seq, q.set, q.making = s.e.seq, 0, true
			c.settle(q)
		default:
			q.pc = setsBlocks
		}
	case setsForget:
		q.w = s.set[q.set].word[k]
		if label = "forgetLate: w = word, of the dead"; q.w.m == q.m && q.w.seq != q.seq {
			q.pc = setsForgetCAS
		} else {
			label = "forgetLate: w = word"
			c.forgot(q)
		}
	case setsForgetCAS:
		if label = "forgetLate: CAS fails"; set.word[k] == q.w {
			label = "forgetLate: CAS word -> 0"
			set.word[k] = setsHold{}
		}
		q.pc = setsForget
		c.forgot(q)
	case setsBlocks:
		w := s.d
		if c.entryAt(k) {
			w = s.e
		}
		helps := w.st == hFreeing && !c.entryAt(k) && (w.a == q.m || c.mutant != setsNoHelp)
		if label = "freeBlocks: w"; w.st == hOwned && w.a == q.m || helps {
			label = "freeBlocks: w of the dead"
			q.pc = setsBlockCAS
			if c.entryAt(k) {
				q.e = w
			} else {
				q.d = w
			}
		} else {
			q.next()
		}
	case setsBlockCAS:
		switch label = "freeBlocks: CAS w -> FREE"; {
		case c.entryAt(k) && s.e == q.e:
			x.e = q.e.freed()
		case !c.entryAt(k) && s.d == q.d:
			x.d = q.d.freed()
		default:
			label = "freeBlocks: CAS fails"
		}
		q.next()
	case setsClean:
		label = "settle: CAS of slot fails"
		if v := q.m - 1; s.slot[v] == slotDead || q.m == me {
			label = "settle: CAS slot -> CLEAN"
			x.slot[v] = slotClean
		}
		pc := uint8(setsIdle)
		if c.roles[p] != isHelper {
			pc = setsDone
		}
		*q = setsProc{pc: pc}
	default:
		return
	}
	o.Go(label, x)
}

// entryAt tells whether block k in the order of the heap is the object's header, and not the data.
func (c setsConfig) entryAt(k int) bool { return (k == 0) != c.dataFirst }

// holds tells whether p holds a set of an object and has not begun to leave it.
func (c setsConfig) holds(s *setsState, p, set int) bool {
	q := &s.p[p]
	if q.rechecks {
		return set == c.sets-1
	}
	if c.inAll(p) && int(q.set) < set && !q.helps {
		return q.pc >= setsHolds && q.pc <= setsFree8 || q.pc == setsHand
	}
	return (q.pc == setsHolds || q.pc == setsHand) && int(q.set) == set
}

// about tells whether p holds a set, has all but joined it, or has begun to leave it on its own behalf.
func (c setsConfig) about(s *setsState, p, set int) bool {
	q := &s.p[p]
	return c.holds(s, p, set) || !q.helps && q.pc >= setsSame3 && q.pc <= setsClearEnd && int(q.set) == set
}

func (c setsConfig) fault(s *setsState, p int, o *check.Out[setsState]) {
	if s.p[p].fate != running {
		return
	}
	if c.roles[p] == isHelper {
		if s.p[p].pc == setsIdle {
			return
		}
		others := 0
		for h := range c.roles {
			if h != p && c.roles[h] == isHelper && s.p[h].fate == running {
				others++
			}
		}
		if others == 0 { // somebody stays to settle
			return
		}
	} else if s.p[p].pc == setsDone {
		return
	}
	if s.left.stops > 0 && s.p[p].pc != setsIdle {
		x := *s
		x.left.stops--
		x.p[p].fate = stopped
		o.Go("stopped for good", x)
	}
	if s.left.kills == 0 {
		return
	}
	x := *s
	x.left.kills--
	for i := range c.sets {
		set := &x.set[i]
		in := false
		for _, w := range set.word {
			in = in || w == setsHold{uint8(p + 1), s.e.seq}
		}
		if s.p[p].seq == s.e.seq && (in || c.about(s, p, i)) {
			set.casualty = true
		}
		last := s.p[p].seq == s.e.seq && c.holds(s, p, i)
		for r := range c.roles {
			if r != p && s.p[r].fate != killed && s.p[r].seq == s.e.seq && c.about(s, r, i) {
				last = false
			}
		}
		set.mustDie = set.mustDie || last
	}
	x.p[p] = setsProc{fate: killed}
	x.slot[p] = slotDead
	o.Go("killed", x)
}

func (c setsConfig) check(s *setsState) string {
	for p := range c.roles {
		q := &s.p[p]
		if q.fate == killed {
			continue
		}
		for i := range c.sets {
			if !c.holds(s, p, i) {
				continue
			}
			in := false
			for _, w := range s.set[i].word {
				in = in || w == setsHold{uint8(p + 1), q.seq}
			}
			switch {
			case s.e.st != sShared || s.e.seq != q.seq:
				return "an object was freed while " + c.procs()[p] + " held it"
			case s.set[i].st.phase != setOpen:
				return fmt.Sprintf("set %d was ended while %s was in it", i, c.procs()[p])
			case q.pc == setsHolds && !s.bare && s.d.st != hPart:
				return "the data of an object was freed while " + c.procs()[p] + " held it"
			case !in:
				return fmt.Sprintf("set %d lost the word of %s, who holds it", i, c.procs()[p])
			}
		}
	}
	if s.d.st == hPart && s.e.st != sShared && s.e.st != hFreeing {
		return "an object was freed, its data was not"
	}
	if s.e.st == sShared {
		for i := range c.sets {
			for _, w := range s.set[i].word {
				if w.m != 0 && s.slot[w.m-1] == slotClean {
					return "a word of " + c.procs()[w.m-1] + ", who is settled, takes a place"
				}
			}
		}
	}
	return ""
}

func (c setsConfig) final(s *setsState) string {
	holder := false // a stopped process may keep the object: it holds it, or is in the middle of freeing it
	for p := range c.roles {
		if s.p[p].fate == stopped {
			holder = holder || c.roles[p] != isHelper
		} else if s.slot[p] == slotDead {
			return c.procs()[p] + " was not settled"
		}
	}
	if holder {
		return ""
	}
	if s.e.st != hFree {
		return "nobody holds the object, and it is not freed"
	}
	if s.d.st != hFree {
		return "the data of an object is left"
	}
	return ""
}

func (w heapWord) text(names []string) string {
	name := [...]string{"FREE", "CLAIM", "OWNED", "PART", "FREEING", "CONT", "HOLED", "SHARED"}[w.st]
	if w.a > 0 {
		name += "{" + names[w.a-1] + "}"
	}
	return fmt.Sprintf("%s#%d", name, w.seq)
}

func (c setsConfig) show(s *setsState) []string {
	names := c.procs()
	all := []string{"entry " + s.e.text(names), "data " + s.d.text(names)}
	for i := range c.sets {
		st := s.set[i].st
		text := [...]string{"OPEN", "CLOSED", "DIED"}[st.phase]
		if st.who > 0 {
			text += "{" + names[st.who-1] + "}"
		}
		all = append(all, fmt.Sprintf("state%d %s v%d", i, text, st.ver))
		for k, w := range s.set[i].word {
			text := "0"
			if w.m > 0 {
				text = fmt.Sprintf("%s#%d", names[w.m-1], w.seq)
			}
			all = append(all, fmt.Sprintf("word%d.%d %s", i, k, text))
		}
	}
	for v, name := range names {
		all = append(all, fmt.Sprintf("slot-%s %s", name, [...]string{"LIVE", "DEAD", "CLEAN"}[s.slot[v]]))
	}
	return all
}

// canon renames sequence numbers and versions, which are only compared with what somebody remembers, and sorts two helpers.
func (c setsConfig) canon(s *setsState, set uint32) uint32 {
	if n := len(c.roles); n >= 2 && c.roles[n-1] == isHelper && c.roles[n-2] == isHelper && s.p[n-1].less(&s.p[n-2]) {
		i, j := n-2, n-1
		s.p[i], s.p[j] = s.p[j], s.p[i]
		s.slot[i], s.slot[j] = s.slot[j], s.slot[i]
		set = swapBits(set, i, j)
		swap := func(m *uint8) {
			switch int(*m) {
			case i + 1:
				*m = uint8(j + 1)
			case j + 1:
				*m = uint8(i + 1)
			}
		}
		swap(&s.e.a)
		swap(&s.d.a)
		for k := range s.set {
			swap(&s.set[k].st.who)
		}
		for p := range n {
			q := &s.p[p]
			swap(&q.m)
			swap(&q.e.a)
			swap(&q.d.a)
			swap(&q.st.who)
		}
	}
	var entry, data renaming
	var ver [2]renaming
	entry.to(&s.e.seq)
	data.to(&s.d.seq)
	for i := range s.set {
		ver[i].to(&s.set[i].st.ver)
		for k := range s.set[i].word {
			entry.to(&s.set[i].word[k].seq)
		}
	}
	for p := range c.roles {
		q := &s.p[p]
		entry.to(&q.seq)
		entry.to(&q.e.seq)
		data.to(&q.d.seq)
		entry.to(&q.w.seq)
		ver[min(q.set, 1)].to(&q.st.ver)
	}
	return set
}

func (q *setsProc) less(r *setsProc) bool {
	bytes1 := func(q *setsProc) [16]uint8 {
		flags := uint8(0)
		for i, b := range [...]bool{q.helps, q.died, q.held, q.in, q.others, q.over, q.making} {
			if b {
				flags |= 1 << i
			}
		}
		return [...]uint8{q.pc, q.ret, q.fate, q.seq, q.m, q.set, q.k, flags, q.st.phase, q.st.who, q.st.ver, q.e.st, q.e.a, q.e.seq, q.d.st, q.d.seq}
	}
	a, b := bytes1(q), bytes1(r)
	return bytes.Compare(a[:], b[:]) < 0
}

func (c setsConfig) model() *check.Model[setsState] {
	m := &check.Model[setsState]{Procs: c.procs(), Step: c.step, Fault: c.fault, Check: c.check, Final: c.final, Show: c.show,
		Canon: c.canon, Bound: 120,
		Finished: func(s *setsState, p int) bool { return c.finished(s, p) },
		Alone: func(s *setsState) []uint32 {
			return alone(len(c.roles), func(p int) bool { return !c.finished(s, p) })
		},
	}
	s := &m.Init
	s.left = faults{c.kills, c.stops}
	s.e, s.d = heapWord{sShared, 0, 1}, heapWord{hPart, 0, 1}
	for i := range c.sets {
		s.set[i].st.ver = 1
	}
	if strings.ContainsRune(c.roles, isTardy) {
		s.e.seq = 2
	}
	hold := func(p, set int) {
		k := 0
		for s.set[set].word[k] != (setsHold{}) {
			k++
		}
		s.set[set].word[k] = setsHold{uint8(p + 1), s.e.seq}
	}
	for p, r := range c.roles {
		switch r {
		case isHolder:
			for i := range c.sets {
				hold(p, i)
			}
			s.p[p] = setsProc{pc: setsHolds, seq: s.e.seq}
		case isEnd:
			hold(p, 0)
			s.p[p] = setsProc{pc: setsHolds, seq: s.e.seq}
		case isWaiter:
			hold(p, c.sets-1)
			s.p[p] = setsProc{pc: setsHolds, seq: s.e.seq, set: uint8(c.sets - 1)}
		case isTardy:
			s.p[p] = setsProc{pc: setsPlace, seq: 1, set: uint8(c.sets - 1)}
		case isJoiner, isLate:
			s.p[p].seq = 1 // the object it knows of
		case isBystander:
			s.p[p].fate, s.slot[p] = killed, slotDead
		}
	}
	return m
}

func setsCases() []Case {
	var all []Case
	add := func(c setsConfig, full bool) {
		if c.words == 0 {
			c.words = 2
		}
		all = append(all, Case{Model: "sets", Config: c.String(), Mutant: c.mutant, Full: full,
			explore: func() check.Result { return check.Explore(c.model()) }})
	}
	for _, c := range []setsConfig{
		{roles: "HJCL", sets: 1, words: 3},
		{roles: "HJCBS", sets: 1},
		{roles: "HHBS", sets: 1},
		{roles: "HJCS", sets: 1, kills: 1},
		{roles: "HHSS", sets: 1, kills: 1, stops: 1},
		{roles: "HHSS", sets: 1, kills: 2},
		{roles: "HJSS", sets: 2, kills: 1},
		{roles: "HCSS", sets: 1, kills: 1},
		{roles: "HCSS", sets: 1, kills: 1, dataFirst: true},
		{roles: "HHS", sets: 2, goes: true},
		{roles: "HHSS", sets: 1, goes: true, kills: 1},
		{roles: "HTSS", sets: 1, kills: 1},
		{roles: "EEWS", sets: 2, kills: 2},
		{roles: "HJSS", sets: 2, kills: 2},
		{roles: "HJCS", sets: 2, kills: 2},
	} {
		add(c, false)
	}
	for _, c := range []setsConfig{
		{roles: "HJCSS", sets: 1, kills: 1, stops: 1},
		{roles: "HHJSS", sets: 1, words: 3, kills: 2},
		{roles: "HJCLBS", sets: 1, words: 3},
		{roles: "HHTSS", sets: 1, words: 3, kills: 2},
		{roles: "EEWSS", sets: 2, kills: 1},
	} {
		add(c, true)
	}
	for _, c := range []setsConfig{
		{roles: "HJC", sets: 1, mutant: setsOverwrite},
		{roles: "HJC", sets: 1, mutant: setsEndAny},
		{roles: "HCBS", sets: 1, mutant: setsSettleAny},
		{roles: "HJSS", sets: 2, kills: 1, mutant: setsAllOver},
		{roles: "HHBS", sets: 1, mutant: setsBlame},
		{roles: "HHSS", sets: 1, kills: 1, stops: 1, mutant: setsNoHelp},
		{roles: "HHSS", sets: 1, kills: 1, stops: 1, mutant: setsNotOver},
		{roles: "HHSS", sets: 1, kills: 1, stops: 1, mutant: setsNoAgain},
		{roles: "HJS", sets: 1, mutant: setsNoBump},
		{roles: "HHS", sets: 1, mutant: setsNoLook},
		{roles: "HJC", sets: 1, mutant: setsNoSame},
		{roles: "HJ", sets: 2, mutant: setsFreeFirst},
		{roles: "HCSS", sets: 1, kills: 1, mutant: setsNoStill},
		{roles: "HHSS", sets: 1, kills: 1, stops: 1, mutant: setsOnePass},
		{roles: "HHTSS", sets: 1, words: 3, kills: 2, mutant: setsNewWho},
		{roles: "HJCS", sets: 1, kills: 1, mutant: setsNoForget},
		{roles: "HJCS", sets: 1, kills: 1, mutant: setsNoMaking},
		{roles: "EEWSS", sets: 2, kills: 2, mutant: setsEmpty},
	} {
		add(c, false)
	}
	return all
}
