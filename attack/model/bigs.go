package model

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/tandem-ipc/tandem/attack/model/check"
)

// Blocks for messages larger than the ring takes: pipe/send.go findBlock, newBlock, freeBlock, findBlocks, commit;
// pipe/recv.go bigData; shm/part.go HandOver, FreePart, part; shm/settle.go freeBlocks.
//
// A lane with two places that name blocks; three blocks {state, member, seq}, whom they are a part of, and what message is
// in them. The ring is a list of committed records, each naming a block, and the consumer's position. A producer sends some
// messages, each through a block that it has, or a new one in the place of an old one; its successor goes on where it was
// killed. A consumer, likewise. Somebody else makes a part of an object of its own. Helpers settle the dead, and one who
// was dead at the start, all at once if they like. Sequence numbers never wrap here.
//
//	findBlocks D1 r = place   D2 block r: a PART of this lane?  else D3 place = 0   for each; D4 position, D5 records from
//	           there on: their blocks are under way
//	send       N1 position: which blocks are free?   then one that is; or newBlock in a place that is:
//	newBlock   freeBlock: N2 w = block, a PART of this lane?   N3 w -> FREEING{me} (CAS)   N4 -> FREE (CAS)   N5 place = 0
//	           N6 block FREE -> OWNED{me} (CAS)   N7 place = block   N8 OWNED{me} -> PART of this lane (CAS)
//	           N9 message into the block   N10 r = place   N11 record with r: the commit
//	receive    R1 record   R2 block r: a PART of this lane?   R3 the message in it   R4 position
//	settle     S1 w = block: OWNED{m}, or FREEING{anybody}: S2 w -> FREE (CAS)   S3 slot -> CLEAN
//
// D2 may fail, if the block cannot be mapped: then findBlocks drops nothing, and begins again later.
//
// Checked in every state: a part of the lane is named; nobody changes the other's part; no operation of a live process
// fails. What is received is what was sent. In the end everything was received, the dead are settled, and every block is
// FREE, or a PART that is named.

const (
	bigPlaces = 2
	bigBlocks = 3
	bigMost   = 4 // messages
)

// Members.
const (
	bigProducer  = 1 // and its successors
	bigBystander = 4
	bigHelper    = 5 // and 6
	bigOther     = 7
	bigMembers   = 8
)

type bigBlock struct {
	word heapWord
	of   uint8 // whose part: 1 the lane, 2 the other's object
	data uint8 // message
}

type bigState struct {
	block     [bigBlocks]bigBlock
	place     [bigPlaces]uint8 // block, from 1
	record    [bigMost + 1]uint8
	committed uint8
	position  uint8
	slot      [bigMembers]uint8
	p         bigSender
	c         bigReceiver
	x         bigElse
	trouble   uint8 // how often D2 may fail
	h         [2]bigSettler
	left      faults
}

type bigSender struct {
	pc    uint8
	life  uint8
	fate  uint8
	k     uint8
	b     uint8 // block, from 1
	w     heapWord
	mem   [bigPlaces]bool
	until [bigPlaces]uint8
	seen  uint8 // position
}

type bigReceiver struct {
	pc, b uint8
}

type bigElse struct {
	pc, b uint8
}

type bigSettler struct {
	pc   uint8
	fate uint8
	m    uint8
	b    uint8
	w    heapWord
}

const (
	bigFind = iota
	bigFindPart
	bigFindDrop
	bigPosition
	bigPending
	bigFree // which block is free
	bigUnname
	bigPart
	bigFreeing
	bigFreed
	bigAlloc
	bigName
	bigHand
	bigWrite
	bigRead
	bigCommit
	bigSent
)

type bigConfig struct {
	messages     uint8
	helpers      int
	other        bool
	kills, stops uint8
	trouble      uint8
	anywhere     bool // a new block may be any free one, not just the first
	mutant       string
}

const (
	bigUnmapped    = "a successor that cannot map a block takes it for one that was never handed over"
	bigHandFirst   = "a block is handed over before the lane names it"
	bigAnyPart     = "a part is recognised without its owner"
	bigNoPending   = "a successor does not look which blocks are under way"
	bigUnnameFirst = "the lane stops naming a block before it is given back"
	bigNoAgain     = "a successor that cannot map a block goes on without it"
	bigNoPosition  = "a block is used again without a look at the position"
)

func (c bigConfig) String() string {
	s := fmt.Sprintf("%d messages, %d helpers, ", c.messages, c.helpers)
	if c.other {
		s += "another object, "
	}
	if c.anywhere {
		s += "any block, "
	}
	if c.trouble > 0 {
		s += "trouble, "
	}
	return s + faults{c.kills, c.stops}.String()
}

func (c bigConfig) procs() []string {
	return []string{"producer", "consumer", "other", "helper1", "helper2"}
}

func (c bigConfig) settler(p int) int { return p - 3 }

func (c bigConfig) finished(s *bigState, p int) bool {
	switch p {
	case 0:
		return s.p.fate == stopped || s.p.pc == bigSent
	case 1:
		return s.c.pc == 4 || s.p.fate == stopped && s.position == s.committed
	case 2:
		return !c.other || s.x.pc == 2 || s.x.pc == 0
	}
	h := &s.h[c.settler(p)]
	return h.fate != running || h.pc == 0
}

func (c bigConfig) me(s *bigState) uint8 { return bigProducer + s.p.life }

func (c bigConfig) step(s *bigState, p int, o *check.Out[bigState]) {
	switch p {
	case 0:
		if s.p.fate == running {
			c.send(s, o)
		}
	case 1:
		c.receive(s, o)
	case 2:
		c.elsewhere(s, o)
	default:
		if i := c.settler(p); i < c.helpers && s.h[i].fate == running {
			c.settle(s, i, o)
		}
	}
}

func (c bigConfig) send(s *bigState, o *check.Out[bigState]) {
	x := *s
	q := &x.p
	label := ""
	part := func(b uint8) bool { // Object.part
		w := &s.block[b-1]
		return w.word.st == hPart && (w.of == 1 || c.mutant == bigAnyPart)
	}
	msg := s.committed + 1
	switch q.pc {
	case bigFind:
		if q.b = s.place[q.k]; q.b == 0 {
			label = "findBlocks: no block in this place"
			c.found(q)
		} else {
			label = "findBlocks: a block in this place"
			q.pc = bigFindPart
		}
	case bigFindPart:
		if s.trouble > 0 {
			y := x
			y.trouble--
			switch c.mutant {
			case bigUnmapped:
				y.p.pc = bigFindDrop
			case bigNoAgain:
				c.found(&y.p)
			default:
				y.p = bigSender{life: s.p.life}
			}
			o.Go("findBlocks: too many open files", y)
		}
		if label = "findBlocks: it is a part of the lane"; part(q.b) {
			q.mem[q.k] = true
			c.found(q)
		} else {
			label = "findBlocks: it was never handed over"
			q.pc = bigFindDrop
		}
	case bigFindDrop:
		label = "findBlocks: place = 0"
		x.place[q.k] = 0
		c.found(q)
	case bigPosition:
		label = "findBlocks: position"
		q.seen, q.k = s.position, 0
		if q.pc = bigPending; c.mutant == bigNoPending {
			q.pc = bigFree
		}
	case bigPending: // all records from there on; nobody else changes them
		label = "findBlocks: records under way"
		for r := q.seen + 1; r <= s.committed; r++ {
			for k := range q.until {
				if s.place[k] == s.record[r] {
					q.until[k] = r
				}
			}
		}
		q.seen = 0
		q.pc = bigFree
	case bigFree:
		if s.committed == c.messages {
			*q = bigSender{pc: bigSent, life: q.life}
			label = "all sent"
			break
		}
		q.seen = 0
		free := func(k int) bool { return s.position >= q.until[k] || c.mutant == bigNoPosition }
		for k := range s.place {
			switch {
			case q.mem[k] && free(k):
				y := x
				y.p.k, y.p.pc, y.p.until[k] = uint8(k), bigWrite, 0
				y.p.b = s.place[k] // the sender remembers the memory
				o.Go("findBlock: one that is free", y)
				if y.p.pc = bigPart; c.mutant == bigUnnameFirst {
					y.p.pc = bigUnname
				}
				o.Go("findBlock: a place that is free", y)
			case !q.mem[k]:
				y := x
				y.p.k, y.p.pc, y.p.b, y.p.until[k] = uint8(k), bigAlloc, 0, 0
				o.Go("findBlock: an empty place", y)
			}
		}
		return // or waits
	case bigUnname:
		label = "freeBlock: place = 0"
		x.place[q.k] = 0
		q.mem[q.k] = false
		if q.pc = bigPart; c.mutant != bigUnnameFirst {
			q.pc, q.b = bigAlloc, 0
		}
	case bigPart:
		q.w = s.block[q.b-1].word
		if label = "FreePart: w = block, a PART"; !part(q.b) {
			o.Fail(label, "a send fails because its block was taken away")
			return
		}
		q.pc = bigFreeing
	case bigFreeing:
		label = "FreePart: CAS PART -> FREEING"
		w := &x.block[q.b-1].word
		if *w != q.w {
			o.Fail(label, "a block of the lane was taken away")
			return
		}
		w.st, w.a = hFreeing, c.me(s)
		q.w = *w
		q.pc = bigFreed
	case bigFreed:
		if label = "FreePart: CAS -> FREE"; s.block[q.b-1].word == q.w {
			x.block[q.b-1].word = q.w.freed()
		}
		if q.pc, q.w = bigUnname, (heapWord{}); c.mutant == bigUnnameFirst {
			q.pc, q.b = bigAlloc, 0
		}
	case bigAlloc:
		none := true
		for b := range s.block {
			if s.block[b].word.st == hFree {
				none = false
				y := x
				w := &y.block[b].word
				w.st, w.a = hOwned, c.me(s)
				y.block[b].data = 0
				y.p.b = uint8(b + 1)
				if y.p.pc = bigName; c.mutant == bigHandFirst {
					y.p.pc = bigHand
				}
				o.Go("newBlock: alloc", y)
				if !c.anywhere {
					break
				}
			}
		}
		if none { // an error; the sender tries again later
			q.pc, q.k, q.b = bigFree, 0, 0
			o.Go("newBlock: no memory", x)
		}
		return
	case bigName:
		label = "newBlock: place = block"
		x.place[q.k] = q.b
		if q.pc = bigHand; c.mutant == bigHandFirst {
			q.pc = bigWrite
			q.mem[q.k] = true
		}
	case bigHand:
		if label = "HandOver: CAS OWNED -> PART"; s.block[q.b-1].word.st != hOwned || s.block[q.b-1].word.a != c.me(s) {
			o.Fail(label, "a block of a live process was taken away")
			return
		}
		x.block[q.b-1].word.st, x.block[q.b-1].word.a, x.block[q.b-1].of = hPart, 0, 1
		if q.pc = bigWrite; c.mutant == bigHandFirst {
			q.pc = bigName
		} else {
			q.mem[q.k] = true
		}
	case bigWrite:
		label = "sendBig: message into the block"
		x.block[q.b-1].data = msg
		q.pc = bigRead
	case bigRead:
		label = "commit: r = place"
		q.b = s.place[q.k]
		q.pc = bigCommit
	case bigCommit:
		label = "commit: record"
		x.committed = msg
		x.record[msg] = q.b
		q.until[q.k] = msg
		q.pc, q.k, q.b = bigFree, 0, 0
	case bigSent:
		return
	}
	o.Go(label, x)
}

// found goes on with the next place in findBlocks.
func (c bigConfig) found(q *bigSender) {
	q.b = 0
	if q.k++; q.k == bigPlaces {
		q.pc, q.k = bigPosition, 0
	} else {
		q.pc = bigFind
	}
}

func (c bigConfig) receive(s *bigState, o *check.Out[bigState]) {
	x := *s
	q := &x.c
	label := ""
	switch q.pc {
	case 0:
		if s.position == c.messages {
			q.pc = 4
			o.Go("all received", x)
			return
		}
		if s.committed == s.position {
			return // waits
		}
		label = "receive: record"
		q.b = s.record[s.position+1]
		q.pc = 1
	case 1:
		if w := &s.block[q.b-1]; q.b == 0 || w.word.st != hPart || w.of != 1 {
			o.Fail("receive: block", "the block of a committed message is gone")
			return
		}
		label = "receive: a part of the lane"
		q.pc = 2
	case 2:
		label = "receive: the message"
		if s.block[q.b-1].data != s.position+1 {
			o.Fail(label, "the block of a committed message holds another one")
			return
		}
		q.pc = 3
	case 3:
		label = "receive: position"
		x.position++
		q.pc, q.b = 0, 0
	case 4:
		return
	}
	o.Go(label, x)
}

func (c bigConfig) elsewhere(s *bigState, o *check.Out[bigState]) {
	if !c.other {
		return
	}
	switch s.x.pc {
	case 0:
		for b := range s.block {
			if s.block[b].word.st == hFree && s.block[b].word.seq > 1 { // one that was used before: the others are like it
				x := *s
				w := &x.block[b]
				w.word.st, w.word.a, w.data = hOwned, bigOther, 99
				x.x = bigElse{1, uint8(b + 1)}
				o.Go("alloc", x)
			}
		}
	case 1:
		x := *s
		w := &x.block[s.x.b-1]
		w.word.st, w.word.a, w.of = hPart, 0, 2
		x.x.pc = 2
		o.Go("handOver: CAS OWNED -> PART", x)
	}
}

func (c bigConfig) settle(s *bigState, i int, o *check.Out[bigState]) {
	x := *s
	q := &x.h[i]
	label := ""
	// next goes on with the next block.
	next := func() {
		q.w = heapWord{}
		if q.b++; q.b == bigBlocks {
			q.pc, q.b = 3, 0
		} else {
			q.pc = 1
		}
	}
	switch q.pc {
	case 0:
		for m := range s.slot {
			if s.slot[m] == slotDead {
				x = *s
				q.pc, q.m = 1, uint8(m)
				o.Go("settle: a dead member's slot", x)
			}
		}
		return
	case 1:
		q.w = s.block[q.b].word
		switch label = "freeBlocks: w = block"; {
		case q.w.st == hOwned && q.w.a == q.m || q.w.st == hFreeing:
			q.pc = 2
		default:
			next()
		}
	case 2:
		if label = "freeBlocks: CAS fails"; s.block[q.b].word == q.w {
			label = "freeBlocks: CAS w -> FREE"
			x.block[q.b].word = q.w.freed()
		}
		next()
	case 3:
		label = "settle: CAS slot -> CLEAN"
		x.slot[q.m] = slotClean
		*q = bigSettler{}
	}
	o.Go(label, x)
}

func (c bigConfig) fault(s *bigState, p int, o *check.Out[bigState]) {
	if c.finished(s, p) || p == 2 {
		return
	}
	if p > 2 && (c.helpers < 2 || s.h[1-c.settler(p)].fate != running) {
		return // somebody stays to settle
	}
	if s.left.kills > 0 && !(p == 0 && s.p.life == 2) {
		x := *s
		x.left.kills--
		switch p {
		case 0:
			x.slot[c.me(s)] = slotDead
			x.p = bigSender{life: s.p.life + 1}
			o.Go("killed; a successor", x)
		case 1:
			x.c = bigReceiver{}
			o.Go("killed; a successor", x)
		default:
			x.h[c.settler(p)] = bigSettler{fate: killed}
			x.slot[bigHelper+c.settler(p)] = slotDead
			o.Go("killed", x)
		}
	}
	if s.left.stops > 0 && p != 1 {
		x := *s
		x.left.stops--
		if p == 0 {
			x.p.fate = stopped
		} else {
			x.h[c.settler(p)].fate = stopped
		}
		o.Go("stopped for good", x)
	}
}

func (c bigConfig) check(s *bigState) string {
	if s.x.pc == 2 {
		if b := &s.block[s.x.b-1]; b.word.st != hPart || b.of != 2 || b.data != 99 {
			return "the other's part was changed"
		}
	}
	for b := range s.block {
		if w := &s.block[b]; w.word.st == hPart && w.of == 1 && !c.named(s, b) {
			return "the lane does not name a part of it"
		}
	}
	return ""
}

func (c bigConfig) named(s *bigState, b int) bool {
	return slices.Contains(s.place[:], uint8(b+1))
}

func (c bigConfig) final(s *bigState) string {
	for m, st := range s.slot {
		if st == slotDead {
			return fmt.Sprintf("member %d was not settled", m)
		}
	}
	for b := range s.block {
		w := &s.block[b]
		owner := func() bool { // a stopped process keeps what it has
			switch a := w.word.a; {
			case a >= bigHelper && a < bigOther:
				return s.h[a-bigHelper].fate == stopped
			default:
				return s.p.fate == stopped
			}
		}
		if (w.word.st == hOwned || w.word.st == hFreeing) && !owner() {
			return "a block of a member that is settled is left"
		}
	}
	return ""
}

func (c bigConfig) together(s *bigState) []uint32 {
	set := uint32(0)
	for p := range c.procs() {
		if p < 3 && !(p == 0 && s.p.fate != running) || p >= 3 && c.settler(p) < c.helpers && s.h[c.settler(p)].fate == running {
			set |= 1 << p
		}
	}
	return []uint32{set}
}

func (c bigConfig) show(s *bigState) []string {
	members := []string{"", "producer", "producer2", "producer3", "bystander", "helper1", "helper2", "other"}
	var all []string
	for b := range s.block {
		w := &s.block[b]
		who := ""
		if w.word.a > 0 {
			who = "{" + members[w.word.a] + "}"
		}
		if w.word.st == hPart {
			who = [...]string{"", " of the lane", " of the other"}[w.of]
		}
		all = append(all, fmt.Sprintf("block%d %s%s#%d message %d", b+1, heapNames[w.word.st], who, w.word.seq, w.data))
	}
	for k, p := range s.place {
		all = append(all, fmt.Sprintf("place%d block%d", k, p))
	}
	for m, st := range s.slot {
		if m > 0 {
			all = append(all, fmt.Sprintf("slot-%s %s", members[m], slotNames[st]))
		}
	}
	return append(all, fmt.Sprintf("committed %d", s.committed), fmt.Sprintf("position %d", s.position))
}

// canon renames sequence numbers, which are only compared with what somebody remembers, and sorts the helpers.
func (c bigConfig) canon(s *bigState, set uint32) uint32 {
	if s.h[1].less(&s.h[0]) {
		s.h[0], s.h[1] = s.h[1], s.h[0]
		s.slot[bigHelper], s.slot[bigHelper+1] = s.slot[bigHelper+1], s.slot[bigHelper]
		swap := func(m *uint8) {
			if *m == bigHelper || *m == bigHelper+1 {
				*m ^= bigHelper ^ (bigHelper + 1)
			}
		}
		for b := range s.block {
			swap(&s.block[b].word.a)
		}
		for i := range s.h {
			swap(&s.h[i].m)
			swap(&s.h[i].w.a)
		}
		set = swapBits(set, 3, 4)
	}
	var seq [bigBlocks]renaming
	for b := range s.block {
		if c.other {
			one := uint8(1) // a block that was never used stays one
			seq[b].to(&one)
		}
		seq[b].to(&s.block[b].word.seq)
	}
	if s.p.b > 0 {
		seq[s.p.b-1].to(&s.p.w.seq)
	}
	for i := range s.h {
		seq[s.h[i].b].to(&s.h[i].w.seq)
	}
	return set
}

func (q *bigSettler) less(r *bigSettler) bool {
	a := [...]uint8{q.pc, q.fate, q.m, q.b, q.w.st, q.w.a, q.w.seq}
	b := [...]uint8{r.pc, r.fate, r.m, r.b, r.w.st, r.w.a, r.w.seq}
	return bytes.Compare(a[:], b[:]) < 0
}

func (c bigConfig) model() *check.Model[bigState] {
	m := &check.Model[bigState]{Procs: c.procs(), Step: c.step, Fault: c.fault, Check: c.check, Final: c.final, Show: c.show,
		Canon: c.canon, Alone: c.together, Bound: 500,
		Finished: func(s *bigState, p int) bool { return c.finished(s, p) },
	}
	s := &m.Init
	for b := range s.block {
		s.block[b].word.seq = 1
	}
	s.slot[bigBystander] = slotDead
	s.left = faults{c.kills, c.stops}
	s.trouble = c.trouble
	return m
}

func bigCases() []Case {
	var all []Case
	add := func(c bigConfig, full bool) {
		all = append(all, Case{Model: "bigs", Config: c.String(), Mutant: c.mutant, Full: full,
			explore: func() check.Result { return check.Explore(c.model()) }})
	}
	for _, c := range []bigConfig{
		{messages: 3, helpers: 1},
		{messages: 3, helpers: 1, kills: 1, trouble: 1},
		{messages: 3, helpers: 1, other: true, kills: 1},
		{messages: 2, helpers: 2, kills: 1, stops: 1},
	} {
		add(c, false)
	}
	add(bigConfig{messages: 3, helpers: 1, other: true, kills: 2, anywhere: true}, true)
	add(bigConfig{messages: 3, helpers: 2, other: true, kills: 1, stops: 1}, true)
	for _, c := range []bigConfig{
		{messages: 2, helpers: 1, kills: 1, trouble: 1, mutant: bigUnmapped},
		{messages: 2, helpers: 1, kills: 1, trouble: 1, mutant: bigNoAgain},
		{messages: 2, helpers: 1, mutant: bigUnnameFirst},
		{messages: 2, helpers: 1, mutant: bigHandFirst},
		{messages: 2, helpers: 1, other: true, kills: 1, mutant: bigAnyPart},
		{messages: 3, helpers: 1, kills: 1, mutant: bigNoPending},
		{messages: 3, helpers: 1, mutant: bigNoPosition},
	} {
		add(c, false)
	}
	return all
}
