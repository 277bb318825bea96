package model

import (
	"fmt"

	"github.com/tandem-ipc/tandem/attack/model/check"
)

// Life: shm/member.go join, takeSlot, Dead; shm/settle.go settle; shm/space.go leave, unmap; the poller's helpUnfinished.
//
// Slots with a word {state, generation} and a lock byte. Processes live some lives each: they join any slot that is clean,
// hold one resource {slot, generation}, look at others a few times, and leave, or are killed; the kernel takes the locks of
// the killed back some time later. An observer, in a slot of its own that is not shown, looks at whatever there is to find;
// it is not killed, but may be late.
//
//	join    J1 w = slot, CLEAN?   J2 lock byte, write?   J3 w = slot, CLEAN still? else J4 unlock   J5 slot = LIVE{gen+1}
//	        J6 the resource is mine
//	Dead(m) D1 slot: m's word, LIVE?   D2 lock byte, read (another description)?   D3 slot LIVE{m} -> DEAD{m} (CAS)
//	        D4 unlock   D5 slot: over?   then settle(m)
//	settle  S1 w = slot: m's word, DEAD?   S2 r = each resource: m's? S3 free it (CAS)   S4 slot DEAD{m} -> CLEAN{m} (CAS)
//	leave   S2 and S3 for oneself, while LIVE   L1 slot LIVE -> CLEAN (CAS), unless the settling failed   L2 unmap: the lock goes
//
// Checked in every state: the word of who lives and has not begun to leave says LIVE and its generation; it has its
// resource; nobody else has its slot and generation. No slot and generation is given twice; CLEAN means that nothing of the
// last generation is left. Whoever runs alone finishes: also the observer, who finds every dead member, whoever is stopped
// in the middle of asking or settling. In the end every member that is dead or has left is settled.
//
// One exception, which the model found: a joiner that saw the slot CLEAN (J1), and is stopped for good after it has locked
// it (J2), when another one has joined there in between, and died: nobody can prove that death until it goes on.

const (
	lifeSlots = 2
	lifeProcs = 4
)

type lifeMember struct{ slot, gen uint8 } // slot from 1

type lifeSlot struct {
	state, gen uint8
	writer     uint8 // of the lock byte: process + 1
	readers    uint8 // as bits
	given      uint8 // generations that somebody has had, as bits
}

type lifeProc struct {
	pc, ret      uint8
	fate         uint8 // killed: until the kernel has taken its locks
	lives, looks uint8 // left
	me, m        lifeMember
	w            lifeSlotWord
	r            uint8 // resource
}

type lifeSlotWord struct{ state, gen uint8 }

type lifeState struct {
	slot     [lifeSlots]lifeSlot
	resource [lifeProcs]lifeMember
	p        [lifeProcs]lifeProc
	left     faults
}

const (
	lifeOut = iota // about to join
	lifeLock
	lifeReread
	lifeUnlock
	lifeTake
	lifeOwn
	lifeIn // a member
	lifeProbe
	lifeProve
	lifeUnprobe
	lifeOver
	lifeSettle
	lifeResource
	lifeFree
	lifeClean
	lifeUnmap
	lifeUnlockFirst // mutant
	lifeDone
	lifeWatch // the observer
)

type lifeConfig struct {
	members, slots int
	lives, looks   int
	kills, stops   uint8
	fails          bool // who leaves may fail to settle itself, and leaves all the same
	mutant         string
}

const (
	lifeExclusive  = "death is proven by a write lock"
	lifeCleanFirst = "the slot becomes CLEAN before the settling"
	lifeBlindProof = "who has the lock writes DEAD without another look at the word"
	lifeSameGen    = "the generation stays"
	lifeNoReread   = "the slot is not read again under the lock"
	lifeNoLock     = "death is judged by the word of who is not seen"
	lifeAnyGen     = "who settles does not look for whom the slot is by now"
	lifeUnmapFirst = "who leaves lets its lock go before it says CLEAN, by a store"
	lifeLateLock   = "the word says LIVE before the lock is there"
)

func (c lifeConfig) String() string {
	s := fmt.Sprintf("%d processes x %d lives, %d slots, %d looks, observer, %v", c.members, c.lives, c.slots, c.looks, faults{c.kills, c.stops})
	if c.fails {
		s += ", fail"
	}
	return s
}

func (c lifeConfig) procs() []string {
	var names []string
	for i := range c.members {
		names = append(names, string(rune('A'+i)))
	}
	return append(names, "observer", "kernel")
}

func (c lifeConfig) observer() int { return c.members }

// find tells what there is to find in a slot: a member that is not settled and will not settle itself.
func (c lifeConfig) find(s *lifeState, i int) bool {
	switch w := &s.slot[i]; w.state {
	case slotLive:
		return w.writer == 0 && !c.coming(s, i)
	case slotDead:
		return true
	}
	return false
}

// coming tells whether somebody is there who has not locked a slot that says LIVE already (a mutant).
func (c lifeConfig) coming(s *lifeState, i int) bool {
	if c.mutant != lifeLateLock {
		return false
	}
	for p := range c.members {
		if s.p[p].pc == lifeLock && int(s.p[p].m.slot) == i+1 && s.p[p].fate == running {
			return true
		}
	}
	return false
}

func (c lifeConfig) finished(s *lifeState, p int) bool {
	if p > c.observer() {
		return true // the kernel
	}
	q := &s.p[p]
	if q.pc == lifeWatch {
		for i := range c.slots {
			if c.find(s, i) {
				return false
			}
		}
		return true
	}
	return q.fate != running || q.pc == lifeDone
}

// alive tells whether p is a member that has not begun to leave.
func (c lifeConfig) alive(s *lifeState, p int) bool {
	q := &s.p[p]
	return q.fate != killed && q.me.gen != 0 && p < c.members
}

func (c lifeConfig) step(s *lifeState, p int, o *check.Out[lifeState]) {
	if p > c.observer() {
		for v := range c.members {
			if s.p[v].fate == killed {
				x := *s
				for i := range x.slot {
					if x.slot[i].writer == uint8(v+1) {
						x.slot[i].writer = 0
					}
					x.slot[i].readers &^= 1 << v
				}
				q := &x.p[v]
				*q = lifeProc{lives: q.lives, looks: uint8(c.looks), pc: lifeDone}
				if q.lives > 0 {
					q.pc = lifeOut
				}
				o.Go("takes the locks of "+c.procs()[v]+" back", x)
			}
		}
		return
	}
	if s.p[p].fate != running {
		return
	}
	x := *s
	q := &x.p[p]
	label := ""
	slot := &x.slot[max(q.m.slot, 1)-1]
	// look begins Dead(m) or settle(m) for whoever is in a slot.
	look := func(i int) {
		w := s.slot[i]
		q.m = lifeMember{uint8(i + 1), w.gen}
		switch w.state {
		case slotLive:
			q.pc = lifeProbe
			o.Go("Dead: slot LIVE", x)
		case slotDead:
			q.pc = lifeSettle
			o.Go("helpUnfinished: slot DEAD", x)
		}
		x = *s
	}
	// looked is the end of a look, or of the settling of oneself.
	looked := func() {
		q.m, q.r, q.w = lifeMember{}, 0, lifeSlotWord{}
		switch {
		case p == c.observer():
			q.pc = lifeWatch
		case q.ret != 0:
			q.pc, q.m, q.ret = lifeUnmap, lifeMember{slot: q.ret}, 0
		default:
			q.pc = lifeIn
		}
	}
	switch q.pc {
	case lifeOut:
		none := true
		for i := range c.slots {
			if s.slot[i].state == slotClean {
				none = false
				q.m, q.w = lifeMember{slot: uint8(i + 1)}, lifeSlotWord{slotClean, s.slot[i].gen}
				q.pc = lifeLock
				if c.mutant == lifeLateLock {
					q.pc = lifeTake
				}
				o.Go("join: w = slot, CLEAN", x)
				x = *s
			}
		}
		if none {
			q.pc = lifeDone
			o.Go("join: no slot", x)
		}
		return
	case lifeLock:
		switch label = "join: write lock"; {
		case slot.writer == 0 && slot.readers == 0:
			slot.writer = uint8(p + 1)
			switch c.mutant {
			case lifeNoReread:
				q.pc = lifeTake
			case lifeLateLock:
				q.pc = lifeOwn
			default:
				q.pc = lifeReread
			}
		default:
			label = "join: write lock: busy"
			q.pc, q.m, q.w, q.me = lifeOut, lifeMember{}, lifeSlotWord{}, lifeMember{}
			if slot.writer != 0 || slot.readers != 0 {
				// join goes on with the next slot; with none left it is over
				q.lives--
				if q.pc = lifeOut; q.lives == 0 {
					q.pc = lifeDone
				}
			}
		}
	case lifeReread:
		if q.w = (lifeSlotWord{slot.state, slot.gen}); slot.state == slotClean {
			label = "join: w = slot, still CLEAN"
			q.pc = lifeTake
		} else {
			label = "join: w = slot, another state"
			q.pc, q.w = lifeUnlock, lifeSlotWord{}
		}
	case lifeUnlock:
		label = "join: unlock"
		slot.writer = 0
		q.pc, q.m = lifeOut, lifeMember{}
	case lifeTake:
		label = "takeSlot: slot = LIVE"
		gen := q.w.gen + 1
		if c.mutant == lifeSameGen && q.w.gen > 0 {
			gen = q.w.gen
		}
		if slot.given&(1<<gen) != 0 && c.mutant != lifeSameGen {
			o.Fail(label, "a slot and generation are given a second time")
			return
		}
		slot.state, slot.gen = slotLive, gen
		slot.given |= 1 << gen
		q.me, q.w = lifeMember{q.m.slot, gen}, lifeSlotWord{}
		if q.pc = lifeOwn; c.mutant == lifeLateLock {
			q.pc = lifeLock
		}
	case lifeOwn:
		label = "the resource is mine"
		x.resource[p] = q.me
		q.pc, q.m = lifeIn, lifeMember{}
	case lifeIn:
		if q.looks > 0 {
			for i := range c.slots {
				if i+1 != int(q.me.slot) {
					q.looks--
					look(i)
					q = &x.p[p]
				}
			}
		}
		label = "leave"
		q.m, q.w, q.ret, q.me = q.me, lifeSlotWord{slotLive, q.me.gen}, q.me.slot, lifeMember{}
		switch q.pc = lifeResource; c.mutant {
		case lifeCleanFirst:
			q.pc = lifeClean
		case lifeUnmapFirst:
			q.pc = lifeUnlockFirst
		}
	case lifeUnlockFirst:
		label = "leave: unmap"
		slot.writer = 0
		q.pc = lifeResource
	case lifeWatch:
		for i := range c.slots {
			if c.find(s, i) {
				look(i)
				q = &x.p[p]
			}
		}
		return
	case lifeProbe:
		granted := slot.writer == 0
		if c.mutant == lifeExclusive {
			granted = granted && slot.readers == 0
		}
		switch label = "Dead: lock: granted"; {
		case c.mutant == lifeNoLock:
			q.pc = lifeProve
		case !granted:
			label = "Dead: lock: busy, alive"
			looked()
		case c.mutant == lifeExclusive:
			slot.writer = uint8(p + 1)
			q.pc = lifeProve
		default:
			slot.readers |= 1 << p
			q.pc = lifeProve
		}
	case lifeProve:
		label = "Dead: CAS LIVE -> DEAD fails"
		if slot.state == slotLive && slot.gen == q.m.gen || c.mutant == lifeBlindProof {
			label = "Dead: CAS LIVE -> DEAD"
			slot.state, slot.gen = slotDead, q.m.gen
		}
		q.pc = lifeUnprobe
	case lifeUnprobe:
		label = "Dead: unlock"
		if c.mutant == lifeExclusive {
			slot.writer = 0
		}
		slot.readers &^= 1 << p
		q.pc = lifeOver
	case lifeOver:
		if label = "Dead: slot: over"; slot.gen > q.m.gen || slot.gen == q.m.gen && slot.state != slotLive {
			q.pc = lifeSettle
		} else {
			label = "Dead: slot: not over"
			looked()
		}
	case lifeSettle:
		q.w = lifeSlotWord{slot.state, slot.gen}
		if label = "settle: w = slot: done already"; slot.gen != q.m.gen && c.mutant != lifeAnyGen || slot.state != slotDead {
			looked()
			break
		}
		label = "settle: w = slot"
		if q.pc, q.r = lifeResource, 0; c.mutant == lifeCleanFirst {
			q.pc = lifeClean
		}
	case lifeResource:
		if label = "settle: a resource of others"; x.resource[q.r] == q.m {
			label = "settle: a resource of m"
			q.pc = lifeFree
			break
		}
		c.nextResource(q, looked)
	case lifeFree:
		if label = "settle: CAS of resource fails"; x.resource[q.r] == q.m {
			label = "settle: free the resource"
			x.resource[q.r] = lifeMember{}
		}
		q.pc = lifeResource
		c.nextResource(q, looked)
	case lifeClean:
		if c.fails && q.ret != 0 {
			y := x
			y.p[p].pc, y.p[p].m, y.p[p].w, y.p[p].ret = lifeUnmap, lifeMember{slot: q.ret}, lifeSlotWord{}, 0
			o.Go("leave: could not settle", y)
		}
		if c.mutant == lifeUnmapFirst && q.ret != 0 {
			slot.state, slot.gen = q.w.state, q.w.gen
		}
		label = "settle: CAS of slot fails"
		if slot.state == q.w.state && slot.gen == q.w.gen {
			label = "settle: CAS slot -> CLEAN"
			slot.state = slotClean
			for r := range x.resource {
				if x.resource[r] == (lifeMember{q.m.slot, slot.gen}) {
					o.Fail(label, "a slot is CLEAN, and its member has something left")
					return
				}
			}
		}
		if q.w = (lifeSlotWord{}); c.mutant == lifeCleanFirst {
			q.pc = lifeResource
			break
		}
		looked()
	case lifeUnmap:
		label = "leave: unmap"
		if slot.writer == uint8(p+1) {
			slot.writer = 0
		}
		q.m = lifeMember{}
		q.looks = uint8(c.looks)
		q.lives--
		if q.pc = lifeOut; q.lives == 0 {
			q.pc = lifeDone
		}
	case lifeDone:
		return
	}
	o.Go(label, x)
}

func (c lifeConfig) nextResource(q *lifeProc, looked func()) {
	if q.r++; int(q.r) < c.members {
		return
	}
	q.r = 0
	if q.pc = lifeClean; c.mutant == lifeCleanFirst {
		looked()
	}
}

func (c lifeConfig) fault(s *lifeState, p int, o *check.Out[lifeState]) {
	if p >= c.members {
		return
	}
	q := &s.p[p]
	if q.fate != running || q.pc == lifeDone || q.pc == lifeOut {
		return
	}
	if s.left.kills > 0 {
		x := *s
		x.left.kills--
		x.p[p] = lifeProc{fate: killed, lives: q.lives - 1}
		o.Go("killed", x)
	}
	if s.left.stops > 0 {
		x := *s
		x.left.stops--
		x.p[p].fate = stopped
		o.Go("stopped for good", x)
	}
}

func (c lifeConfig) check(s *lifeState) string {
	for p := range c.members {
		if !c.alive(s, p) {
			continue
		}
		q := &s.p[p]
		if w := s.slot[q.me.slot-1]; w.state != slotLive || w.gen != q.me.gen {
			return "the slot of " + c.procs()[p] + ", who lives, says otherwise"
		}
		if q.pc != lifeOwn && q.pc != lifeLock && s.resource[p] != q.me {
			return "the resource of " + c.procs()[p] + ", who lives, was freed"
		}
		for r := range p {
			if c.alive(s, r) && s.p[r].me == q.me {
				return "two live members have the same slot and generation"
			}
		}
	}
	return ""
}

func (c lifeConfig) final(s *lifeState) string {
	for i := range c.slots {
		w := &s.slot[i]
		if w.state == slotDead || w.state == slotLive && w.writer == 0 {
			return "a member is gone and not settled"
		}
	}
	for r, m := range s.resource {
		if m.gen == 0 {
			continue
		}
		owned := false
		for p := range c.members {
			q := &s.p[p]
			owned = owned || c.alive(s, p) && q.me == m || q.fate == stopped && q.ret != 0 && q.m == m // it was about to leave
		}
		// Known: who is stopped between locking a slot and looking at it again hides the death of who came and went in it
		// in the meantime.
		if w := s.slot[m.slot-1].writer; w > 0 && s.p[w-1].fate == stopped && (s.p[w-1].pc == lifeReread || s.p[w-1].pc == lifeUnlock) {
			continue
		}
		if !owned {
			return fmt.Sprintf("resource %d belongs to nobody who lives", r)
		}
	}
	return ""
}

var slotNames = [...]string{"LIVE", "DEAD", "CLEAN"}

func (c lifeConfig) show(s *lifeState) []string {
	var all []string
	names := c.procs()
	for i := range c.slots {
		w := &s.slot[i]
		text := ""
		if w.writer > 0 {
			text = "W" + names[w.writer-1]
		}
		for p := range names {
			if w.readers&(1<<p) != 0 {
				text += " R" + names[p]
			}
		}
		all = append(all, fmt.Sprintf("slot%d %s.%d", i+1, slotNames[w.state], w.gen), fmt.Sprintf("lock%d [%s]", i+1, text))
	}
	for r := range c.members {
		all = append(all, fmt.Sprintf("resource%s %d.%d", names[r], s.resource[r].slot, s.resource[r].gen),
			fmt.Sprintf("%s.self %d.%d", names[r], s.p[r].me.slot, s.p[r].me.gen))
	}
	return all
}

func (c lifeConfig) model() *check.Model[lifeState] {
	m := &check.Model[lifeState]{Procs: c.procs(), Step: c.step, Fault: c.fault, Check: c.check, Final: c.final, Show: c.show, Bound: 100,
		Finished: func(s *lifeState, p int) bool { return c.finished(s, p) },
		Alone: func(s *lifeState) []uint32 {
			return alone(c.observer()+1, func(p int) bool { return !c.finished(s, p) })
		},
	}
	m.Init.left = faults{c.kills, c.stops}
	for i := range m.Init.slot {
		m.Init.slot[i].state = slotClean
	}
	for p := range c.members {
		m.Init.p[p].lives, m.Init.p[p].looks = uint8(c.lives), uint8(c.looks)
	}
	m.Init.p[c.observer()].pc = lifeWatch
	return m
}

func lifeCases() []Case {
	var all []Case
	add := func(c lifeConfig) {
		all = append(all, Case{Model: "life", Config: c.String(), Mutant: c.mutant,
			explore: func() check.Result { return check.Explore(c.model()) }})
	}
	add(lifeConfig{members: 2, slots: 1, lives: 2, looks: 1, kills: 2})
	add(lifeConfig{members: 2, slots: 1, lives: 2, looks: 1, kills: 1, fails: true})
	add(lifeConfig{members: 2, slots: 2, lives: 2, looks: 1, kills: 1})
	add(lifeConfig{members: 2, slots: 1, lives: 2, looks: 0, kills: 2, stops: 1})
	add(lifeConfig{members: 2, slots: 2, lives: 1, looks: 1, kills: 2, stops: 1})
	add(lifeConfig{members: 2, slots: 2, lives: 2, looks: 1, kills: 2, stops: 1})
	add(lifeConfig{members: 3, slots: 2, lives: 1, looks: 1, kills: 2, stops: 1})
	small := lifeConfig{members: 2, slots: 2, lives: 2, looks: 1, kills: 2, stops: 1}
	for _, m := range []string{lifeAnyGen, lifeUnmapFirst, lifeExclusive, lifeCleanFirst, lifeBlindProof, lifeSameGen, lifeNoReread, lifeNoLock, lifeLateLock} {
		c := small
		c.mutant = m
		add(c)
	}
	return all
}
