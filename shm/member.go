package shm

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/layout"
)

// watchers is how many neighbours watch a member: as many as it has life words, so that each sleeps on one of its own.
const watchers = layout.Lives

func (s *space) slot(i int) layout.SlotWord { return layout.SlotWord(s.slots[i].Load()) }

// join finds a free slot by the table's word, then lets the kernel decide. The lock makes us its only candidate; until
// the word says LIVE we are nobody, and killed before that we leave nothing but a reserved page.
func (s *space) join(f *os.File) error {
	start := int(s.root.SlotHint.Add(1) % layout.Slots)
	for _, settleDead := range []bool{false, true} {
		for i := range layout.Slots {
			slot := (start+i)%layout.Slots + 1
			w := s.slot(slot)
			if settleDead && w.State() != layout.SlotClean {
				// No slot is clean: look whether a dead one is. Asking the kernel for each costs, so only now.
				if m := layout.MakeMember(slot, w.Gen()); s.Dead(m) {
					if err := s.settle(m); err != nil {
						return err
					}
					w = s.slot(slot)
				}
			}
			if w.State() != layout.SlotClean || w.Gen() >= layout.GenMax {
				continue
			}
			ok, err := tryLock(f, writeLock, layout.LockSlot+int64(slot))
			if err != nil {
				return err
			}
			if !ok {
				continue // someone is attaching there, or has left and still maps the memory, or is being looked at
			}
			if w = s.slot(slot); w.State() == layout.SlotClean && w.Gen() < layout.GenMax {
				if err := reserveSlot(f, slot); err != nil {
					return full(err, s.dir)
				}
				s.takeSlot(slot, w.Gen())
				return nil
			}
			if _, err := tryLock(f, noLock, layout.LockSlot+int64(slot)); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%v has %d members, the most there can be: %w", s, layout.Slots, ErrTooMany)
}

// takeSlot makes us the next member of a slot whose lock we hold and whose last generation was gen.
func (s *space) takeSlot(slot, gen int) {
	s.self = layout.MakeMember(slot, gen+1)
	// What the kernel marked when the last member died says nothing about us.
	for k := range layout.Lives {
		s.lifeWord(slot, k).Store(0)
	}
	p := s.pageOf(slot)
	p.PID.Store(uint32(os.Getpid()))
	p.Started.Store(uint64(time.Now().UnixNano()))
	p.Command = [len(p.Command)]byte{}
	copy(p.Command[:len(p.Command)-1], filepath.Base(os.Args[0]))
	p.Sleeping.Store(0)
	for i := range p.Hazard {
		clear64(&p.Hazard[i])
	}
	for i := range p.Summary {
		clear64(&p.Summary[i])
	}
	for i := range p.Dirty {
		clear64(&p.Dirty[i])
	}
	s.page = p
	s.slots[slot].Store(uint64(layout.MakeSlotWord(layout.SlotLive, gen+1))) // only who holds the lock changes CLEAN
}

// clear64 stores only if there is something to clear.
func clear64(w *atomic.Uint64) {
	if w.Load() != 0 {
		w.Store(0)
	}
}

func (s *space) pageOf(slot int) *layout.Page {
	return view[layout.Page](s.segs[0].Load().mem, pageOf(slot))
}

// lifeWord is life word k of a slot, for watchers.
func (s *space) lifeWord(slot, k int) *atomic.Uint32 {
	return word(s.segs[0].Load().mem, int64(layout.RootLives+slot*layout.LifeStride+k*layout.LifeStep))
}

// announce asks the kernel to mark our life words when we die, and tells the neighbours to watch them. The words come
// last: who reads one has seen our generation.
func (s *space) announce() {
	if l, err := linkLives(s); err == nil {
		s.lives = l
		for k := range layout.Lives {
			s.lifeWord(s.self.Slot(), k).Store(l.value())
		}
	}
	s.tellNeighbours()
}

// tellNeighbours makes those who should watch us look again. A call that gets lost is made up for by their next look.
func (s *space) tellNeighbours() {
	for _, m := range s.neighbours(-1) {
		s.ring(m)
	}
}

// ring makes a member's poller look again. Killed between the two steps, it leaves a poller that finds out at its next look;
// the next one who rings wakes it, too.
func (s *space) ring(m Member) {
	p := s.pageOf(m.Slot())
	p.Doorbell.Add(1)
	if p.Sleeping.Load() != 0 {
		futex.Wake(&p.Doorbell, 1)
	}
}

// neighbours are the nearest live members by slot, after us (step 1) or before us (step -1), the nearest first.
func (s *space) neighbours(step int) []Member {
	found := make([]Member, 0, watchers)
	me := s.self.Slot()
	for slot := me + step; len(found) < watchers; slot += step {
		switch slot {
		case 0:
			slot = layout.Slots
		case layout.Slots + 1:
			slot = 1
		}
		if slot == me {
			return found // once around
		}
		if w := s.slot(slot); w.State() == layout.SlotLive {
			found = append(found, layout.MakeMember(slot, w.Gen()))
		}
	}
	return found
}

// Dead tells whether m is gone for good, as a matter of proof: its generation is over, it has left, or the kernel grants
// a lock that it would hold until after its last instruction. A read lock, so that many may ask at once, and nobody takes
// a member for living because an asker was stopped in the middle.
func (s *space) Dead(m Member) bool {
	if !m.Valid() || m == s.self {
		return !m.Valid()
	}
	if over, ended := s.ended(m); ended {
		return over
	}
	// One asker per process and slot: the lock belongs to the description, which all goroutines share.
	mu := &s.proving[m.Slot()]
	mu.Lock()
	defer mu.Unlock()
	at := layout.LockSlot + int64(m.Slot())
	if granted, err := tryLockNow(s.probe, readLock, at); err != nil || !granted {
		return false
	}
	// While we hold this, nobody becomes a member there. A live member holds its lock from before its word says LIVE.
	live := uint64(layout.MakeSlotWord(layout.SlotLive, m.Gen()))
	s.slots[m.Slot()].CompareAndSwap(live, uint64(layout.MakeSlotWord(layout.SlotDead, m.Gen())))
	tryLockNow(s.probe, noLock, at)
	over, _ := s.ended(m)
	return over
}

// ended tells what the slot word alone says of m; the second result is false where only proof can tell.
func (s *space) ended(m Member) (over, known bool) {
	w := s.slot(m.Slot())
	if w.Gen() != m.Gen() {
		return w.Gen() > m.Gen(), true
	}
	return w.State() != layout.SlotLive, w.State() != layout.SlotLive
}

// who describes m as far as its page still tells.
func (s *space) who(m Member) *MemberDied {
	d := &MemberDied{Member: m}
	if m.Valid() && s.slot(m.Slot()).Gen() == m.Gen() {
		p := s.pageOf(m.Slot())
		d.PID, d.Command = int(p.PID.Load()), cString(p.Command[:])
	}
	return d
}

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
