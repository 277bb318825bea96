package model

import (
	"fmt"

	"github.com/tandem-ipc/tandem/attack/model/check"
)

// Parked waiters: futex/park.go; shm/lot.go ringPlace, answer, wakePlace; shm/member.go ring; shm/poller.go run; shm/look.go.
//
// Two goroutines of one process wait, each at a place of its own, for numbers that a publisher of its own publishes. One
// poller sleeps for both. How a store and the look at the wait word are ordered is the model wait; here every step is whole.
//
//	publish  P1 store the value   P2 PARKED? else done   P3 take PARKED down; was it up? else done   P4 who has the role?
//	         P5 lives it? else done   P6 the place's bit in its word   P7 the word's bit in the summary   P8 bell + 1
//	         P9 does the poller say that it sleeps? else done   P10 wake it
//	wait     A1 ready?   A2 enter the table   A3 wait word = PARKED (swap)   A4 ready? A6   A5 until there is a token; not
//	         ready? A3   A6 take PARKED down   A7 leave the table, drop the token
//	poll     L1 the bell   L2 take the summary   L3 take a word of it   L4 tokens for the waiters of its bits
//	         L5 say that it sleeps   L6 sleep if the bell is what it was   L7 say that it is awake; L1
//	look     give a token to who is ready; wake the poller if the bell is not what it sleeps on
//
// Checked: nobody waits for ever for what was published. A publisher that is killed, or stopped for good, owes a wake-up,
// maybe, and only then the model looks; the successor of a killed one goes on. A killed waiter leaves flag and role; its successor, on the same page, cleans the dirty set, takes the
// role, and waits. A publisher that is late rings the successor instead.

type bellState struct {
	value, word [2]uint8 // of the places; word: is PARKED up
	role        [2]uint8 // which life of the waiting process waits there
	life        uint8    // the one that lives
	dirty       [2]uint8 // bits of the two words
	summary     uint8
	bell        uint8
	says        bool // the poller says that it sleeps
	asleep      bool
	looks       bool
	p           [2]bellPublisher
	w           [2]bellWaiter
	poll        bellPoller
	left        bellLeft
}

type bellLeft struct{ kills, stops, ends uint8 }

type bellPublisher struct{ pc, next, role uint8 }

const nobody = 255 // for whom a publisher rings that has seen the poller awake, in the mutant that asks first

type bellWaiter struct {
	pc, seen uint8
	in       bool // in the table
	token    bool
}

type bellPoller struct {
	pc, bell uint8
	words    uint8 // of the summary, to be taken
	bits     uint8 // of the word taken, to be answered
	word     uint8
}

const (
	bellStore = iota
	bellParked
	bellTake
	bellRole
	bellLives
	bellBit
	bellSummary
	bellRing
	bellSays
	bellWake
	bellStopped
)

const (
	bellReady = iota
	bellEnter
	bellAnnounce
	bellLast
	bellPark
	bellRetract
	bellLeave
	bellDone
)

const (
	bellRead = iota
	bellTakeSummary
	bellTakeWord
	bellClear // of the mutant that loads and clears a word
	bellAnswer
	bellSleep
	bellKernel
	bellAwake
)

type bellConfig struct {
	values      [2]uint8 // for each waiter
	kills, ends uint8
	stops       uint8
	sameWord    bool // the places' bits are in one word
	sameBit     bool // and one bit
	full        bool
	mutant      string
}

const (
	bellSummaryFirst = "the summary before the word"
	bellRingFirst    = "the bell before the bits"
	bellReadLate     = "the poller reads the bell after it has answered"
	bellSaysFirst    = "whether the poller sleeps is asked before the bell"
	bellEnterLate    = "a waiter enters after its last look"
	bellTakeLate     = "the flag is taken down after the bell"
	bellRoleFirst    = "who waits is asked before the flag is taken down"
	bellLoadClear    = "the poller loads a word and clears it"
	bellNoLast       = "no last look before parking"
	bellOnlyFirst    = "only one waiter of a bit is woken"
	bellKeepsRole    = "a successor does not ask for the role"
)

func (c bellConfig) String() string {
	places := "two words"
	if c.sameBit {
		places = "one bit"
	} else if c.sameWord {
		places = "one word"
	}
	return fmt.Sprintf("%s, %v values, kills<=%d stops<=%d publishers, kills<=%d waiting processes", places, c.values, c.kills, c.stops, c.ends)
}

// wordOf and bitOf say where a place's bit is.
func (c bellConfig) wordOf(place int) int {
	if c.sameWord || c.sameBit {
		return 0
	}
	return place
}

func (c bellConfig) bitOf(place int) uint8 {
	if c.sameBit {
		return 1
	}
	return 1 << place
}

func (c bellConfig) finished(s *bellState, p int) bool {
	switch {
	case p < 2:
		return s.p[p].pc == bellStopped || s.p[p].pc == bellStore && s.p[p].next > c.values[p]
	case p < 4:
		i := p - 2
		return s.w[i].pc == bellDone || s.p[i].pc == bellStopped && s.w[i].seen == s.value[i]
	}
	return true // who serves others may wait for ever
}

func (c bellConfig) step(s *bellState, p int, o *check.Out[bellState]) {
	switch {
	case p < 2:
		c.publish(s, p, o)
	case p < 4:
		c.wait(s, p-2, o)
	case p == 4:
		c.serve(s, o)
	default:
		c.look(s, o)
	}
}

// order is publish, step by step, as it is or as a mutant has it.
func (c bellConfig) order() []uint8 {
	switch c.mutant {
	case bellSummaryFirst:
		return []uint8{bellStore, bellParked, bellTake, bellRole, bellLives, bellSummary, bellBit, bellRing, bellSays, bellWake}
	case bellRingFirst:
		return []uint8{bellStore, bellParked, bellTake, bellRole, bellLives, bellRing, bellSays, bellWake, bellBit, bellSummary}
	case bellSaysFirst:
		return []uint8{bellStore, bellParked, bellTake, bellRole, bellLives, bellBit, bellSummary, bellSays, bellRing, bellWake}
	case bellTakeLate:
		return []uint8{bellStore, bellParked, bellRole, bellLives, bellBit, bellSummary, bellRing, bellSays, bellWake, bellTake}
	case bellRoleFirst:
		return []uint8{bellStore, bellParked, bellRole, bellTake, bellLives, bellBit, bellSummary, bellRing, bellSays, bellWake}
	}
	return []uint8{bellStore, bellParked, bellTake, bellRole, bellLives, bellBit, bellSummary, bellRing, bellSays, bellWake}
}

func (c bellConfig) publish(s *bellState, i int, o *check.Out[bellState]) {
	x := *s
	q := &x.p[i]
	order := c.order()
	next := func() {
		for at, pc := range order {
			if pc == s.p[i].pc {
				if at+1 == len(order) {
					break
				}
				q.pc = order[at+1]
				return
			}
		}
		*q = bellPublisher{pc: bellStore, next: q.next + 1}
	}
	over := func() { *q = bellPublisher{pc: bellStore, next: q.next + 1} }
	label := ""
	switch q.pc {
	case bellStopped:
		return
	case bellStore:
		if q.next > c.values[i] {
			return
		}
		label = "publish: store the value"
		x.value[i] = q.next
		next()
	case bellParked:
		if label = "publish: PARKED?"; s.word[i] != 0 {
			next()
		} else {
			over()
		}
	case bellTake:
		label = "Rouse: take PARKED down"
		x.word[i] = 0
		if next(); s.word[i] == 0 {
			over()
		}
	case bellRole:
		label = "ring: who waits there"
		q.role = s.role[i]
		next()
	case bellLives:
		label = "ring: it lives"
		if next(); q.role != s.life {
			label = "ring: it is dead"
			if over(); c.mutant == bellTakeLate {
				q.pc, q.next = bellTake, q.next-1
			}
		}
	case bellBit:
		label = "ring: the place's bit"
		x.dirty[c.wordOf(i)] |= c.bitOf(i)
		next()
	case bellSummary:
		label = "ring: the word's bit in the summary"
		x.summary |= 1 << c.wordOf(i)
		next()
	case bellRing:
		label = "ring: the bell"
		x.bell++
		if next(); q.role == nobody {
			over()
		}
	case bellSays:
		if label = "ring: the poller sleeps"; s.says {
			next()
			break
		}
		label = "ring: the poller is awake"
		switch c.mutant {
		case bellSaysFirst:
			q.pc, q.role = bellRing, nobody
		case bellRingFirst:
			q.pc = bellBit
		case bellTakeLate:
			q.pc = bellTake
		default:
			over()
		}
	case bellWake:
		label = "ring: wake the poller"
		x.asleep = false
		next()
	}
	o.Go(label, x)
}

func (c bellConfig) wait(s *bellState, i int, o *check.Out[bellState]) {
	x := *s
	q := &x.w[i]
	ready := s.value[i] > q.seen
	label := ""
	switch q.pc {
	case bellReady:
		if label = "wait: not ready"; ready {
			label = "wait: ready"
			if q.seen++; q.seen == c.values[i] {
				q.pc = bellDone
			}
		} else if q.pc = bellEnter; c.mutant == bellEnterLate {
			q.pc = bellAnnounce
		}
	case bellEnter:
		label = "wait: enter"
		q.in = true
		if q.pc = bellAnnounce; c.mutant == bellEnterLate {
			q.pc = bellPark
		}
	case bellAnnounce:
		label = "wait: PARKED"
		x.word[i] = 1
		if q.pc = bellLast; c.mutant == bellNoLast {
			q.pc = bellPark
		}
	case bellLast:
		switch {
		case ready:
			label = "wait: ready after all"
			q.pc = bellRetract
		case c.mutant == bellEnterLate && !q.in:
			label = "wait: not ready"
			q.pc = bellEnter
		default:
			label = "wait: park"
			q.pc = bellPark
		}
	case bellPark:
		if !s.w[i].token {
			return
		}
		label = "wait: a token"
		q.token = false
		if q.pc = bellAnnounce; ready {
			q.pc = bellRetract
		}
	case bellRetract:
		label = "wait: take PARKED down"
		x.word[i] = 0
		q.pc = bellLeave
	case bellLeave:
		label = "wait: leave"
		q.in, q.token, q.seen = false, false, q.seen+1
		if q.pc = bellReady; q.seen == c.values[i] {
			q.pc = bellDone
		}
	case bellDone:
		return
	}
	o.Go(label, x)
}

func (c bellConfig) serve(s *bellState, o *check.Out[bellState]) {
	x := *s
	q := &x.poll
	label := ""
	switch q.pc {
	case bellRead:
		label = "poll: the bell"
		q.bell = s.bell
		if q.pc = bellTakeSummary; c.mutant == bellReadLate {
			q.pc = bellSleep
		}
	case bellTakeSummary:
		label = "poll: take the summary"
		q.words, x.summary = s.summary, 0
		if q.pc = bellTakeWord; c.mutant == bellReadLate && q.words == 0 {
			q.pc = bellRead
		}
	case bellTakeWord:
		switch word := uint8(0); {
		case q.words == 0:
			label = "poll: all answered"
			if q.pc = bellSleep; c.mutant == bellReadLate {
				q.pc = bellRead
			}
		default:
			if q.words&1 == 0 {
				word = 1
			}
			label = "poll: take a word"
			q.words &^= 1 << word
			q.word, q.bits = word, s.dirty[word]
			if q.pc = bellAnswer; c.mutant == bellLoadClear {
				q.pc = bellClear
			} else {
				x.dirty[word] = 0
			}
		}
	case bellClear:
		label = "poll: clear the word"
		x.dirty[q.word] = 0
		q.pc = bellAnswer
	case bellAnswer:
		label = "poll: tokens"
		for i := range x.w {
			if x.w[i].in && c.wordOf(i) == int(q.word) && q.bits&c.bitOf(i) != 0 {
				x.w[i].token = true
				if c.mutant == bellOnlyFirst {
					break
				}
			}
		}
		q.bits, q.word, q.pc = 0, 0, bellTakeWord
	case bellSleep:
		label = "poll: say that it sleeps"
		x.says = true
		q.pc = bellKernel
	case bellKernel:
		switch {
		case s.asleep:
			return
		case s.bell == q.bell:
			label = "poll: sleep"
			x.asleep = true
			q.pc = bellAwake
		default:
			label = "poll: the bell was rung"
			q.pc = bellAwake
		}
	case bellAwake:
		if s.asleep {
			return
		}
		label = "poll: awake"
		x.says = false
		*q = bellPoller{}
		if c.mutant == bellReadLate {
			q.pc = bellTakeSummary
		}
	}
	o.Go(label, x)
}

func (c bellConfig) look(s *bellState, o *check.Out[bellState]) {
	if !s.looks {
		return
	}
	for i, w := range s.w {
		if w.in && !w.token && s.value[i] > w.seen {
			x := *s
			x.w[i].token = true
			o.Go("look: ready", x)
		}
	}
	if s.asleep && s.bell != s.poll.bell {
		x := *s
		x.asleep = false
		o.Go("look: the bell was rung", x)
	}
}

func (c bellConfig) fault(s *bellState, p int, o *check.Out[bellState]) {
	x := *s
	switch {
	case p < 2 && !c.finished(s, p):
		if s.left.kills > 0 {
			x.left.kills--
			x.looks = x.looks || s.p[p].pc != bellStore // it owed somebody a wake-up, maybe
			x.p[p] = bellPublisher{next: s.value[p] + 1}
			o.Go("killed; a successor", x)
		}
		if s.left.stops > 0 {
			x = *s
			x.left.stops--
			x.looks, x.p[p] = true, bellPublisher{pc: bellStopped}
			o.Go("stopped for good", x)
		}
	case p == 4 && s.left.ends > 0:
		x.left.ends--
		x.life++
		x.dirty, x.summary, x.says, x.asleep = [2]uint8{}, 0, false, false
		x.poll = bellPoller{}
		if c.mutant == bellReadLate {
			x.poll.pc = bellTakeSummary
		}
		for i := range x.w {
			if x.w[i].pc != bellDone {
				x.w[i] = bellWaiter{seen: s.w[i].seen}
			}
			if c.mutant != bellKeepsRole {
				x.role[i] = x.life
			}
		}
		o.Go("killed; a successor", x)
	}
}

func (c bellConfig) show(s *bellState) []string {
	return []string{fmt.Sprintf("values %v", s.value), fmt.Sprintf("PARKED %v", s.word), fmt.Sprintf("roles %v of life %d", s.role, s.life),
		fmt.Sprintf("dirty %02b summary %02b", s.dirty, s.summary), fmt.Sprintf("bell %d", s.bell), fmt.Sprintf("asleep %v", s.asleep),
		fmt.Sprintf("seen %d %d", s.w[0].seen, s.w[1].seen), fmt.Sprintf("tokens %v %v", s.w[0].token, s.w[1].token)}
}

func (c bellConfig) model() *check.Model[bellState] {
	m := &check.Model[bellState]{Procs: []string{"publisher 1", "publisher 2", "waiter 1", "waiter 2", "poller", "looks"},
		Step: c.step, Fault: c.fault, Show: c.show, Bound: 400,
		Finished: func(s *bellState, p int) bool { return c.finished(s, p) },
		Alone:    func(s *bellState) []uint32 { return []uint32{1<<6 - 1} },
	}
	for i := range m.Init.p {
		m.Init.p[i].next = 1
	}
	if c.mutant == bellReadLate {
		m.Init.poll.pc = bellTakeSummary
	}
	m.Init.left = bellLeft{c.kills, c.stops, c.ends}
	return m
}

func bellCases() []Case {
	var all []Case
	add := func(c bellConfig) {
		all = append(all, Case{Model: "bell", Config: c.String(), Mutant: c.mutant, Full: c.full, explore: func() check.Result { return check.Explore(c.model()) }})
	}
	few, most := [2]uint8{2, 1}, [2]uint8{2, 2}
	for _, same := range []bellConfig{{}, {sameWord: true}, {sameBit: true}} {
		same.values = few
		add(same)
		same.values, same.full = most, true
		add(same)
		same.values, same.full = [2]uint8{1, 1}, false
		same.kills, same.stops, same.ends = 1, 1, 1
		add(same)
	}
	for _, m := range []string{bellSummaryFirst, bellRingFirst, bellReadLate, bellSaysFirst, bellEnterLate, bellTakeLate, bellNoLast} {
		add(bellConfig{values: few, mutant: m})
	}
	add(bellConfig{values: few, sameWord: true, mutant: bellLoadClear})
	add(bellConfig{values: few, sameBit: true, mutant: bellOnlyFirst})
	for _, m := range []string{bellRoleFirst, bellKeepsRole} {
		add(bellConfig{values: few, ends: 1, mutant: m})
	}
	return all
}
