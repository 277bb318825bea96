package shm

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/internal/layout"
)

// A poller sleeps for this process: one goroutine per attachment, asleep on {our doorbell, the Space's deaths, life words}
// of the neighbours and of those whom our waiters need. The doorbell makes it wake parked goroutines. A hint of a death makes
// it ask for proof; proof makes it settle.
//
// Its sleep has no short deadline, because a return from the kernel every second would wake half of Go's runtime. An alarm
// makes it look when nobody has told us anything (see looks).
type poller struct {
	s    *space
	off  bool // there is none: its process looks only where it waits
	over atomic.Bool
	done chan struct{}

	lots  lots
	slept struct{ bell, deaths atomic.Uint32 } // the values that it slept on last

	mu        sync.Mutex
	wanted    map[Member]int // who our waiters need, and how many of them
	burying   map[Member]bool
	observers map[int]func(*MemberDied)
	next      int           // number of the next observer
	lookAt    time.Duration // when to look at the others, and
	lookWait  time.Duration // how long after the last time that is
	news      []*MemberDied // that the observers have not been told of
	telling   bool          // somebody is at it

	giver         giver       // of whoever has giving
	giving        atomic.Bool // somebody looks for idle memory
	freedByOthers atomic.Bool // a member has gone, which may have freed much, and we are the next behind it

	buriers sync.WaitGroup // whoever works for us beside run
}

const mostLives = 120 // of the 128 words that the kernel takes

func startPoller(s *space) *poller {
	p := &poller{s: s, done: make(chan struct{}), wanted: map[Member]int{}, burying: map[Member]bool{},
		observers: map[int]func(*MemberDied){}, lookWait: firstLook} // it may be looked at before it says when
	if p.off = feature.Poller.Off(); p.off {
		close(p.done)
		return p
	}
	p.lots.next.Store(math.MaxInt64)
	startLooking(p)
	go p.run()
	return p
}

// stop ends the poller and waits for it; nobody touches the memory on its behalf afterwards.
func (p *poller) stop() {
	p.over.Store(true)
	if !p.off {
		stopLooking(p)
	}
	p.s.ring(p.s.self)
	<-p.done
	p.buriers.Wait()
}

// watched is a member and the life word of it that we sleep on.
type watched struct {
	m     Member
	word  *atomic.Uint32
	value uint32
}

func (p *poller) run() {
	defer close(p.done)
	deaths := p.s.root.Deaths.Load()
	seen := p.snapshot()
	for {
		bell := p.s.page.Doorbell.Load()
		p.answer()
		if d := p.s.root.Deaths.Load(); d != deaths {
			deaths = d
			before := seen
			seen = p.tell(before)
			if inherits(p.s.self, before, seen) {
				p.freedByOthers.Store(true)
			}
			p.lookSoon()
			p.lots.lookForAllSoon()
		}
		watch := p.watch()
		words := make([]futex.Word, 0, 2+len(watch))
		words = append(words, futex.Word{Word: &p.s.page.Doorbell, Value: bell}, futex.Word{Word: &p.s.root.Deaths, Value: deaths})
		for _, w := range watch {
			if w.value&ownerDied != 0 {
				p.bury(w.m)
				continue
			}
			words = append(words, futex.Word{Word: w.word, Value: w.value})
		}
		if p.over.Load() {
			return
		}
		p.slept.bell.Store(bell)
		p.slept.deaths.Store(deaths)
		// Pairs with ring, which adds one to the bell and then looks whether we sleep: it sees that we do, or the kernel sees
		// another bell.
		p.s.page.Sleeping.Store(1)
		_, err := futex.WaitAnyLong(words)
		p.s.page.Sleeping.Store(0)
		if err != nil {
			// Nothing but a damaged address list makes the kernel refuse; without notice the timer's looks still come.
			time.Sleep(lastLook)
		}
	}
}

const ownerDied = 1 << 30 // FUTEX_OWNER_DIED

// watch lists whom to watch now: the next live neighbours, each on a word of its own, and who is wanted.
func (p *poller) watch() []watched {
	s := p.s
	list := make([]watched, 0, watchers)
	add := func(m Member, k int) {
		w := s.lifeWord(m.Slot(), k)
		v := w.Load()
		if s.slot(m.Slot()) == layout.MakeSlotWord(layout.SlotLive, m.Gen()) { // the value belongs to this life
			list = append(list, watched{m, w, v})
		}
	}
	for k, m := range s.neighbours(1) {
		add(m, k)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for m := range p.wanted {
		if len(list) == mostLives {
			break // the others are still found by their neighbours
		}
		if !slices.ContainsFunc(list, func(w watched) bool { return w.m == m }) {
			add(m, s.self.Slot()%layout.Lives)
		}
	}
	return list
}

// want makes the poller watch m, because somebody here waits for something that m owes; enough takes it back.
func (p *poller) want(m Member) {
	p.mu.Lock()
	p.wanted[m]++
	first := p.wanted[m] == 1
	p.mu.Unlock()
	if first {
		p.lookSoon()
		p.s.ring(p.s.self)
	}
}

func (p *poller) enough(m Member) {
	p.mu.Lock()
	if p.wanted[m]--; p.wanted[m] <= 0 {
		delete(p.wanted, m)
	}
	p.mu.Unlock()
}

// bury asks for proof until there is one, then settles m. The proof may come long after the hint: the memory of a large
// process takes time to go, and so does a core dump.
func (p *poller) bury(m Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.burying[m] {
		return
	}
	p.burying[m] = true
	p.buriers.Go(func() {
		defer func() {
			p.mu.Lock()
			delete(p.burying, m)
			p.mu.Unlock()
			p.s.ring(p.s.self) // look again: whom to watch has changed
		}()
		for pause := 100 * time.Microsecond; !p.over.Load(); pause = min(2*pause, 10*time.Millisecond) {
			if p.s.Dead(m) {
				// What cannot be settled now (no descriptors, say) is tried again at the next look.
				_ = p.s.settle(m)
				return
			}
			time.Sleep(pause) // there is no event for the last mapping's end
		}
	})
}

// helpUnfinished settles whoever was proven dead and was not settled to the end: its settler was killed.
func (p *poller) helpUnfinished() {
	for slot := 1; slot <= layout.Slots; slot++ {
		if w := p.s.slot(slot); w.State() == layout.SlotDead {
			p.bury(layout.MakeMember(slot, w.Gen()))
		}
	}
}

// snapshot remembers who is alive.
func (p *poller) snapshot() []layout.SlotWord {
	all := make([]layout.SlotWord, layout.Slots+1)
	for i := range all {
		all[i] = p.s.slot(i)
	}
	return all
}

// tell calls the observers for every member that died since before, and returns the present.
func (p *poller) tell(before []layout.SlotWord) []layout.SlotWord {
	now := p.snapshot()
	for slot := 1; slot <= layout.Slots; slot++ {
		was, is := before[slot], now[slot]
		if is == was || is.State() != layout.SlotClean || !is.Died() {
			continue
		}
		p.announce(p.s.who(layout.MakeMember(slot, is.Gen())))
	}
	return now
}

// inherits tells whether a member has gone since before whose slot is next to ours, or has only such between that have gone,
// too, or have just come. So somebody inherits from each.
func inherits(self Member, before, now []layout.SlotWord) bool {
	for k := 1; k < layout.Slots; k++ {
		slot := (self.Slot()-1+layout.Slots-k)%layout.Slots + 1
		switch was, is := before[slot], now[slot]; {
		case was.State() == layout.SlotClean && is == layout.MakeSlotWord(layout.SlotLive, was.Gen()+1): // it knows less than we
		case was != is:
			return true
		case is.State() == layout.SlotLive:
			return false
		}
	}
	return false
}

// announce lets the observers be called, in a goroutine of their own: they may close what belonged to the dead, and with
// it this Space, which waits for the poller.
func (p *poller) announce(d *MemberDied) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.observers) == 0 {
		return
	}
	p.news = append(p.news, d)
	if !p.telling {
		p.telling = true
		go p.callObservers()
	}
}

func (p *poller) callObservers() {
	for {
		p.mu.Lock()
		if len(p.news) == 0 {
			p.telling = false
			p.mu.Unlock()
			return
		}
		d := p.news[0]
		p.news = p.news[1:]
		call := slices.Collect(maps.Values(p.observers))
		p.mu.Unlock()
		for _, f := range call {
			f(d)
		}
	}
}

// observe adds an observer of deaths.
func (p *poller) observe(f func(*MemberDied)) (stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.next
	p.next++
	p.observers[id] = f
	return func() {
		p.mu.Lock()
		delete(p.observers, id)
		p.mu.Unlock()
	}
}

// OnDeath calls f for every member that dies, by event, once it has been settled; not for members that leave. f is called
// from one goroutine at a time, may close anything, and keeps other observers waiting while it runs; it may be called once
// more while stop returns. Of several members that lived in one slot between two looks only the last is reported.
func (sp *Space) OnDeath(f func(*MemberDied)) (stop func(), err error) {
	s, err := sp.enter()
	if err != nil {
		return nil, err
	}
	defer s.release()
	return s.poll.observe(f), nil
}
