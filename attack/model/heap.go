package model

import (
	"bytes"
	"fmt"

	"github.com/tandem-ipc/tandem/attack/model/check"
)

// The heap: shm/heap.go take, own, length, giveBack, allocRun; shm/giveback.go refill, punch, giveBackFree; shm/object.go
// handOver, freePart; shm/settle.go freeBlocks.
//
// Units with a word {state, member or distance, seq}, and memory or none. Allocators do some operations each: claim a run of
// any length at any place, then give it back or hand it over; free a part that somebody handed over; or give the memory of a
// free run back to the system. Helpers settle who was killed, all at once if they like. Sequence numbers never wrap here.
//
//	take       T1 w = first, FREE or HOLED?   T2 first w -> CLAIM{me} (CAS; n = 1 and FREE: OWNED{me}, done)
//	           T3 f = follower, FREE or HOLED?   T4 follower f -> CONT{k} (CAS), for each;   else giveBack(CLAIM{me})
//	refill     T5 one was HOLED: reserve the memory of each unit;   there is none: as punch
//	own        T6 first CLAIM{me} -> OWNED{me} (CAS)
//	punch      take, always CLAIM;   Q the memory of each unit goes;   giveBack(CLAIM{me}) as HOLED
//	           the system refuses, at any unit: reserve that of each unit;   giveBack(CLAIM{me}) as FREE, or HOLED if there is none
//	giveBack   G1 length: how many CONT words point back, one load each
//	           G2 f = last follower   G3 first == w? else return   G4 f CONT{k} -> FREE (CAS); for each, from the end
//	           G5 first w -> FREE (CAS);   HOLED for FREE, if w is CLAIM: of the dead, or ours and one was HOLED
//	handOver   H  first OWNED{me} -> PART (CAS)
//	freePart   P1 w = first, PART?   P2 first PART -> FREEING{me} (CAS), then giveBack(FREEING{me})
//	settle     S1 slot DEAD?   S2 w = word, for each unit: CLAIM or OWNED of the dead, FREEING of anybody? giveBack(w)
//	           S3 slot DEAD -> CLEAN (CAS)
//
// Checked in every state: a CONT word continues a run without a gap; whoever owns a run, or an object that it was handed
// to, finds it as it was taken: first word and followers, and memory in each unit, as there is in each that is FREE. In the end: everyone has finished; nothing of a dead member is
// left once its slot is CLEAN, and it is CLEAN; whoever runs alone finishes.

type heapWord struct{ st, a, seq uint8 }

const (
	hFree = iota
	hClaim
	hOwned
	hPart
	hFreeing
	hCont
	hHoled
)

const (
	hUnits   = 4 // at most
	hMembers = 3
	hHelpers = 2
)

const (
	heapPick = iota // choose what to do
	heapFirst
	heapNext
	heapCont
	heapFill
	heapRemove
	heapOwn
	heapHold
	heapPart
	heapLength
	heapFollow
	heapSame
	heapFree
	heapLast
	heapIdle // helper
	heapScan
	heapClean
	heapStoreOwner // mutant
	heapFreeFront  // mutant
	heapFollowFront
	heapHoledCAS // mutant
	heapRestore
	heapGone
)

type heapProc struct {
	pc, ret, ops uint8
	fate         uint8
	i, n, k      uint8
	v            uint8 // helper: whom, + 1
	at           uint8 // helper: next unit
	w, f         heapWord
	punch        bool  // it takes the run to give its memory back
	holes        bool  // one of the units was HOLED
	to           uint8 // giveBack: FREE or HOLED
}

type heapState struct {
	unit   [hUnits]heapWord
	hole   [hUnits]bool  // there is no memory
	length [hUnits]uint8 // of the run that was taken there, while it is owned or a part: what must be true
	slot   [hMembers]uint8
	p      [hMembers + hHelpers]heapProc
	left   faults
}

const (
	slotLive = iota
	slotDead
	slotClean
)

type heapConfig struct {
	units, longest int
	members, ops   int
	helpers        int
	kills, stops   uint8
	noParts        bool
	punches        bool // memory is given back, and there may be none when it is needed again
	mutant         string
}

func (c heapConfig) String() string {
	s := fmt.Sprintf("%d units, %d allocators x %d, %d helpers, %v", c.units, c.members, c.ops, c.helpers, faults{c.kills, c.stops})
	if c.punches {
		s += ", punches"
	}
	return s
}

const (
	heapNoCheck    = "a follower is freed without another look at the first word"
	heapFrontFirst = "followers are given back from the front"
	heapOwnedEarly = "OWNED is written before the followers are claimed"
	heapNoSeq      = "no sequence numbers"
	heapOwnerLate  = "a unit is taken first, its owner stored afterwards"
	heapFirstFirst = "the first unit is given back before its followers"

	heapDeadFree   = "what a dead member was claiming counts as having memory"
	heapLoseHoles  = "who gives up a claim forgets that there were holes"
	heapFirstHoles = "holes are looked for in the first unit only"
	heapOwnEarly   = "a run is owned before its memory is reserved"
	heapNoClaim    = "memory is taken away first, the unit marked afterwards"
	heapRefused    = "what the system refuses to take counts as having memory"
	heapMarkFirst  = "the unit is marked first, its memory taken away afterwards"
)

func (c heapConfig) procs() []string {
	var names []string
	for i := range c.members {
		names = append(names, string(rune('A'+i)))
	}
	for i := range c.helpers {
		names = append(names, fmt.Sprint("helper", i+1))
	}
	return names
}

func (c heapConfig) finished(s *heapState, p int) bool {
	x := &s.p[p]
	return x.fate != running || x.pc == heapGone || x.pc == heapPick && x.ops == 0 || x.pc == heapIdle
}

func (w heapWord) freed() heapWord { return heapWord{hFree, 0, w.seq + 1} }

func (w heapWord) unused() bool { return w.st == hFree || w.st == hHoled }

func (c heapConfig) freed(w heapWord, to uint8) heapWord {
	if c.mutant == heapNoSeq {
		return heapWord{to, 0, w.seq}
	}
	return heapWord{to, 0, w.seq + 1}
}

func (c heapConfig) step(s *heapState, p int, o *check.Out[heapState]) {
	if s.p[p].fate != running {
		return
	}
	x := *s
	q := &x.p[p]
	me := uint8(p)
	i := int(q.i)
	to := func(label string, pc uint8) { q.pc = pc; o.Go(label, x) }
	// giveBack begins giving back the run of unit i whose first word is w.
	giveBack := func(label string, w heapWord, ret uint8) {
		q.w, q.ret, q.n, q.k, q.f, q.to = w, ret, 1, 0, heapWord{}, hFree
		if mine := q.v == 0; w.st == hClaim && (!mine && c.mutant != heapDeadFree || mine && q.holes && c.mutant != heapLoseHoles || q.punch) {
			q.to = hHoled
		}
		q.holes, q.punch = false, false
		to(label, heapLength)
	}
	// claimed goes on when all units are ours.
	claimed := func(label string) {
		switch {
		case q.punch:
			q.k = 0
			to(label, heapRemove)
		case q.holes && c.mutant == heapOwnEarly:
			x.unit[i].st, q.k = hOwned, 0
			to(label+", CAS CLAIM -> OWNED", heapFill)
		case q.holes:
			q.k = 0
			to(label, heapFill)
		default:
			to(label, heapOwn)
		}
	}
	over := func(label string) { // an operation of an allocator
		q.i, q.n, q.k, q.w, q.f, q.ret, q.punch, q.holes = 0, 0, 0, heapWord{}, heapWord{}, 0, false, false
		q.ops--
		to(label, heapPick)
	}
	switch q.pc {
	case heapPick:
		if q.ops == 0 {
			return
		}
		none := true
		for i := range c.units {
			switch w := s.unit[i]; {
			case w.unused():
				none = false
				for n := 1; n <= c.longest && i+n <= c.units; n++ {
					x = *s
					q.i, q.n, q.w = uint8(i), uint8(n), w
					to("take: w = first", heapFirst)
					if c.punches {
						x = *s
						q.i, q.n, q.w = uint8(i), uint8(n), w
						q.punch = true
						to("punch: w = first", heapFirst)
					}
				}
			case w.st == hPart && !c.noParts:
				none = false
				x = *s
				q.i, q.w = uint8(i), w
				to("freePart: w = first", heapPart)
			}
		}
		if none {
			x = *s
			over("nothing there")
		}
	case heapFirst:
		if s.unit[i] != q.w {
			over("take: first: CAS fails")
			return
		}
		q.holes = q.w.st == hHoled
		switch {
		case q.punch && c.mutant == heapNoClaim:
			q.n = 1
			to("punch: no claim", heapRemove)
		case q.punch && c.mutant == heapMarkFirst:
			x.unit[i], q.n = c.freed(q.w, hHoled), 1
			to("punch: CAS FREE -> HOLED", heapRemove)
		case q.n == 1 && (q.punch || q.holes):
			x.unit[i].st, x.unit[i].a = hClaim, me
			claimed("take: CAS -> CLAIM")
		case q.n == 1 && c.mutant == heapOwnerLate:
			x.unit[i].st, x.unit[i].a = hOwned, 99
			to("take: CAS FREE -> OWNED{nobody}", heapStoreOwner)
		case q.n == 1:
			x.unit[i].st, x.unit[i].a, x.length[i] = hOwned, me, 1
			to("take: CAS FREE -> OWNED", heapHold)
		case c.mutant == heapOwnedEarly:
			x.unit[i].st, x.unit[i].a, x.length[i], q.k = hOwned, me, q.n, 1
			to("take: CAS FREE -> OWNED", heapNext)
		default:
			x.unit[i].st, x.unit[i].a, q.k = hClaim, me, 1
			to("take: CAS -> CLAIM", heapNext)
		}
	case heapStoreOwner:
		x.unit[i].a, x.length[i] = me, 1
		to("take: store the owner", heapHold)
	case heapNext:
		f := s.unit[i+int(q.k)]
		if !f.unused() {
			q.punch = false // its memory is there still, unless it was not before
			giveBack("take: f = follower, taken: giveBack", s.unit[i], heapPick)
			return
		}
		q.f = f
		to("take: f = follower", heapCont)
	case heapCont:
		j := i + int(q.k)
		if s.unit[j] != q.f {
			q.punch = false
			giveBack("take: CAS of follower fails: giveBack", s.unit[i], heapPick)
			return
		}
		x.unit[j] = heapWord{hCont, q.k, q.f.seq}
		q.holes = q.holes || q.f.st == hHoled && c.mutant != heapFirstHoles
		q.f = heapWord{}
		if q.k++; q.k < q.n {
			to("take: CAS -> CONT", heapNext)
		} else if c.mutant == heapOwnedEarly {
			to("take: CAS -> CONT", heapHold)
		} else {
			claimed("take: CAS -> CONT")
		}
	case heapFill:
		if c.punches && c.mutant != heapOwnEarly {
			q.k = 0
			to("refill: there is no memory", heapRemove)
			x = *s
		}
		x.hole[i+int(q.k)] = false
		switch q.k++; {
		case q.k < q.n:
			to("refill: reserve", heapFill)
		case c.mutant == heapOwnEarly:
			x.length[i], q.k, q.holes = q.n, 0, false
			to("refill: reserve", heapHold)
		default:
			q.holes = false
			to("refill: reserve", heapOwn)
		}
	case heapRemove:
		if q.punch && c.mutant != heapNoClaim && c.mutant != heapMarkFirst {
			if c.mutant == heapRefused {
				q.punch, q.holes = false, false
				giveBack("punch: refused: giveBack", s.unit[i], heapPick)
			} else {
				q.k = 0
				to("punch: refused", heapRestore)
			}
			x = *s
		}
		x.hole[i+int(q.k)] = true
		switch q.k++; {
		case q.k < q.n:
			to("punch: MADV_REMOVE", heapRemove)
		case c.mutant == heapNoClaim:
			to("punch: MADV_REMOVE", heapHoledCAS)
		case c.mutant == heapMarkFirst:
			over("punch: MADV_REMOVE")
		default:
			giveBack("punch: MADV_REMOVE, giveBack", s.unit[i], heapPick)
		}
	case heapRestore:
		giveBack("restore: there is no memory: giveBack", s.unit[i], heapPick)
		x = *s
		x.hole[i+int(q.k)] = false
		if q.k++; q.k < q.n {
			to("restore: reserve", heapRestore)
			return
		}
		q.punch, q.holes = false, false
		giveBack("restore: reserve: giveBack", s.unit[i], heapPick)
	case heapHoledCAS:
		if s.unit[i] == q.w {
			x.unit[i] = c.freed(q.w, hHoled)
		}
		over("punch: CAS FREE -> HOLED")
	case heapOwn:
		if w := s.unit[i]; w.st != hClaim || w.a != me {
			o.Fail("take: CAS CLAIM -> OWNED fails", "the claim of a live process was changed by another")
			return
		}
		x.unit[i].st, x.length[i], q.k = hOwned, q.n, 0
		to("take: CAS CLAIM -> OWNED", heapHold)
	case heapHold:
		w := s.unit[i]
		x.length[i] = 0
		giveBack("discard: giveBack", w, heapPick)
		if !c.noParts {
			x = *s
			x.unit[i] = heapWord{hPart, 0, w.seq}
			over("handOver: CAS OWNED -> PART")
		}
	case heapPart:
		if s.unit[i] != q.w {
			over("freePart: CAS fails")
			return
		}
		x.unit[i].st, x.unit[i].a, x.length[i] = hFreeing, me, 0
		giveBack("freePart: CAS PART -> FREEING", x.unit[i], heapPick)

	case heapLength:
		j := i + int(q.n)
		if j < c.units && s.unit[j].st == hCont && s.unit[j].a == q.n {
			q.n++
			to("length: one more", heapLength)
			return
		}
		q.k = q.n - 1
		switch {
		case c.mutant == heapFirstFirst || q.k == 0:
			to("length: the end", heapLast)
		case c.mutant == heapFrontFirst:
			q.k = 1
			to("length: the end", heapFollow)
		default:
			to("length: the end", heapFollow)
		}
	case heapFollow:
		q.f = s.unit[i+int(q.k)]
		if c.mutant == heapNoCheck {
			to("giveBack: f = follower", heapFree)
		} else {
			to("giveBack: f = follower", heapSame)
		}
	case heapSame:
		if s.unit[i] != q.w {
			if c.mutant != heapFirstFirst {
				c.returns(q)
				o.Go("giveBack: first is another word: return", x)
				return
			}
		}
		to("giveBack: first is still w", heapFree)
	case heapFree:
		j := i + int(q.k)
		label := "giveBack: CAS of follower fails"
		if q.f.st == hCont && q.f.a == q.k && s.unit[j] == q.f {
			x.unit[j] = c.freed(q.f, q.to)
			label = "giveBack: CAS CONT -> " + heapNames[q.to]
		}
		q.f = heapWord{}
		if c.mutant == heapFrontFirst {
			if q.k++; q.k < q.n {
				to(label, heapFollow)
			} else {
				to(label, heapLast)
			}
			return
		}
		if q.k--; q.k > 0 {
			to(label, heapFollow)
		} else if c.mutant == heapFirstFirst {
			c.returns(q)
			o.Go(label, x)
		} else {
			to(label, heapLast)
		}
	case heapLast:
		label := "giveBack: CAS of first fails"
		if s.unit[i] == q.w {
			x.unit[i] = c.freed(q.w, q.to)
			label = "giveBack: CAS first -> " + heapNames[q.to]
		} else if q.v == 0 && q.w.st != hFreeing {
			o.Fail(label, "a block of a live process was freed by another")
			return
		}
		if c.mutant == heapFirstFirst && q.k > 0 {
			to(label, heapFollow)
			return
		}
		c.returns(q)
		o.Go(label, x)

	case heapIdle:
		for v := range c.members {
			if s.slot[v] == slotDead {
				x = *s
				q.v, q.at = uint8(v+1), 0
				to("settle: slot DEAD", heapScan)
			}
		}
	case heapScan:
		if int(q.at) == c.units {
			q.at = 0
			to("freeBlocks: end", heapClean)
			return
		}
		w := s.unit[q.at]
		q.i = q.at
		q.at++
		switch w.st {
		case hClaim, hOwned, hFreeing:
			if w.a == q.v-1 || w.st == hFreeing {
				giveBack("freeBlocks: w of the dead, or FREEING: giveBack", w, heapScan)
				return
			}
		}
		q.i = 0
		to("freeBlocks: w", heapScan)
	case heapClean:
		if s.slot[q.v-1] == slotDead {
			x.slot[q.v-1] = slotClean
		}
		q.v = 0
		to("settle: CAS DEAD -> CLEAN", heapIdle)
	}
}

// returns ends a giveBack.
func (c heapConfig) returns(q *heapProc) {
	q.pc, q.i, q.n, q.k, q.w, q.f = q.ret, 0, 0, 0, heapWord{}, heapWord{}
	q.ret, q.to = 0, 0
	if q.pc == heapPick {
		q.ops--
	}
}

func (c heapConfig) fault(s *heapState, p int, o *check.Out[heapState]) {
	if c.finished(s, p) && (p >= c.members || s.p[p].fate != running) {
		return
	}
	helpers := 0
	for h := c.members; h < c.members+c.helpers; h++ {
		if s.p[h].fate == running {
			helpers++
		}
	}
	if p >= c.members && helpers == 1 { // somebody stays to settle
		return
	}
	if s.left.kills > 0 {
		x := *s
		x.left.kills--
		x.p[p] = heapProc{fate: killed}
		if p < c.members {
			x.slot[p] = slotDead
			for i := range c.units { // what it owned is nobody's
				if w := s.unit[i]; w.a == uint8(p) && (w.st == hOwned || w.st == hFreeing) {
					x.length[i] = 0
				}
			}
		}
		o.Go("killed", x)
	}
	if s.left.stops > 0 && !c.finished(s, p) {
		x := *s
		x.left.stops--
		x.p[p].fate = stopped
		o.Go("stopped for good", x)
	}
}

func (c heapConfig) check(s *heapState) string {
	for i := range c.units {
		w := s.unit[i]
		switch w.st {
		case hCont:
			h := i - int(w.a)
			if h < 0 || w.a == 0 || s.unit[h].unused() || s.unit[h].st == hCont {
				return fmt.Sprintf("unit %d continues no run", i)
			}
			if w.a > 1 && (s.unit[i-1].st != hCont || s.unit[i-1].a != w.a-1) {
				return fmt.Sprintf("unit %d continues a run with a gap", i)
			}
		case hFree, hHoled, hFreeing:
			if s.length[i] != 0 {
				return fmt.Sprintf("unit %d is owned and yet %s", i, heapNames[w.st])
			}
			if w.st == hFree && s.hole[i] {
				return fmt.Sprintf("unit %d is FREE and has no memory", i)
			}
		}
		if n := int(s.length[i]); n > 0 {
			if w.st != hOwned && w.st != hPart {
				return fmt.Sprintf("the run of unit %d is owned and its word is %s", i, heapNames[w.st])
			}
			for k := range n {
				if s.hole[i+k] {
					return fmt.Sprintf("unit %d is used and has no memory", i+k)
				}
			}
			for k := 1; i+k < c.units; k++ {
				f := s.unit[i+k]
				if is := f.st == hCont && int(f.a) == k; is != (k < n) {
					return fmt.Sprintf("the run of unit %d was taken with %d units, unit %d says otherwise", i, n, i+k)
				}
			}
		}
	}
	return ""
}

func (c heapConfig) final(s *heapState) string {
	for v := range c.members {
		if s.p[v].fate == killed && s.slot[v] != slotClean {
			return "a dead member was not settled"
		}
	}
	for i := range c.units {
		w := s.unit[i]
		switch w.st {
		case hClaim, hOwned, hFreeing:
			if int(w.a) >= c.members || s.p[w.a].fate != stopped {
				return fmt.Sprintf("unit %d is left %s by a member that is settled", i, heapNames[w.st])
			}
		}
	}
	return ""
}

var heapNames = [...]string{"FREE", "CLAIM", "OWNED", "PART", "FREEING", "CONT", "HOLED"}

func (c heapConfig) show(s *heapState) []string {
	var all []string
	name := c.procs()
	for i := range c.units {
		w := s.unit[i]
		text := heapNames[w.st]
		switch w.st {
		case hClaim, hOwned, hFreeing:
			who := "nobody"
			if int(w.a) < len(name) {
				who = name[w.a]
			}
			text += "{" + who + "}"
		case hCont:
			text += fmt.Sprintf("{%d}", w.a)
		}
		if s.hole[i] {
			text += " (no memory)"
		}
		all = append(all, fmt.Sprintf("unit%d %s#%d", i, text, w.seq))
	}
	for v := range c.members {
		all = append(all, fmt.Sprintf("slot-%s %s", name[v], [...]string{"LIVE", "DEAD", "CLEAN"}[s.slot[v]]))
	}
	for p := range name {
		q := &s.p[p]
		all = append(all, fmt.Sprintf("%s.run %d+%d", name[p], q.i, q.n))
	}
	return all
}

// canon renames sequence numbers, which are only compared with what somebody remembers, and sorts the helpers.
func (c heapConfig) canon(s *heapState, set uint32) uint32 {
	if c.mutant != heapNoSeq {
		var rename [hUnits]renaming
		for i := range c.units {
			rename[i].to(&s.unit[i].seq)
		}
		for p := range c.members + c.helpers {
			q := &s.p[p]
			rename[q.i].to(&q.w.seq)
			if q.f.seq != 0 {
				rename[q.i+q.k].to(&q.f.seq)
			}
		}
	}
	if a := c.members; c.helpers == 2 && s.p[a+1].less(&s.p[a]) {
		s.p[a], s.p[a+1] = s.p[a+1], s.p[a]
		set = swapBits(set, a, a+1)
	}
	return set
}

func (q *heapProc) less(r *heapProc) bool {
	a := [...]uint8{q.pc, q.ret, q.to, q.fate, q.i, q.n, q.k, q.v, q.at, q.w.st, q.w.a, q.w.seq, q.f.st, q.f.a, q.f.seq}
	b := [...]uint8{r.pc, r.ret, r.to, r.fate, r.i, r.n, r.k, r.v, r.at, r.w.st, r.w.a, r.w.seq, r.f.st, r.f.a, r.f.seq}
	return bytes.Compare(a[:], b[:]) < 0
}

func (c heapConfig) model() *check.Model[heapState] {
	m := &check.Model[heapState]{Procs: c.procs(), Step: c.step, Fault: c.fault, Check: c.check, Final: c.final, Show: c.show, Bound: 80,
		Canon:    c.canon,
		Finished: func(s *heapState, p int) bool { return c.finished(s, p) },
		Alone: func(s *heapState) []uint32 {
			return alone(c.members+c.helpers, func(p int) bool { return !c.finished(s, p) })
		},
	}
	m.Init.left = faults{c.kills, c.stops}
	for i := range c.units {
		m.Init.unit[i].seq = 1 // 0: nothing is remembered
	}
	for p := range c.members + c.helpers {
		if p < c.members {
			m.Init.p[p].ops = uint8(c.ops)
		} else {
			m.Init.p[p].pc = heapIdle
		}
	}
	return m
}

func heapCases() []Case {
	configs := []heapConfig{
		{units: 3, longest: 3, members: 2, ops: 1, helpers: 2, kills: 1, stops: 0},
		{units: 3, longest: 3, members: 2, ops: 2, helpers: 2, kills: 1, stops: 0},
		{units: 3, longest: 3, members: 2, ops: 2, helpers: 2, kills: 1, stops: 1},
		{units: 3, longest: 3, members: 2, ops: 1, helpers: 2, kills: 2, stops: 1},
		{units: 3, longest: 3, members: 2, ops: 2, helpers: 1, kills: 1, stops: 1, noParts: true, punches: true},
		{units: 2, longest: 2, members: 2, ops: 2, helpers: 2, kills: 2, stops: 1, punches: true},
	}
	var all []Case
	for _, c := range configs {
		all = append(all, Case{Model: "heap", Config: c.String(), explore: func() check.Result { return check.Explore(c.model()) }})
	}
	small := heapConfig{units: 3, longest: 3, members: 2, ops: 2, helpers: 2, kills: 1, stops: 0}
	for _, m := range []string{heapNoCheck, heapFrontFirst, heapFirstFirst, heapOwnedEarly, heapNoSeq, heapOwnerLate} {
		c := small
		c.mutant = m
		all = append(all, Case{Model: "heap", Config: c.String(), Mutant: m, explore: func() check.Result { return check.Explore(c.model()) }})
	}
	punches := heapConfig{units: 2, longest: 2, members: 2, ops: 2, helpers: 1, kills: 1, noParts: true, punches: true}
	for _, m := range []string{heapDeadFree, heapLoseHoles, heapFirstHoles, heapOwnEarly, heapNoClaim, heapMarkFirst, heapRefused} {
		c := punches
		c.mutant = m
		all = append(all, Case{Model: "heap", Config: c.String(), Mutant: m, explore: func() check.Result { return check.Explore(c.model()) }})
	}
	return all
}
