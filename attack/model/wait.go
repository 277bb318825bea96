package model

import (
	"fmt"

	"github.com/tandem-ipc/tandem/attack/model/check"
)

// Sleeping and waking: futex/await.go sleep, announce, retract, Relax; futex/futex.go Rouse; ring/producer.go publish;
// ring/consumer.go advance and roomFor.Ready. csrc/spsc.c publish is the same protocol.
//
// One process publishes a number that grows, the other waits for each value. There are two ways: records (the word is the
// header) and room (the words are the exact position, and the lazily published one, which a waiter that has not raised the
// flag does not look behind). The publisher has a store buffer of one entry: a plain store waits there for any time; a full
// store, a fence, an atomic operation and the other one's membarrier empty it. The publisher may use plain stores once it is
// registered for membarrier, which happens at any time.
//
//	publish  W1 wait word, RELAXED? (only if registered)   W2 plain store   W3 wait word, RELAXED still? then done
//	         W4 fence                              else    W5 full store
//	         W6 SLEEPS? else done   W7 room: store the published position   W8 SLEEPS? else done
//	         W9 take SLEEPS down; was it up? W10 wake
//	await    A1 ready?   A2 wait word = SLEEPS (swap)   A3 it was RELAXED? membarrier   A4 ready? A8
//	         A5 sleep if the wait word is SLEEPS   A6 ready? A8, else A2   A8 take SLEEPS down
//	ready    the word; room: the published position; if that is not enough, and SLEEPS is up, the exact one
//	Relax    the waiter sets RELAXED, at any time when it does not wait
//
// Checked: nobody sleeps for ever. A publisher that is killed between its store and the wake-up leaves the sleeper to its
// timeout, and only then does the model have one; its successor starts unregistered. A killed waiter leaves its flags to its
// successor.

const (
	waitSleeps  = 1
	waitRelaxed = 2
)

type waitState struct {
	word     uint8 // the wait word
	value    uint8 // header, or exact position
	lazy     uint8 // room: published position
	buffer   bool  // a store of …
	toLazy   bool
	pending  uint8 // … this value is on its way
	asleep   bool
	timeouts bool
	p        waitPublisher
	w        waitWaiter
	left     faults
}

type waitPublisher struct {
	pc         uint8
	registered bool
	next       uint8 // what it publishes
}

type waitWaiter struct {
	pc   uint8
	ret  uint8
	seen uint8
}

const (
	waitPublish = iota
	waitPlain
	waitAgain
	waitFence
	waitFull
	waitLook
	waitLazy
	waitRouse
	waitTake
	waitWake
	waitPublished
)

const (
	waitFirst = iota
	waitAnnounce
	waitHeavy
	waitLast
	waitSleep
	waitAwake
	waitRetract
	waitFlag // ready, room: is the flag up?
	waitExact
	waitDone
)

type waitConfig struct {
	room   bool
	values uint8
	kills  uint8
	mutant string
}

const (
	waitFlagFirst  = "the flag is looked at before the store"
	waitNoAgain    = "a plain store without a second look at the wait word"
	waitNoHeavy    = "announce without membarrier"
	waitNoLast     = "no last look before sleeping"
	waitNoFence    = "after the second look there is no fence"
	waitAnyPlain   = "plain stores although nobody has promised"
	waitWakeFirst  = "the sleeper is woken before the flag is taken down"
	waitUnregister = "plain stores without being registered"
)

func (c waitConfig) String() string {
	what := "records"
	if c.room {
		what = "room"
	}
	return fmt.Sprintf("%s, %d values, kills<=%d", what, c.values, c.kills)
}

func (c waitConfig) finished(s *waitState, p int) bool {
	switch p {
	case 0:
		return s.p.pc == waitPublish && s.p.next > c.values
	case 1:
		return s.w.pc == waitDone
	}
	return true
}

// drain lets the store buffer's entry out.
func (s *waitState) drain() {
	if s.buffer {
		if s.toLazy {
			s.lazy = s.pending
		} else {
			s.value = s.pending
		}
	}
	s.buffer, s.toLazy, s.pending = false, false, 0
}

func (c waitConfig) step(s *waitState, p int, o *check.Out[waitState]) {
	switch p {
	case 0:
		c.publish(s, o)
	case 1:
		c.wait(s, o)
	default: // the processor
		if s.buffer {
			x := *s
			x.drain()
			o.Go("the store buffer empties", x)
		}
		if !s.p.registered && c.mutant != waitUnregister {
			x := *s
			x.p.registered = true
			o.Go("the publisher is registered", x)
		}
	}
}

func (c waitConfig) publish(s *waitState, o *check.Out[waitState]) {
	x := *s
	q := &x.p
	label := ""
	done := func() { q.pc, q.next = waitPublish, q.next+1 }
	switch q.pc {
	case waitPublish:
		if q.next > c.values {
			return
		}
		relaxed := s.p.registered && s.word == waitRelaxed
		switch c.mutant {
		case waitFlagFirst:
			if s.word&waitSleeps == 0 { // nobody to wake: remember that
				label = "publish: nobody sleeps"
				q.pc = waitPlain
				o.Go(label, x)
				return
			}
			relaxed = false
		case waitAnyPlain:
			relaxed = true
		case waitUnregister:
			relaxed = s.word == waitRelaxed
		}
		if label = "publish: RELAXED"; relaxed {
			q.pc = waitPlain
			if s.buffer { // a store waits for the one before
				x.drain()
			}
		} else {
			label = "publish: full store"
			x.drain()
			x.value = q.next
			q.pc = waitLook
		}
	case waitPlain:
		label = "publish: plain store"
		if s.buffer {
			x.drain()
		}
		switch x.buffer, x.toLazy, x.pending = true, false, q.next; c.mutant {
		case waitFlagFirst:
			x.drain()
			done()
		case waitNoAgain:
			done()
		default:
			q.pc = waitAgain
		}
	case waitAgain:
		if label = "publish: RELAXED still"; s.word == waitRelaxed || c.mutant == waitAnyPlain && s.word&waitSleeps == 0 {
			done()
		} else {
			label = "publish: not RELAXED any more"
			if q.pc = waitFence; c.mutant == waitNoFence {
				q.pc = waitLook
			}
		}
	case waitFence:
		label = "publish: fence"
		x.drain()
		q.pc = waitLook
	case waitLook, waitRouse:
		if label = "publish: SLEEPS is up"; s.word&waitSleeps == 0 {
			label = "publish: nobody sleeps"
			done()
		} else if q.pc == waitLook && c.room {
			q.pc = waitLazy
		} else if q.pc == waitLook {
			q.pc = waitRouse
		} else if q.pc = waitTake; c.mutant == waitWakeFirst {
			q.pc = waitWake
		}
	case waitLazy:
		label = "advance: store the published position"
		x.drain()
		x.buffer, x.toLazy, x.pending = true, true, q.next
		q.pc = waitRouse
	case waitTake:
		label = "Rouse: take SLEEPS down"
		x.drain() // an atomic operation
		x.word &^= waitSleeps
		if q.pc = waitWake; c.mutant == waitWakeFirst || s.word&waitSleeps == 0 {
			done()
		}
	case waitWake:
		label = "Rouse: wake"
		if s.asleep {
			x.asleep = false
		}
		if c.mutant == waitWakeFirst {
			q.pc = waitTake
		} else {
			done()
		}
	}
	o.Go(label, x)
}

func (c waitConfig) wait(s *waitState, o *check.Out[waitState]) {
	x := *s
	q := &x.w
	label := ""
	// after is what follows a look at the condition in state pc.
	after := func(pc uint8, ready bool) {
		switch {
		case ready && pc == waitFirst:
			q.pc, q.seen = waitFirst, q.seen+1
			if q.seen == c.values {
				q.pc = waitDone
			}
		case ready:
			q.pc = waitRetract
		case pc == waitFirst, pc == waitAwake:
			q.pc = waitAnnounce
		case pc == waitLast:
			q.pc = waitSleep
		}
		q.ret = 0
	}
	switch q.pc {
	case waitFirst, waitLast, waitAwake:
		if q.pc == waitFirst { // between two waits it may offer to fence for both
			y := *s
			y.word |= waitRelaxed
			o.Go("Relax", y)
		}
		if !c.room {
			label = "ready?"
			after(q.pc, s.value > q.seen)
			break
		}
		if label = "ready? the published position"; s.lazy > q.seen {
			after(q.pc, true)
		} else {
			q.ret, q.pc = q.pc, waitFlag
		}
	case waitFlag:
		if label = "ready? the flag is up"; s.word&waitSleeps != 0 {
			q.pc = waitExact
		} else {
			label = "ready? the flag is down"
			after(q.ret, false)
		}
	case waitExact:
		label = "ready? the exact position"
		after(q.ret, s.value > q.seen)
	case waitAnnounce:
		label = "announce: the wait word = SLEEPS"
		q.pc = waitLast
		if s.word&waitRelaxed != 0 && c.mutant != waitNoHeavy {
			q.pc = waitHeavy
		}
		x.word = waitSleeps
		if c.mutant == waitNoLast && q.pc == waitLast {
			q.pc = waitSleep
		}
	case waitHeavy:
		label = "announce: membarrier"
		if s.p.registered {
			x.drain()
		}
		if q.pc = waitLast; c.mutant == waitNoLast {
			q.pc = waitSleep
		}
	case waitSleep:
		switch {
		case s.asleep:
			if !s.timeouts {
				return
			}
			label = "sleep: timed out"
			x.asleep = false
			q.pc = waitAwake
		case q.ret == 1: // woken
			label = "sleep: awake"
			q.pc, q.ret = waitAwake, 0
		case s.word == waitSleeps:
			label = "sleep"
			x.asleep, q.ret = true, 1
		default:
			label = "sleep: the wait word has changed"
			q.pc = waitAwake
		}
	case waitRetract:
		label = "retract: take SLEEPS down"
		x.word &^= waitSleeps
		q.pc, q.seen = waitFirst, q.seen+1
		if q.seen == c.values {
			q.pc = waitDone
		}
	case waitDone:
		return
	}
	o.Go(label, x)
}

func (c waitConfig) fault(s *waitState, p int, o *check.Out[waitState]) {
	if p > 1 || s.left.kills == 0 || c.finished(s, p) {
		return
	}
	x := *s
	x.left.kills--
	if p == 0 {
		x.drain() // what was stored before the death arrives
		next := x.value + 1
		x.p = waitPublisher{next: next}
		x.timeouts = x.timeouts || s.p.pc > waitPlain // it owed somebody a wake-up, maybe
	} else {
		x.asleep = false
		x.w = waitWaiter{seen: s.w.seen}
		// It may have been killed between A2 and A3. Nobody takes its place before its death is proven: no store is on its
		// way for so long.
		x.drain()
	}
	o.Go("killed; a successor", x)
}

func (c waitConfig) show(s *waitState) []string {
	word := [...]string{"0", "SLEEPS", "RELAXED", "SLEEPS|RELAXED"}[s.word]
	buffer := "-"
	if s.buffer {
		buffer = fmt.Sprint(s.pending)
	}
	return []string{"waitword " + word, fmt.Sprintf("value %d", s.value), fmt.Sprintf("published %d", s.lazy), "buffer " + buffer,
		fmt.Sprintf("asleep %v", s.asleep), fmt.Sprintf("registered %v", s.p.registered), fmt.Sprintf("seen %d", s.w.seen)}
}

func (c waitConfig) model() *check.Model[waitState] {
	m := &check.Model[waitState]{Procs: []string{"publisher", "waiter", "processor"}, Step: c.step, Fault: c.fault, Show: c.show, Bound: 400,
		Finished: func(s *waitState, p int) bool { return c.finished(s, p) },
		Alone:    func(s *waitState) []uint32 { return []uint32{7} },
	}
	m.Init.p.next = 1
	m.Init.left = faults{kills: c.kills}
	return m
}

func waitCases() []Case {
	var all []Case
	add := func(c waitConfig) {
		all = append(all, Case{Model: "wait", Config: c.String(), Mutant: c.mutant, explore: func() check.Result { return check.Explore(c.model()) }})
	}
	for _, room := range []bool{false, true} {
		add(waitConfig{room: room, values: 5})
		add(waitConfig{room: room, values: 5, kills: 3})
	}
	for _, m := range []string{waitFlagFirst, waitNoAgain, waitNoHeavy, waitNoLast, waitAnyPlain, waitUnregister} {
		add(waitConfig{values: 3, mutant: m})
	}
	for _, m := range []string{waitNoFence, waitWakeFirst} {
		add(waitConfig{room: true, values: 3, mutant: m})
	}
	return all
}
