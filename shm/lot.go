package shm

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/layout"
)

// Parked waiters. A goroutine asleep in the kernel costs a thread; parked, it costs what a goroutine does:
//
//	waiter:  enter the table of this process;  raise WaitParked in the wait word;  look once more;  park
//	waker:   change the condition;  take WaitParked down;  mark the place in the dirty set of who waits there (its bit, then
//	         the bit of its word in the summary);  add one to that member's doorbell;  wake its poller, if it sleeps
//	poller:  read the doorbell;  take the bits of the dirty set, wake the goroutines of these places;  say that it sleeps;
//	         sleep while the doorbell is what it was
//
// Who waits at a place is in the word that gives the role of waiting there, so a waker rings one member. Places share bits
// (there are 65,536): a goroutine that is woken for another's place looks, and parks again. A waker that is killed half-way
// leaves the flag down and a waiter that finds out at its next look.

// A Lot is where goroutines of this process park at one place of an object. It implements futex.Lot.
type Lot struct {
	s    *space
	role *atomic.Uint64 // who waits there: a Member
	key  uint32         // of the place
}

// Lot makes the lot of a place in the object. off is where its header names the member whose goroutines wait there; it also
// tells the places of an object apart.
func (o *Object) Lot(off int64) *Lot { return o.s.lot(o.ref, o.Header, off) }

func (s *space) lot(r Ref, header []byte, off int64) *Lot {
	// The number of the place's bit in the dirty set is the same in every process.
	const golden = 0x9e3779b97f4a7c15
	key := (uint64(r) + uint64(off)) * golden >> 32 % layout.DirtyBits
	return &Lot{s: s, role: view[atomic.Uint64](header, off), key: uint32(key)}
}

// Enter implements futex.Lot.
func (l *Lot) Enter(p *futex.Parked) bool { return l.s.poll.enter(l.key, p) }

// Leave implements futex.Lot.
func (l *Lot) Leave(p *futex.Parked) { l.s.poll.exit(p) }

// Ring implements futex.Lot.
func (l *Lot) Ring() { l.s.ringPlace(Member(l.role.Load()), l.key) }

// ringPlace makes the goroutines of m look again that are parked at a place. m comes from shared memory and may be anybody.
func (s *space) ringPlace(m Member, key uint32) {
	if !m.Valid() || s.slot(m.Slot()) != layout.MakeSlotWord(layout.SlotLive, m.Gen()) {
		return
	}
	p := s.pageOf(m.Slot())
	word := key / 64
	// The bit before its word's bit, both before the bell: the poller takes them the other way round.
	p.Dirty[word].Or(1 << (key % 64))
	p.Summary[word/64].Or(1 << (word % 64))
	s.ring(m)
}

// tableSize is the number of chains in the table of parked waiters.
const tableSize = 1024

// lots is the table of a process's parked waiters in one Space, by the keys of their places.
type lots struct {
	count atomic.Int64
	next  atomic.Int64 // a time.Duration: nobody's look is due before
	table atomic.Pointer[[tableSize]chain]
}

type chain struct {
	mu    sync.Mutex
	first *futex.Parked
}

// chainOf is where those of a place are; made, if need be, for the first waiter of all.
func (l *lots) chainOf(key uint32) *chain {
	t := l.table.Load()
	if t == nil {
		l.table.CompareAndSwap(nil, new([tableSize]chain))
		t = l.table.Load()
	}
	return &t[key%tableSize]
}

// A look costs a microsecond or two. Up to these numbers of waiters the first one comes after 20 ms, the later ones once a
// second; for twice as many it takes twice as long, but never more than crowdMost, so that a crowd of ten thousand that waits
// in vain costs one part in a thousand of a CPU. After a death everybody is looked for at once: nearly always hints get lost by
// the death of who gives them. Who is stopped between the flag and the bell delays what he has sent for so long, and only that.
const (
	crowdFirst = 64
	crowdLast  = 512
	crowdMost  = 32 * lastLook
)

// lookWaits are how long to wait for the first look at a waiter, and between looks at last. There are few values, or each look
// would be alone.
func (l *lots) lookWaits() (first, last time.Duration) {
	n := uint64(l.count.Load())
	last = min(lastLook<<min(bits.Len64(n/crowdLast), 16), crowdMost)
	return min(firstLook<<min(bits.Len64(n/crowdFirst), 16), last), last
}

// due notes that there is something to do then.
func (l *lots) due(at time.Duration) {
	for {
		next := l.next.Load()
		if int64(at) >= next || l.next.CompareAndSwap(next, int64(at)) {
			return
		}
	}
}

// enter puts p into the table, and sees to its first look.
func (p *poller) enter(key uint32, w *futex.Parked) bool {
	if p.off {
		return false
	}
	p.lots.count.Add(1)
	first, _ := p.lots.lookWaits()
	due := dueAfter(now(), first)
	w.Note.Key, w.Note.Wait, w.Note.Due = key, first, due
	c := p.lots.chainOf(key)
	c.mu.Lock()
	w.Note.Prev, w.Note.Next = nil, c.first
	if c.first != nil {
		c.first.Note.Prev = w
	}
	c.first = w
	c.mu.Unlock()
	p.lots.due(due)
	lookBy(due)
	return true
}

func (p *poller) exit(w *futex.Parked) {
	c := p.lots.chainOf(w.Note.Key)
	c.mu.Lock()
	prev, next := w.Note.Prev, w.Note.Next
	if prev != nil {
		prev.Note.Next = next
	} else {
		c.first = next
	}
	if next != nil {
		next.Note.Prev = prev
	}
	c.mu.Unlock()
	w.Note.Prev, w.Note.Next = nil, nil
	p.lots.count.Add(-1)
}

// answer takes the bits of our dirty set and wakes the goroutines of these places.
func (p *poller) answer() {
	page := p.s.page
	for i := range page.Summary {
		if page.Summary[i].Load() == 0 {
			continue
		}
		for words := page.Summary[i].Swap(0); words != 0; words &= words - 1 {
			word := 64*i + bits.TrailingZeros64(words)
			for dirty := page.Dirty[word].Swap(0); dirty != 0; dirty &= dirty - 1 {
				p.wakePlace(uint32(64*word + bits.TrailingZeros64(dirty)))
			}
		}
	}
}

func (p *poller) wakePlace(key uint32) {
	if p.lots.table.Load() == nil {
		return // rung for nobody: who waits has entered before he raised the flag
	}
	c := p.lots.chainOf(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := c.first; w != nil; w = w.Note.Next {
		if w.Note.Key == key {
			w.Wake()
		}
	}
}

// lookForParked looks for those parked waiters whose time has come, and returns when the next one's will.
func (p *poller) lookForParked(now time.Duration) (next time.Duration) {
	l := &p.lots
	if next = time.Duration(l.next.Load()); next > now {
		return next
	}
	l.next.Store(math.MaxInt64) // who enters meanwhile lowers it
	next = math.MaxInt64
	_, last := l.lookWaits()
	l.each(func(w *futex.Parked) {
		if w.Note.Due <= now {
			w.Look()
			w.Note.Wait = min(2*w.Note.Wait, last)
			w.Note.Due = dueAfter(now, w.Note.Wait)
		}
		next = min(next, w.Note.Due)
	})
	l.due(next)
	return next
}

// lookForAllSoon makes everybody's next look a first one.
func (l *lots) lookForAllSoon() {
	if l.count.Load() == 0 {
		return
	}
	due := dueAfter(now(), firstLook)
	l.each(func(w *futex.Parked) { w.Note.Wait, w.Note.Due = firstLook, due })
	l.due(due)
	lookBy(due)
}

// each calls f for all waiters, while they can neither come nor go.
func (l *lots) each(f func(*futex.Parked)) {
	t := l.table.Load()
	if t == nil {
		return
	}
	for i := range t {
		c := &t[i]
		c.mu.Lock()
		for w := c.first; w != nil; w = w.Note.Next {
			f(w)
		}
		c.mu.Unlock()
	}
}
