package storm

import (
	"fmt"
	"maps"
	"slices"
)

// A ledger is the books of one channel: what its senders meant to send and had committed, and what its receivers took, from
// the journals of the living and the dead. A channel's senders, and its receivers, come one after the other: each is started
// when the one before is gone.
type ledger struct {
	sent    map[uint32]sent // by the sender's number
	taken   []taken         // in the order of the receivers' numbers
	drained bool            // the last receiver found the channel empty, with no sender left
}

// sent is one sender: its messages are numbered from 1.
type sent struct{ intended, committed uint64 }

// taken is one receiver. open is how many messages the receive that it died in may have taken without telling.
type taken struct {
	runs []run
	open uint64
}

// run is a stretch of messages of one sender that came one after the other.
type run struct {
	sender      uint32
	marked      bool // Redelivered
	first, last uint64
}

// place is a message's place in the order of its channel.
type place struct {
	sender uint32
	seq    uint64
}

func (p place) before(q place) bool {
	return p.sender < q.sender || p.sender == q.sender && p.seq < q.seq
}

// check tells what is wrong, and how many messages were received, and committed.
//
// Every message that was received was intended, in the order of the senders, without a gap: what is missing between two
// that came is lost. Only a receive that its process was killed in may take messages with it, and no more than it asked
// for. A message comes again only to the next receiver, marked, and only the last one that the one before saw.
func (l *ledger) check() (received, committed uint64, err error) {
	var at place
	var slack uint64
	for _, s := range l.sent {
		committed += s.committed
	}
	for _, t := range l.taken {
		for i, r := range t.runs {
			first := place{r.sender, r.first}
			if s := l.sent[r.sender]; r.first < 1 || r.last < r.first || r.last > s.intended {
				return received, committed, fmt.Errorf("received messages %d to %d of sender %d, which never meant to send more than %d",
					r.first, r.last, r.sender, s.intended)
			}
			received += r.last - r.first + 1
			switch {
			case at.before(first):
				if lost := l.between(at, first); lost > slack {
					return received, committed, fmt.Errorf("%d messages lost between number %d of sender %d and number %d of sender %d; "+
						"receivers that were killed may have taken %d", lost, at.seq, at.sender, first.seq, first.sender, slack)
				}
			case first != at:
				return received, committed, fmt.Errorf("out of order: number %d of sender %d after number %d of sender %d",
					first.seq, first.sender, at.seq, at.sender)
			case i > 0:
				return received, committed, fmt.Errorf("number %d of sender %d came twice to one receiver", first.seq, first.sender)
			case !r.marked:
				return received, committed, fmt.Errorf("number %d of sender %d came again without the Redelivered mark", first.seq, first.sender)
			}
			at, slack = place{r.sender, r.last}, 0
		}
		slack += t.open
	}
	if l.drained {
		end := place{sender: ^uint32(0)}
		if lost := l.between(at, end); lost > slack {
			return received, committed, fmt.Errorf("%d messages lost behind number %d of sender %d, the last that came; "+
				"receivers that were killed may have taken %d", lost, at.seq, at.sender, slack)
		}
	}
	return received, committed, nil
}

// between counts the committed messages behind p and before q. Those of q's own sender were all committed, as q came.
func (l *ledger) between(p, q place) (n uint64) {
	if p.sender == q.sender {
		return q.seq - p.seq - 1
	}
	for _, s := range slices.Sorted(maps.Keys(l.sent)) {
		switch c := l.sent[s].committed; {
		case s == p.sender && c > p.seq:
			n += c - p.seq
		case p.sender < s && s < q.sender:
			n += c
		}
	}
	if q.seq > 0 {
		n += q.seq - 1
	}
	return n
}
