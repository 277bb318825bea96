package model

import (
	"bytes"
	"fmt"

	"github.com/tandem-ipc/tandem/attack/model/check"
)

// The directory: shm/directory.go bind, taken, claimName, lookup, Unbind, linkDirectory, freeNames, and the order in which
// shm/settle.go calls them.
//
// A list of blocks of two entries that begins empty; blocks {state, member, seq} come from the heap. Entries have a word
// {state, member, seq}, a name and an object. Processes bind a name to an object, look it up or unbind it, once each; an
// object may be freed at any time. Helpers settle the dead, all at once if they like. Sequence numbers never wrap here.
//
//	bind    B1 each entry: EMPTY?   B2 EMPTY -> CLAIM{me} (CAS); none: B3 alloc a block, OWNED{me}; B4 link it (CAS), else
//	        B5 free it; B6 OWNED{me} -> PART (CAS); again     B7 name   B8 object   B9 CLAIM -> PENDING (CAS)
//	        each other entry: B10 in use?   B11 w = word, LIVE or PENDING?   B12 this name? else B13 word still w? else B11
//	        B14 LIVE: its object?   B15 which exists: B16 word still w? taken, else B11   B17 w -> EMPTY (CAS), else B11
//	        taken: B18 PENDING -> EMPTY;   else B19 PENDING -> LIVE (CAS), else start over
//	lookup  each entry: K1 w = word, LIVE?   K2 this name?   K3 its object   K4 word still w?   K5 which exists?
//	unbind  lookup; U1 w = word, LIVE?   U2 this name?   U3 w -> EMPTY (CAS)
//	settle  S1 each linked block: OWNED{m}? S2 -> PART (CAS)   S3 each block: OWNED{m}? S4 -> FREE (CAS)
//	        S5 each entry: CLAIM or PENDING{m}? S6 -> EMPTY (CAS)   S7 slot -> CLEAN
//
// Checked in every state: one LIVE entry of a name at most whose object exists; a linked block is not free. A lookup finds
// what was bound before and is bound all the time. In the end: no entry of a dead member, no block that is neither linked
// nor free. Whoever runs alone finishes, wherever the others are stopped.

const (
	dirBlocks  = 2
	dirEntries = 2
	dirAll     = dirBlocks * dirEntries
	dirProcs   = 5
)

const (
	dirEmpty = iota
	dirClaim
	dirPending
	dirLive
)

type dirEntry struct {
	word      heapWord // state, member + 1, seq
	name, obj uint8
}

type dirBlock struct {
	word heapWord
	next uint8 // block, from 1
}

type dirProc struct {
	pc, ret uint8
	fate    uint8
	at      uint8 // entry, or block, that it looks at
	e       uint8 // its own entry + 1
	b       uint8 // its own block, from 1
	m       uint8 // helper: whom, + 1
	w       heapWord
	mine    heapWord // the word of its own entry
	must    bool     // lookup: the name has been bound all the time
	obj     uint8
}

type dirState struct {
	first uint8 // block, from 1
	block [dirBlocks]dirBlock
	entry [dirAll]dirEntry
	gone  uint8 // objects that are freed, as bits
	slot  [dirProcs]uint8
	p     [dirProcs]dirProc
	left  faults
}

const (
	dirBegin = iota
	dirFirst
	dirClaimLook
	dirClaimCAS
	dirNext
	dirAlloc
	dirLink
	dirDiscard
	dirHand
	dirName
	dirObject
	dirPend
	dirUsed
	dirWord
	dirThis
	dirStill
	dirWhat
	dirExists
	dirTaken
	dirBreak
	dirWithdraw
	dirBound
	dirSeek
	dirSeekName
	dirSeekObj
	dirSeekStill
	dirSeekExists
	dirUnbind
	dirUnbindName
	dirUnbindCAS
	dirLinked
	dirLinkedCAS
	dirOwned
	dirOwnedCAS
	dirNames
	dirNamesCAS
	dirClean
	dirDone
)

// An actor is what a process does: bind 'b', look up 'l', unbind 'u', or settle 's'; with which name, to which object.
type dirActor struct {
	do   byte
	name uint8
	obj  uint8
}

type dirConfig struct {
	actors       []dirActor
	full         bool  // a block is linked at the start, with one free entry
	frees        uint8 // objects that may be freed, as bits
	kills, stops uint8
	mutant       string
}

const (
	dirLookFirst   = "the entry becomes PENDING after the look at the others"
	dirNoBreak     = "a PENDING entry of another is let be"
	dirOnce        = "an entry that changes while it is looked at is not looked at again"
	dirHandFirst   = "a block is handed over before it is linked"
	dirNoLink      = "blocks that the dead had linked are not looked for"
	dirFreeFirst   = "blocks of the dead are freed before those that are linked are looked for"
	dirNoStill     = "lookup does not look at the word again"
	dirNoWithdrawn = "who withdraws does not care that it was broken: LIVE is stored"
)

func (c dirConfig) String() string {
	s := ""
	for _, a := range c.actors {
		s += map[byte]string{'b': "bind", 'l': "lookup", 'u': "unbind", 's': "helper"}[a.do]
		if a.do != 's' {
			s += string(rune('w' + a.name))
		}
		s += " "
	}
	if c.frees != 0 {
		s += "objects go "
	}
	if !c.full {
		s += "no block "
	}
	return s + faults{c.kills, c.stops}.String()
}

func (c dirConfig) procs() []string {
	var names []string
	for i, a := range c.actors {
		names = append(names, map[byte]string{'b': "binder", 'l': "reader", 'u': "unbinder", 's': "helper"}[a.do]+string(rune('A'+i)))
	}
	return append(names, "objects")
}

func (c dirConfig) finished(s *dirState, p int) bool {
	if p == len(c.actors) {
		return true
	}
	q := &s.p[p]
	return q.fate != running || q.pc == dirDone || c.actors[p].do == 's' && q.pc == dirBegin
}

func dirBlockOf(entry uint8) uint8 { return entry/dirEntries + 1 }

// bound tells whether a name is bound to an object that exists.
func (s *dirState) bound(name uint8) int {
	n := 0
	for i := range s.entry {
		if e := &s.entry[i]; e.word.st == dirLive && e.name == name && s.gone&(1<<e.obj) == 0 {
			n++
		}
	}
	return n
}

func (c dirConfig) step(s *dirState, p int, o *check.Out[dirState]) {
	if p == len(c.actors) {
		for obj := range uint8(8) {
			if c.frees&(1<<obj)&^s.gone != 0 {
				x := *s
				x.gone |= 1 << obj
				c.unmust(&x)
				o.Go(fmt.Sprintf("object %d is freed", obj), x)
			}
		}
		return
	}
	if c.finished(s, p) && c.actors[p].do != 's' || s.p[p].fate != running {
		return
	}
	x := *s
	q := &x.p[p]
	a := c.actors[p]
	me := uint8(p + 1)
	label := ""
	// walk goes on to the next entry in state pc, or, at the end of a block, to its next one in state dirNext.
	walk := func(pc uint8) {
		q.w, q.obj = heapWord{}, 0
		if q.at++; q.at%dirEntries != 0 {
			q.pc = pc
		} else {
			q.at--
			q.pc, q.ret = dirNext, pc
		}
	}
	// end is where a walk over all entries ends.
	end := func() {
		at := q.ret
		q.ret, q.at = 0, 0
		switch at {
		case dirClaimLook:
			q.pc = dirAlloc
		case dirUsed:
			if q.pc = dirBound; c.mutant == dirLookFirst {
				q.pc = dirPend
			}
		case dirSeek:
			q.pc = dirDone
		case dirNames:
			q.pc = dirClean
		case dirLinked:
			if q.pc = dirOwned; c.mutant == dirFreeFirst {
				q.pc, q.ret = dirFirst, dirNames
			}
		}
	}
	start := func(pc uint8) { q.pc, q.ret, q.at = dirFirst, pc, 0 }
	entry := &x.entry[min(q.at, dirAll-1)]
	switch q.pc {
	case dirBegin:
		switch a.do {
		case 'b':
			start(dirClaimLook)
		case 'l', 'u':
			q.must = s.bound(a.name) == 1
			start(dirSeek)
		case 's':
			for v := range c.actors {
				if s.slot[v] == slotDead {
					x = *s
					q.m = uint8(v + 1)
					switch c.mutant {
					case dirNoLink, dirFreeFirst:
						q.pc = dirOwned
					default:
						start(dirLinked)
					}
					o.Go("settle: slot of "+c.procs()[v], x)
				}
			}
			return
		}
		c.step(&x, p, o) // nothing shared yet
		return
	case dirFirst:
		label = "directories: first"
		if s.first == 0 {
			end()
		} else {
			q.pc, q.ret, q.at = q.ret, 0, (s.first-1)*dirEntries
		}
	case dirNext:
		label = "directories: next"
		if next := s.block[q.at/dirEntries].next; next == 0 {
			b := dirBlockOf(q.at)
			alloc := q.ret == dirClaimLook
			end()
			if alloc {
				q.at = b // where to link
			}
		} else {
			q.pc, q.ret, q.at = q.ret, 0, (next-1)*dirEntries
		}
	case dirClaimLook:
		if label = "claimName: EMPTY"; entry.word.st == dirEmpty {
			q.w, q.pc = entry.word, dirClaimCAS
		} else {
			label = "claimName: in use"
			walk(dirClaimLook)
		}
	case dirClaimCAS:
		if label = "claimName: CAS fails"; entry.word != q.w {
			walk(dirClaimLook)
			break
		}
		label = "claimName: CAS EMPTY -> CLAIM"
		entry.word.st, entry.word.a = dirClaim, me
		q.mine, q.e, q.w, q.at = entry.word, q.at+1, heapWord{}, 0
		q.pc = dirName
	case dirAlloc:
		for b := range s.block {
			if s.block[b].word.st == hFree {
				x = *s
				blk := &x.block[b]
				blk.word.st, blk.word.a, blk.next = hOwned, me, 0
				for i := range dirEntries {
					x.entry[b*dirEntries+i] = dirEntry{word: heapWord{seq: x.entry[b*dirEntries+i].word.seq}}
				}
				q.b = uint8(b + 1)
				if q.pc = dirLink; c.mutant == dirHandFirst {
					q.pc = dirHand
				}
				o.Go("claimName: alloc", x)
			}
		}
		if x == *s { // no memory
			q.pc = dirDone
			o.Go("claimName: no memory", x)
		}
		return
	case dirLink:
		last := &x.first
		if q.at != 0 {
			last = &x.block[q.at-1].next
		}
		q.at = 0
		switch label = "claimName: link"; {
		case *last != 0:
			label = "claimName: link: another one was faster"
			q.pc = dirDiscard
		case c.mutant == dirHandFirst:
			*last = q.b
			q.b = 0
			start(dirClaimLook)
		default:
			*last = q.b
			q.pc = dirHand
		}
	case dirDiscard:
		label = "claimName: discard"
		x.block[q.b-1].word = x.block[q.b-1].word.freed()
		q.b = 0
		start(dirClaimLook)
	case dirHand:
		if label = "handOver: CAS OWNED -> PART"; x.block[q.b-1].word.st != hOwned {
			o.Fail(label, "a block of a live process was taken away")
			return
		}
		x.block[q.b-1].word.st, x.block[q.b-1].word.a = hPart, 0
		if c.mutant == dirHandFirst {
			q.pc = dirLink
		} else {
			q.b = 0
			start(dirClaimLook)
		}
	case dirName:
		label = "bind: name"
		x.entry[q.e-1].name = a.name
		q.pc = dirObject
	case dirObject:
		label = "bind: object"
		x.entry[q.e-1].obj = a.obj
		if q.pc = dirPend; c.mutant == dirLookFirst {
			start(dirUsed)
		}
	case dirPend:
		if x.entry[q.e-1].word != q.mine {
			o.Fail("bind: CAS CLAIM -> PENDING", "the entry of a live process was taken away")
			return
		}
		label = "bind: CAS CLAIM -> PENDING"
		x.entry[q.e-1].word.st = dirPending
		q.mine = x.entry[q.e-1].word
		if start(dirUsed); c.mutant == dirLookFirst {
			q.pc, q.ret = dirBound, 0
		}
	case dirUsed:
		if label = "bind: an entry in use"; q.at+1 != q.e && entry.word.st != dirEmpty {
			q.pc = dirWord
		} else {
			label = "bind: an entry of no interest"
			walk(dirUsed)
		}
	case dirWord:
		q.w = entry.word
		if label = "taken: w = word"; q.w.st == dirLive || q.w.st == dirPending {
			q.pc = dirThis
		} else {
			q.pc = dirStill
		}
	case dirThis:
		switch label = "taken: this name"; {
		case entry.name != a.name:
			label = "taken: another name"
			q.pc = dirStill
		case q.w.st == dirLive:
			q.pc = dirWhat
		case c.mutant == dirNoBreak:
			walk(dirUsed)
		default:
			q.pc = dirBreak
		}
	case dirStill, dirTaken:
		switch label = "taken: word is still w"; {
		case entry.word != q.w && c.mutant == dirOnce:
			walk(dirUsed)
		case entry.word != q.w:
			label = "taken: word has changed"
			q.pc, q.w, q.obj = dirWord, heapWord{}, 0
		case q.pc == dirTaken:
			q.pc, q.w, q.at, q.obj = dirWithdraw, heapWord{}, 0, 0
		default:
			walk(dirUsed)
		}
	case dirWhat:
		label = "taken: its object"
		q.obj = entry.obj
		q.pc = dirExists
	case dirExists:
		if label = "taken: which exists"; s.gone&(1<<q.obj) == 0 {
			q.pc = dirTaken
		} else {
			label = "taken: which is gone"
			q.pc = dirBreak
		}
	case dirBreak:
		switch label = "taken: CAS w -> EMPTY"; {
		case entry.word == q.w:
			entry.word = q.w.freed()
			walk(dirUsed)
		case c.mutant == dirOnce:
			label = "taken: CAS fails"
			walk(dirUsed)
		default:
			label = "taken: CAS fails"
			q.pc, q.w, q.obj = dirWord, heapWord{}, 0
		}
	case dirWithdraw:
		label = "bind: taken: CAS PENDING -> EMPTY"
		if e := &x.entry[q.e-1]; e.word == q.mine {
			e.word = q.mine.freed()
		}
		q.pc, q.e, q.mine = dirDone, 0, heapWord{}
	case dirBound:
		e := &x.entry[q.e-1]
		switch label = "bind: CAS PENDING -> LIVE"; {
		case e.word == q.mine || c.mutant == dirNoWithdrawn:
			e.word = heapWord{dirLive, 0, q.mine.seq}
			q.pc = dirDone
		default:
			label = "bind: CAS fails: start over"
			start(dirClaimLook)
		}
		q.e, q.mine = 0, heapWord{}

	case dirSeek:
		if label = "lookup: w = word, LIVE"; entry.word.st == dirLive {
			q.w, q.pc = entry.word, dirSeekName
		} else {
			label = "lookup: not LIVE"
			walk(dirSeek)
		}
	case dirSeekName:
		if label = "lookup: this name"; entry.name == a.name {
			q.pc = dirSeekObj
		} else {
			label = "lookup: another name"
			walk(dirSeek)
		}
	case dirSeekObj:
		label = "lookup: its object"
		q.obj = entry.obj
		if q.pc = dirSeekStill; c.mutant == dirNoStill {
			q.pc = dirSeekExists
		}
	case dirSeekStill:
		if label = "lookup: word is still w"; entry.word == q.w {
			q.pc = dirSeekExists
		} else {
			label = "lookup: word has changed"
			walk(dirSeek)
		}
	case dirSeekExists:
		switch label = "lookup: found"; {
		case s.gone&(1<<q.obj) != 0:
			label = "lookup: its object is gone"
			walk(dirSeek)
		case c.objectOf(a.name)&(1<<q.obj) == 0:
			o.Fail(label, "a name leads to an object that was never bound to it")
			return
		case a.do == 'u':
			q.pc, q.w, q.obj, q.must = dirUnbind, heapWord{}, 0, false
		default:
			*q = dirProc{pc: dirDone}
		}
	case dirUnbind:
		q.w = entry.word
		if label = "unbind: w = word"; q.w.st == dirLive {
			q.pc = dirUnbindName
		} else {
			*q = dirProc{pc: dirDone}
		}
	case dirUnbindName:
		if label = "unbind: this name"; entry.name == a.name {
			q.pc = dirUnbindCAS
		} else {
			*q = dirProc{pc: dirDone}
		}
	case dirUnbindCAS:
		label = "unbind: CAS fails"
		if entry.word == q.w {
			label = "unbind: CAS LIVE -> EMPTY"
			entry.word = q.w.freed()
		}
		*q = dirProc{pc: dirDone}

	case dirLinked: // at is an entry; look at each block once
		b := &x.block[q.at/dirEntries]
		if label = "linkDirectory: a block"; b.word.st == hOwned && b.word.a == q.m {
			q.w, q.pc = b.word, dirLinkedCAS
		} else {
			q.at += dirEntries - 1
			walk(dirLinked)
		}
	case dirLinkedCAS:
		label = "linkDirectory: CAS OWNED -> PART"
		if b := &x.block[q.at/dirEntries]; b.word == q.w {
			b.word.st, b.word.a = hPart, 0
		}
		q.at += dirEntries - 1
		walk(dirLinked)
	case dirOwned:
		b := &x.block[q.at]
		if label = "freeBlocks: a block"; b.word.st == hOwned && b.word.a == q.m {
			q.w, q.pc = b.word, dirOwnedCAS
			break
		}
		c.nextBlock(q)
	case dirOwnedCAS:
		label = "freeBlocks: CAS OWNED -> FREE"
		if b := &x.block[q.at]; b.word == q.w {
			b.word = q.w.freed()
		}
		c.nextBlock(q)
	case dirNames:
		if w := entry.word; (w.st == dirClaim || w.st == dirPending) && w.a == q.m {
			label = "freeNames: an entry of the dead"
			q.w, q.pc = w, dirNamesCAS
		} else {
			label = "freeNames: an entry"
			walk(dirNames)
		}
	case dirNamesCAS:
		label = "freeNames: CAS -> EMPTY"
		if entry.word == q.w {
			entry.word = q.w.freed()
		}
		walk(dirNames)
	case dirClean:
		label = "settle: CAS slot -> CLEAN"
		x.slot[q.m-1] = slotClean
		*q = dirProc{}
	case dirDone:
		return
	}
	if q.pc == dirDone {
		if q.must {
			o.Fail(label, "a lookup did not find what was bound all the time")
			return
		}
		*q = dirProc{pc: dirDone}
	}
	c.unmust(&x)
	o.Go(label, x)
}

// nextBlock goes on in freeBlocks.
func (c dirConfig) nextBlock(q *dirProc) {
	q.w = heapWord{}
	if q.at++; q.at < dirBlocks {
		q.pc = dirOwned
		return
	}
	q.at = 0
	if q.pc, q.ret = dirFirst, dirNames; c.mutant == dirFreeFirst {
		q.ret = dirLinked
	}
}

// unmust remembers that a name is not bound for a moment.
func (c dirConfig) unmust(x *dirState) {
	for p, a := range c.actors {
		if x.p[p].must && x.bound(a.name) == 0 {
			x.p[p].must = false
		}
	}
}

func (c dirConfig) objectOf(name uint8) (set uint8) {
	for _, a := range c.actors {
		if a.do == 'b' && a.name == name {
			set |= 1 << a.obj
		}
	}
	return set
}

func (c dirConfig) fault(s *dirState, p int, o *check.Out[dirState]) {
	if p == len(c.actors) || c.finished(s, p) {
		return
	}
	if c.actors[p].do == 's' { // somebody stays to settle
		others := 0
		for r, a := range c.actors {
			if r != p && a.do == 's' && s.p[r].fate == running {
				others++
			}
		}
		if others == 0 {
			return
		}
	}
	if s.left.kills > 0 {
		x := *s
		x.left.kills--
		x.p[p] = dirProc{fate: killed}
		x.slot[p] = slotDead
		o.Go("killed", x)
	}
	if s.left.stops > 0 {
		x := *s
		x.left.stops--
		x.p[p].fate = stopped
		o.Go("stopped for good", x)
	}
}

func (c dirConfig) check(s *dirState) string {
	for name := uint8(1); name < 3; name++ {
		if s.bound(name) > 1 {
			return "a name is bound twice"
		}
	}
	for b := s.first; b != 0; b = s.block[b-1].next {
		if s.block[b-1].word.st == hFree {
			return "a linked block is free"
		}
	}
	return ""
}

func (c dirConfig) final(s *dirState) string {
	for i := range s.entry {
		w := s.entry[i].word
		if (w.st == dirClaim || w.st == dirPending) && s.p[w.a-1].fate != stopped {
			return "an entry of the dead is left"
		}
	}
	linked := [dirBlocks]bool{}
	for b := s.first; b != 0; b = s.block[b-1].next {
		linked[b-1] = true
	}
	for b := range s.block {
		w := s.block[b].word
		if w.st != hFree && !linked[b] && !(w.st == hOwned && s.p[w.a-1].fate == stopped) {
			return "a block is lost"
		}
		if w.st == hOwned && s.p[w.a-1].fate != stopped {
			return "a linked block still belongs to a member"
		}
	}
	return ""
}

func (c dirConfig) show(s *dirState) []string {
	names := c.procs()
	all := []string{fmt.Sprintf("first block%d", s.first), fmt.Sprintf("gone %03b", s.gone)}
	for b := range s.block {
		w := s.block[b].word
		who := ""
		if w.st == hOwned {
			who = "{" + names[w.a-1] + "}"
		}
		all = append(all, fmt.Sprintf("block%d %s%s#%d next %d", b+1, heapNames[w.st], who, w.seq, s.block[b].next))
	}
	for i, e := range s.entry {
		who := ""
		if e.word.a > 0 {
			who = "{" + names[e.word.a-1] + "}"
		}
		all = append(all, fmt.Sprintf("entry%d.%d %s%s#%d", i/dirEntries+1, i%dirEntries, [...]string{"EMPTY", "CLAIM", "PENDING", "LIVE"}[e.word.st], who, e.word.seq),
			fmt.Sprintf("name%d.%d %s -> object %d", i/dirEntries+1, i%dirEntries, string(rune('w'+e.name)), e.obj))
	}
	return all
}

// canon renames sequence numbers, which are only compared with what somebody remembers, and sorts two helpers.
func (c dirConfig) canon(s *dirState, set uint32) uint32 {
	n := len(c.actors)
	if n > 1 && c.actors[n-1].do == 's' && c.actors[n-2].do == 's' && s.slot[n-1] == s.slot[n-2] && s.p[n-1].less(&s.p[n-2]) {
		s.p[n-1], s.p[n-2] = s.p[n-2], s.p[n-1]
		set = swapBits(set, n-1, n-2)
	}
	var block [dirBlocks]renaming
	var entry [dirAll]renaming
	for b := range s.block {
		block[b].to(&s.block[b].word.seq)
	}
	for i := range s.entry {
		entry[i].to(&s.entry[i].word.seq)
	}
	for p := range n {
		q := &s.p[p]
		if q.e > 0 {
			entry[q.e-1].to(&q.mine.seq)
		}
		switch q.pc {
		case dirLinkedCAS:
			block[q.at/dirEntries].to(&q.w.seq)
		case dirOwnedCAS:
			block[q.at].to(&q.w.seq)
		default:
			entry[min(q.at, dirAll-1)].to(&q.w.seq)
		}
	}
	return set
}

func (q *dirProc) less(r *dirProc) bool {
	a := [...]uint8{q.pc, q.ret, q.fate, q.at, q.e, q.b, q.m, q.w.st, q.w.a, q.w.seq}
	b := [...]uint8{r.pc, r.ret, r.fate, r.at, r.e, r.b, r.m, r.w.st, r.w.a, r.w.seq}
	return bytes.Compare(a[:], b[:]) < 0
}

func (c dirConfig) model() *check.Model[dirState] {
	m := &check.Model[dirState]{Procs: c.procs(), Step: c.step, Fault: c.fault, Check: c.check, Final: c.final, Show: c.show,
		Canon: c.canon, Bound: 200,
		Finished: func(s *dirState, p int) bool { return c.finished(s, p) },
		Alone: func(s *dirState) []uint32 {
			return alone(len(c.actors), func(p int) bool { return !c.finished(s, p) })
		},
	}
	s := &m.Init
	for b := range s.block {
		s.block[b].word.seq = 1
	}
	for i := range s.entry {
		s.entry[i].word.seq = 1
	}
	if c.full {
		s.first = 1
		s.block[0].word.st = hPart
	}
	s.left = faults{c.kills, c.stops}
	return m
}

func dirCases() []Case {
	var all []Case
	add := func(c dirConfig, full bool) {
		all = append(all, Case{Model: "directory", Config: c.String(), Mutant: c.mutant, Full: full,
			explore: func() check.Result { return check.Explore(c.model()) }})
	}
	bindA, bindB, bindC := dirActor{'b', 1, 1}, dirActor{'b', 1, 2}, dirActor{'b', 2, 3}
	look, unbind, helper := dirActor{'l', 1, 0}, dirActor{'u', 1, 0}, dirActor{'s', 0, 0}
	for _, c := range []dirConfig{
		{actors: []dirActor{bindA, bindB, look}, full: true, frees: 2, stops: 1},
		{actors: []dirActor{bindA, bindB, unbind}, full: true, stops: 1},
		{actors: []dirActor{bindA, bindB, helper}, kills: 1},
		{actors: []dirActor{bindA, helper, helper}, kills: 2, stops: 1},
		{actors: []dirActor{bindA, bindB, helper}, full: true, kills: 2},
		{actors: []dirActor{bindA, bindC, look}, full: true, frees: 2},
	} {
		add(c, false)
	}
	for _, m := range []dirConfig{
		{actors: []dirActor{bindA, bindB}, full: true, mutant: dirLookFirst},
		{actors: []dirActor{bindA, bindB}, full: true, mutant: dirNoBreak},
		{actors: []dirActor{bindA, bindB}, full: true, mutant: dirOnce},
		{actors: []dirActor{bindA, bindB}, full: true, mutant: dirNoWithdrawn},
		{actors: []dirActor{bindA, helper}, kills: 1, mutant: dirHandFirst},
		{actors: []dirActor{bindA, helper}, kills: 1, mutant: dirNoLink},
		{actors: []dirActor{bindA, helper}, kills: 1, mutant: dirFreeFirst},
		{actors: []dirActor{bindA, bindC, unbind, look}, full: true, mutant: dirNoStill},
	} {
		add(m, false)
	}
	return all
}
