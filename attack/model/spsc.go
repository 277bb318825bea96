package model

import (
	"fmt"

	"github.com/tandem-ipc/tandem/attack/model/check"
)

// The ring: ring/producer.go, ring/consumer.go, ring/record.go; csrc/spsc.c is the same protocol.
//
// A ring of 4 or 8 words. A record is a header {pad?, length, position} and one word of payload, or, with 8 words, one or two,
// which is longer than the code allows for so small a ring, so that there are pads. A producer and a consumer, each with successors when they are
// killed. The payload is written and read word by word. Waiting is only for its condition here; see the wait model.
//
//	Producer  P1 cursor   P2 headers from there on, to the first 0
//	push      P3 head (only if there is no room), and the cursor if that has not moved   full: wait
//	          P4 pad: word 0 = 0, P5 header of the pad   P6 next header = 0   P7 payload   P8 header: the commit
//	batch     P7 and P8 for records 2…k, then P6 for the last one, then P8 for the first
//	Consumer  C1 cursor   C2 head   C3 leased
//	pop       C4 header, 0: empty   C5 payload   C6 cursor: the receipt   C7 head, if it lags by half (the code: an eighth)
//	receive   C4   C8 leased   shown; then C4 and C8 for another one, if there is one; C5   ack: C6, C7
//	          (C8 only beyond what it was at C3: else what the first of three was shown comes to the third without the mark)
//	empty     cursor and head, if they lag, then wait
//
// Checked: what is read was committed, is whole, and is the next one; nothing is lost. What a consumer that is gone was
// shown comes marked to its successor. In the end everything was committed and received: nobody waits for ever.

const (
	ringWords = 8
	ringMost  = 7 // messages
)

const (
	wordZero = iota
	wordHeader
	wordPad
	wordData
)

// ringWord is a header: n words of payload, position at; or a word of payload: message n, part and producer at.
type ringWord struct{ kind, n, at uint8 }

type ringProducer struct {
	pc    uint8
	life  uint8
	pos   uint8
	limit uint8
	head  uint8 // refresh: how far the consumer is
	part  uint8
	burst uint8 // records of the batch that are written
	batch bool
	first uint8 // position of the batch's first record
	msg   uint8 // that it is writing
}

type ringConsumer struct {
	pc        uint8
	pos       uint8
	published uint8
	again     uint8
	leased    uint8 // behind what was received, 0: none
	from      uint8 // of the record that is being read
	n, part   uint8
	msg       uint8
	many      uint8 // received and not acknowledged
	receives  bool
}

type ringState struct {
	mem                  [ringWords]ringWord
	head, cursor, leased uint8
	p                    ringProducer
	c                    ringConsumer
	committed, received  uint8
	by                   [ringMost + 1]uint8 // which producer has committed a message
	shown                uint8               // messages that a consumer that is gone was shown, as bits
	now                  uint8               // messages that this one was shown
	left                 faults
}

const (
	ringTake = iota // the role
	ringWalk
	ringPush
	ringHead
	ringCursor
	ringFull
	ringPad
	ringPadHeader
	ringZero
	ringPayload
	ringHeader
	ringCommit // of a batch
	ringDone
)

const (
	popTake = iota
	popTakeHead
	popTakeLeased
	popNext
	popRead
	popCursor
	popHead
	popEmpty
	popEmptyHead
	popWait
	popShow
	popAnother
	popDone
)

type ringConfig struct {
	words    uint8
	messages uint8
	batches  bool
	kills    uint8
	mutant   string
}

const (
	ringEarly     = "the header is written before the payload"
	ringNoZero    = "the next header is not zeroed"
	ringBatchHead = "a batch's first header is written first"
	ringCursorWas = "the position is stored before the payload is read"
	ringLeaseBack = "receiving can take the mark of what was shown back"
	ringLeaseLate = "a record is shown before it is marked as shown"
	ringFromHead  = "a consumer's successor starts at what was published"
	ringNoRoom    = "no room is kept for the next header"
	ringPadFirst  = "a pad is published before the first header of the next lap is zeroed"
)

func (c ringConfig) String() string {
	s := fmt.Sprintf("%d words, %d messages, kills<=%d", c.words, c.messages, c.kills)
	if c.batches {
		s += ", batches"
	}
	return s
}

// size is the payload of a message in words.
func (c ringConfig) size(msg uint8) uint8 {
	if c.words == 8 && msg%4 == 2 {
		return 2
	}
	return 1
}

func (c ringConfig) finished(s *ringState, p int) bool {
	if p == 0 {
		return s.p.pc == ringDone
	}
	return s.c.pc == popDone
}

func (c ringConfig) step(s *ringState, p int, o *check.Out[ringState]) {
	if p == 0 {
		c.produce(s, o)
	} else {
		c.consume(s, o)
	}
}

// record is what a producer is about to push: where, how long, how far to the end of the lap if it does not fit there, and
// how much room all of it needs.
func (c ringConfig) record(q *ringProducer) (at, rec, pad, need uint8) {
	at, rec = q.pos%c.words, 1+c.size(q.msg)
	if at+rec > c.words {
		pad = c.words - at
	}
	if need = pad + rec + 1; c.mutant == ringNoRoom {
		need--
	}
	return at, rec, pad, need
}

// begin begins the next message, or the next one of a batch: it has room as far as the producer knows, or looks.
func (c ringConfig) begin(q *ringProducer) {
	at, rec, _, need := c.record(q)
	switch q.part = 0; {
	case q.burst > 0 && at+rec > c.words:
		q.pc, q.msg = ringZero, 0 // the batch ends here
	case q.pos+need > q.limit:
		q.pc = ringHead
	default:
		c.room(q)
	}
}

// room is what follows when there is room: the pad, then the record.
func (c ringConfig) room(q *ringProducer) {
	switch _, _, pad, _ := c.record(q); {
	case pad > 0 && c.mutant == ringPadFirst:
		q.pc = ringPadHeader
	case pad > 0:
		q.pc = ringPad
	case q.batch:
		if q.pc = ringPayload; q.burst == 0 {
			q.first = q.pos
		}
	default:
		q.pc = ringZero
	}
}

// refreshed is the end of refresh, which has found how far the consumer is.
func (c ringConfig) refreshed(q *ringProducer) {
	_, _, _, need := c.record(q)
	q.limit, q.head = q.head+c.words, 0
	switch {
	case q.pos+need <= q.limit:
		c.room(q)
	case q.burst > 0:
		q.pc, q.msg = ringZero, 0 // the batch ends here
	default:
		q.pc = ringFull
	}
}

func (c ringConfig) produce(s *ringState, o *check.Out[ringState]) {
	x := *s
	q := &x.p
	label := ""
	at, rec, _, need := c.record(q)
	// pushed is the end of a push.
	pushed := func() {
		*q = ringProducer{pc: ringPush, life: q.life, pos: q.pos, limit: q.limit}
		if x.committed == c.messages {
			q.pc = ringDone
		}
	}
	commit := func(msg uint8) {
		x.committed, x.by[msg] = msg, q.life
	}
	switch q.pc {
	case ringTake:
		label = "Producer: cursor"
		q.pos, q.limit = s.cursor, s.cursor+c.words
		q.pc = ringWalk
	case ringWalk:
		switch w := s.mem[at]; {
		case w.kind == wordZero:
			label = "Producer: the first header that is 0"
			pushed()
		case w.kind == wordPad && w.at == q.pos:
			label = "Producer: a pad"
			q.pos += c.words - at
		case w.kind == wordHeader && w.at == q.pos:
			label = "Producer: a record"
			q.pos += 1 + w.n
		default:
			o.Fail("Producer: header", "a successor finds the ring damaged")
			return
		}
	case ringPush: // the next message, or the next two as a batch; nothing is shared here, so the step goes on
		q.msg = s.committed + 1
		y := x
		c.begin(q)
		c.produce(&x, o)
		if y.p.batch = true; c.batches && s.committed+2 <= c.messages {
			c.begin(&y.p)
			c.produce(&y, o)
		}
		return
	case ringHead:
		label = "refresh: head"
		if q.head = s.head; q.pos+need > q.head+c.words && q.head+c.words <= q.limit {
			q.pc = ringCursor
		} else {
			c.refreshed(q)
		}
	case ringCursor:
		label = "refresh: cursor"
		q.head = max(q.head, s.cursor)
		c.refreshed(q)
	case ringFull:
		if q.pos+need > s.cursor+c.words {
			return // waits
		}
		label = "Wait: there is room"
		q.pc = ringHead
	case ringPad:
		label = "pad: word 0 = 0"
		x.mem[0] = ringWord{}
		if q.pc = ringPadHeader; c.mutant == ringPadFirst {
			c.room(q)
		}
	case ringPadHeader:
		label = "pad: header"
		x.mem[at] = ringWord{wordPad, 0, q.pos}
		q.pos += c.words - at
		if c.mutant == ringPadFirst {
			q.pc = ringPad
		} else {
			c.room(q)
		}
	case ringZero:
		label = "next header = 0"
		if q.batch {
			q.pc = ringCommit
		} else if at, q.pc = (at+rec)%c.words, ringPayload; c.mutant == ringEarly {
			q.pc = ringHeader
		}
		if c.mutant != ringNoZero {
			x.mem[at] = ringWord{}
		}
	case ringPayload:
		label = "payload"
		x.mem[at+1+q.part] = ringWord{wordData, q.msg, q.part | q.life<<4}
		switch q.part++; {
		case q.part < rec-1:
		case c.mutant == ringEarly:
			q.pos += rec
			pushed()
		case q.batch && q.burst == 0 && c.mutant != ringBatchHead: // its header comes last
			q.burst, q.pos, q.msg = 1, q.pos+rec, q.msg+1
			c.begin(q)
		default:
			q.pc = ringHeader
		}
	case ringHeader:
		label = "header"
		x.mem[at] = ringWord{wordHeader, c.size(q.msg), q.pos}
		switch {
		case c.mutant == ringEarly:
			commit(q.msg)
			q.pc = ringPayload
		case !q.batch:
			commit(q.msg)
			q.pos += rec
			pushed()
		case q.burst == 0:
			q.burst, q.pos, q.msg = 1, q.pos+rec, q.msg+1
			c.begin(q)
		default:
			q.burst, q.pos, q.msg, q.pc = 2, q.pos+rec, 0, ringZero
		}
	case ringCommit:
		label = "the first header of the batch"
		x.mem[q.first%c.words] = ringWord{wordHeader, c.size(s.committed + 1), q.first}
		for range q.burst {
			commit(x.committed + 1)
		}
		pushed()
	case ringDone:
		return
	}
	o.Go(label, x)
}

func (c ringConfig) consume(s *ringState, o *check.Out[ringState]) {
	x := *s
	q := &x.c
	label := ""
	pos := q.pos
	if q.leased != 0 {
		pos = q.leased
	}
	at := pos % c.words
	next := func() {
		q.from, q.n, q.part, q.msg, q.many, q.leased, q.receives = 0, 0, 0, 0, 0, 0, false
		if q.pc = popNext; x.received == c.messages {
			q.pc = popDone
		}
	}
	// lag is what follows a receipt.
	lag := func() {
		if q.pos-q.published >= c.words/2 { // an eighth would be nothing here
			q.pc = popHead
		} else {
			next()
		}
	}
	switch q.pc {
	case popTake:
		label = "Consumer: cursor"
		q.pos = s.cursor
		if c.mutant == ringFromHead {
			q.pos = s.head
		}
		q.pc = popTakeHead
	case popTakeHead:
		label = "Consumer: head"
		q.published = s.head
		q.pc = popTakeLeased
	case popTakeLeased:
		label = "Consumer: leased"
		q.again = s.leased
		next()
	case popNext, popAnother:
		w := s.mem[at]
		switch {
		case w.kind == wordZero && q.pc == popAnother:
			label = "receive: there is no other"
			q.pc = popRead
		case w.kind == wordZero:
			label = "next: nothing"
			if q.pc = popWait; q.published != q.pos {
				q.pc = popEmpty
			}
		case w.kind == wordPad && w.at == pos:
			label = "next: a pad"
			if q.leased != 0 {
				q.leased += c.words - at
			} else {
				q.pos += c.words - at
			}
		case w.kind == wordHeader && w.at == pos && q.pc == popAnother:
			label = "receive: another record"
			q.many++
			q.leased = pos + 1 + w.n
			q.pc = popShow
		case w.kind == wordHeader && w.at == pos:
			label = "next: a record"
			q.from, q.n = pos, w.n
			if q.pc = popRead; c.mutant == ringCursorWas {
				q.pc = popCursor
			}
			o.Go(label, x) // pop
			label = "next: a record to receive"
			q.receives, q.many, q.leased = true, 1, pos+1+w.n
			if q.pc = popShow; c.mutant == ringLeaseLate {
				x.now |= 1 << (s.received + 1)
			}
		default:
			o.Fail("next: header", "a consumer finds the ring damaged")
			return
		}
	case popShow:
		label = "receive: leased"
		if q.leased > q.again || c.mutant == ringLeaseBack {
			x.leased = q.leased
		}
		id := s.received + q.many
		redelivered := q.leased-1-c.size(id) < q.again
		if s.shown&(1<<id) != 0 && !redelivered {
			o.Fail(label, "what a consumer that is gone was shown comes again without the mark")
			return
		}
		x.now |= 1 << id
		if q.pc = popAnother; q.many == 2 {
			q.pc = popRead
		}
	case popRead:
		label = "payload"
		w := s.mem[(q.from+1+q.part)%c.words]
		id := s.received + 1 + q.msg
		if c.mutant == ringCursorWas && !q.receives {
			id = s.received
		}
		if id > s.committed {
			o.Fail(label, "a message was received that was not committed")
			return
		}
		if w != (ringWord{wordData, id, q.part | s.by[id]<<4}) {
			o.Fail(label, fmt.Sprintf("message %d was read, and its payload is another's", id))
			return
		}
		switch q.part++; {
		case q.part < q.n:
		case q.receives && q.msg+1 < q.many: // the second one of the lease
			q.from += 1 + q.n
			if w := s.mem[q.from%c.words]; w.kind == wordPad {
				q.from += c.words - q.from%c.words
			}
			q.msg++
			q.part, q.n = 0, c.size(s.received+1+q.msg)
		case c.mutant == ringCursorWas && !q.receives:
			lag()
		default:
			q.pc, q.part = popCursor, 0
		}
	case popCursor:
		label = "pop: cursor"
		if q.receives {
			label = "ack: cursor"
			q.pos = q.leased
			x.received += q.many
		} else {
			q.pos = q.from + 1 + q.n
			x.received++
		}
		x.cursor = q.pos
		if c.mutant == ringCursorWas && !q.receives {
			q.pc = popRead
		} else {
			lag()
		}
	case popHead:
		label = "head"
		x.head = q.pos
		q.published = q.pos
		next()
	case popEmpty:
		label = "empty: cursor"
		x.cursor = q.pos
		q.pc = popEmptyHead
	case popEmptyHead:
		label = "empty: head"
		x.head = q.pos
		q.published = q.pos
		q.pc = popWait
	case popWait:
		if s.mem[at].kind == wordZero {
			return // waits
		}
		label = "Wait: there is a record"
		q.pc = popNext
	case popDone:
		return
	}
	o.Go(label, x)
}

func (c ringConfig) fault(s *ringState, p int, o *check.Out[ringState]) {
	if s.left.kills == 0 || c.finished(s, p) {
		return
	}
	x := *s
	x.left.kills--
	if p == 0 {
		x.p = ringProducer{life: s.p.life + 1}
	} else {
		x.c = ringConsumer{}
		x.shown |= s.now
		x.now = 0
	}
	o.Go("killed; a successor", x)
}

func (c ringConfig) show(s *ringState) []string {
	all := []string{fmt.Sprintf("head %d", s.head), fmt.Sprintf("cursor %d", s.cursor), fmt.Sprintf("leased %d", s.leased),
		fmt.Sprintf("committed %d", s.committed), fmt.Sprintf("received %d", s.received)}
	for i, w := range s.mem[:c.words] {
		text := "0"
		switch w.kind {
		case wordHeader:
			text = fmt.Sprintf("record(%d words at %d)", w.n, w.at)
		case wordPad:
			text = fmt.Sprintf("pad(at %d)", w.at)
		case wordData:
			text = fmt.Sprintf("message %d part %d of producer %d", w.n, w.at&15, w.at>>4)
		}
		all = append(all, fmt.Sprintf("word%d %s", i, text))
	}
	return append(all, fmt.Sprintf("again %d", s.c.again))
}

func (c ringConfig) model() *check.Model[ringState] {
	m := &check.Model[ringState]{Procs: []string{"producer", "consumer"}, Step: c.step, Fault: c.fault, Show: c.show, Bound: 400,
		Finished: func(s *ringState, p int) bool { return c.finished(s, p) },
		Check: func(s *ringState) string {
			if s.received > s.committed {
				return "more was received than committed"
			}
			return ""
		},
		Alone: func(s *ringState) []uint32 { return []uint32{3} },
	}
	m.Init.left = faults{kills: c.kills}
	return m
}

func ringCases() []Case {
	var all []Case
	add := func(c ringConfig, full bool) {
		all = append(all, Case{Model: "spsc", Config: c.String(), Mutant: c.mutant, Full: full,
			explore: func() check.Result { return check.Explore(c.model()) }})
	}
	for _, c := range []ringConfig{
		{words: 4, messages: 6, kills: 2, batches: true},
		{words: 8, messages: 6, batches: true},
		{words: 8, messages: 6, kills: 1, batches: true},
		{words: 8, messages: 5, kills: 2, batches: true},
	} {
		add(c, false)
	}
	add(ringConfig{words: 8, messages: 5, kills: 3, batches: true}, true)
	add(ringConfig{words: 8, messages: 7, kills: 3, batches: true}, true)
	for _, c := range []ringConfig{
		{words: 8, messages: 4, kills: 2, mutant: ringLeaseBack},
		{words: 8, messages: 4, mutant: ringEarly},
		{words: 8, messages: 6, batches: true, kills: 1, mutant: ringNoZero},
		{words: 8, messages: 4, batches: true, mutant: ringBatchHead},
		{words: 8, messages: 5, mutant: ringCursorWas},
		{words: 8, messages: 4, kills: 1, mutant: ringLeaseLate},
		{words: 8, messages: 4, kills: 1, mutant: ringFromHead},
		{words: 8, messages: 5, mutant: ringNoRoom},
		{words: 8, messages: 5, mutant: ringPadFirst},
	} {
		add(c, false)
	}
	return all
}
