package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync/atomic"

	"github.com/tandem-ipc/tandem/codec"
	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/layout"
)

// An Object is one shared object as this process holds it: a header in a slab of headers, and a block of data. It is what
// other packages of Tandem are built of.
//
// Who holds an object is a set of members (or two sets, for something with two ends). A process joins a set by opening a
// Handle and leaves it by Close; the object is freed when all its sets are over.
type Object struct {
	s     *space
	ref   Ref
	seq   uint32
	entry *layout.Entry
	kind  int
	set   int

	closed atomic.Bool

	Header []byte // the whole header; package layout says what it is
	Data   []byte // its block of data
	Type   codec.Type
}

// A Spec describes an object to be made.
type Spec struct {
	Kind   int
	Header int64 // bytes
	Sets   int
	Data   int64 // bytes of its data block; 0 for none
	Type   codec.Type
	Flags  uint32

	// Init fills the header behind the sets, and the data, before anyone else can see them.
	Init func(o *Object)
}

// NewObject makes an object. This process holds all its sets: the first by the result, the others by what At returns.
func (sp *Space) NewObject(spec Spec) (*Object, error) {
	s, err := sp.enter()
	if err != nil {
		return nil, err
	}
	o, err := s.newObject(spec)
	if err != nil {
		return nil, errors.Join(err, s.release())
	}
	return o, nil // holds the reference that enter took
}

func (s *space) newObject(spec Spec) (*Object, error) {
	class, ok := objectClass(spec.Header)
	if !ok {
		return nil, fmt.Errorf("shm: a header of %d bytes is too large: %w", spec.Header, ErrNoSpace)
	}
	if n := classSets(class); spec.Sets != n {
		return nil, fmt.Errorf("shm: an object with %d sets, its header of %d bytes is of a class with %d: %w", spec.Sets, spec.Header, n, fs.ErrInvalid)
	}
	b, err := s.allocSmall(class)
	if err != nil {
		return nil, err
	}
	h := view[layout.Object](b.Bytes, 0)
	h.Kind, h.Sets, h.Flags = uint32(spec.Kind), uint32(spec.Sets), spec.Flags
	h.TypeHash, h.TypeSize = spec.Type.Hash, uint64(spec.Type.Size)
	h.TypeName = [len(h.TypeName)]byte{}
	h.TypeLen = uint32(copy(h.TypeName[:], spec.Type.Name))
	h.Data, h.DataSize = 0, 0
	o := &Object{s: s, ref: b.Ref, seq: b.seq, entry: b.entry, kind: spec.Kind, Header: b.Bytes, Type: spec.Type}
	clear(b.Bytes[layout.SizeObject+spec.Sets*layout.SizeSet:])
	for i := range spec.Sets {
		resetSet(o.Set(i), s.self, b.seq)
	}
	var data Block
	if spec.Data > 0 {
		if data, err = s.alloc(spec.Data); err != nil {
			s.discard(b)
			return nil, err
		}
		h.Data, h.DataSize = uint64(data.Ref), uint64(spec.Data)
		o.Data = data.Bytes[:spec.Data:spec.Data]
	}
	if spec.Init != nil {
		spec.Init(o)
	}
	if bit := uint64(1) << spec.Kind; s.root.Kinds.Load()&bit == 0 {
		s.root.Kinds.Or(bit)
	}
	owned := layout.MakeWord(layout.Owned, s.self, b.seq)
	// Published, but known to nobody before NewObject returns. The data follows: until then it is ours and returns with us,
	// as does the object, whose only holder we are.
	b.entry.Word.CompareAndSwap(uint64(owned), uint64(owned.To(layout.Shared, 0)))
	if !data.IsZero() {
		s.handOver(data, b.Ref)
	}
	s.holding.Lock()
	for i := range spec.Sets {
		s.holds[LocalKey{o.ref, o.seq, i}]++
	}
	s.holding.Unlock()
	return o, nil
}

// handOver makes a block of ours a part of what lies at owner.
func (s *space) handOver(b Block, owner Ref) {
	b.entry.Aux.Store(uint64(owner))
	owned := layout.MakeWord(layout.Owned, s.self, b.seq)
	b.entry.Word.CompareAndSwap(uint64(owned), uint64(owned.To(layout.Part, 0)))
}

// discard gives a block of ours back that nobody else has seen.
func (s *space) discard(b Block) {
	if f, err := s.find(b.Ref); err == nil {
		f.free(layout.MakeWord(layout.Owned, s.self, b.seq))
	}
}

// openObject joins a set of the object that a Handle names.
func (s *space) openObject(h Handle) (*Object, error) {
	f, err := s.find(h.Ref)
	if err != nil {
		return nil, err
	}
	same := func() bool { return isShared(f.entry, h.Seq) }
	if !f.header || !same() {
		return nil, ErrGone
	}
	// The memory may become another object at any instant until we hold this one; it stays a header for ever, so looking
	// at it, and adding ourselves to a set under our old seq, harms nobody.
	k := view[layout.Object](f.bytes, 0)
	kind, sets := int(k.Kind), int(k.Sets)
	typ := codec.Type{Hash: k.TypeHash, Size: int64(k.TypeSize), Name: cString(k.TypeName[:min(int(k.TypeLen), len(k.TypeName))])}
	dataRef, dataSize := Ref(k.Data), int64(k.DataSize)
	switch {
	case !same():
		return nil, ErrGone
	case kind != h.Kind:
		return nil, fmt.Errorf("%w: %d, not %d", ErrKind, kind, h.Kind)
	case sets < 1 || layout.SizeObject+sets*layout.SizeSet > len(f.bytes) || h.Set < 0 || h.Set >= sets:
		return nil, fmt.Errorf("object with %d sets, set %d wanted: %w", sets, h.Set, ErrCorrupt)
	}
	o := &Object{s: s, ref: h.Ref, seq: h.Seq, entry: f.entry, kind: kind, set: h.Set, Header: f.bytes, Type: typ}
	if err := o.join(); err != nil {
		return nil, err
	}
	// We hold it: it stays.
	if dataSize > 0 {
		d, err := s.find(dataRef)
		if err == nil && (dataSize > int64(len(d.bytes))) {
			err = fmt.Errorf("object with %d bytes of data in a block of %d: %w", dataSize, len(d.bytes), ErrCorrupt)
		}
		if err != nil {
			return nil, errors.Join(err, o.leave(left))
		}
		o.Data = d.bytes[:dataSize:dataSize]
	}
	return o, nil
}

// Set is hold set i.
func (o *Object) Set(i int) *layout.Set {
	return view[layout.Set](o.Header, int64(layout.SizeObject+i*layout.SizeSet))
}

// At is another set of an object that this process has just made: the other end of a connection. It is closed on its own.
func (o *Object) At(set int) *Object {
	o.s.retain()
	return &Object{s: o.s, ref: o.ref, seq: o.seq, entry: o.entry, kind: o.kind, set: set, Header: o.Header, Data: o.Data, Type: o.Type}
}

// Handle names the object and the set that this process holds. It touches no shared memory: it works after Close, too.
func (o *Object) Handle() Handle {
	return Handle{file: o.s.file(), Nonce: o.s.nonce, Ref: o.ref, Seq: o.seq, Kind: o.kind, Set: o.set}
}

// Self is this process as a member.
func (o *Object) Self() Member { return o.s.self }

// Space names the Space, for messages.
func (o *Object) Space() string { return o.s.String() }

// Close leaves the set; it is idempotent. The object is freed with the last one who leaves its last set. The caller has
// made sure that nobody in this process uses Header or Data any more.
func (o *Object) Close() error { return o.close(left) }

// GiveUp is Close for who has passed its hold on: it has no say in how the set ends, even if it leaves last because the one
// that took the hold died meanwhile.
func (o *Object) GiveUp() error { return o.close(passedOn) }

func (o *Object) close(how departure) error {
	if o.closed.Swap(true) {
		return nil
	}
	return errors.Join(o.leave(how), o.s.release())
}

// join makes this process a holder, if the object still is the one that was meant.
func (o *Object) join() error {
	key := LocalKey{o.ref, o.seq, o.set}
	o.s.holding.Lock()
	defer o.s.holding.Unlock()
	if o.s.holds[key] == 0 {
		if err := joinSet(o.Set(o.set), o.s.self, o.seq); err != nil {
			return err
		}
		if !o.same() {
			clearWord(o.Set(o.set), layout.HoldWord(o.s.self, o.seq))
			return ErrGone
		}
	}
	o.s.holds[key]++
	return nil
}

func (o *Object) leave(how departure) error {
	key := LocalKey{o.ref, o.seq, o.set}
	o.s.holding.Lock()
	defer o.s.holding.Unlock()
	if o.s.holds[key]--; o.s.holds[key] > 0 {
		return nil
	}
	delete(o.s.holds, key)
	// Who died before we leave shall not count as leaving after us: the last one decides what the other side is told.
	var err error
	for _, m := range o.Holders(o.set) {
		if m != o.s.self && o.s.Dead(m) {
			err = errors.Join(err, o.s.settle(m))
		}
	}
	if leaveSet(o.Set(o.set), o.s.self, o.seq, how, o.same, o.s.bound(o.ref, o.seq, o.set)) {
		err = errors.Join(err, o.s.rouse(o.ref, o.entry, o.seq, o.Header))
		err = errors.Join(err, o.s.freeIfOver(o.ref, o.entry, o.Header))
	}
	return err
}

// same tells whether the place still holds this object. Who holds it need not ask.
func (o *Object) same() bool { return isShared(o.entry, o.seq) }

func isShared(e *layout.Entry, seq uint32) bool {
	w := layout.Word(e.Word.Load())
	return w.State() == layout.Shared && w.Seq() == seq
}

// freeIfOver frees an object whose sets are all over, or helps whoever has begun to.
func (s *space) freeIfOver(r Ref, e *layout.Entry, header []byte) error {
	for {
		w := layout.Word(e.Word.Load())
		switch w.State() {
		case layout.Shared:
		case layout.Freeing:
			return s.finishFree(r, e, int64(len(header)), w)
		default:
			return nil
		}
		over, err := s.isOver(r, e, w, header)
		if err != nil || !over {
			return err
		}
		// Over is over: nobody can join any more. If this fails, another one was faster: help it.
		e.Word.CompareAndSwap(uint64(w), uint64(w.To(layout.Freeing, s.self)))
	}
}

// isOver tells whether all sets of an object are over, whose entry said w.
func (s *space) isOver(r Ref, e *layout.Entry, w layout.Word, header []byte) (bool, error) {
	sets := int(view[layout.Object](header, 0).Sets)
	if sets < 1 || layout.SizeObject+sets*layout.SizeSet > len(header) {
		if e.Word.Load() != uint64(w) {
			return false, nil // it has become another object while we looked
		}
		return false, fmt.Errorf("object %v of %v with %d sets: %w", r, s, sets, ErrCorrupt)
	}
	for i := range sets {
		set := view[layout.Set](header, int64(layout.SizeObject+i*layout.SizeSet))
		if layout.SetState(set.State.Load()).Phase() == layout.SetOpen {
			return false, nil
		}
	}
	return true, nil
}

// finishFree frees the parts of an object whose entry says freeing, then the object. Many may do it at once, and everyone
// who meets it does, whoever began it: he may be dead, or stopped for good. A part is taken only while the entry still says
// so, for afterwards the place may belong to another object, with parts of its own. Who is about to wake the last waiters
// touches the parts, and says so in a hazard word before it looks at the entry: we look at those words after it says freeing,
// and leave the rest to whom we find there; should it be killed, to whoever settles it.
func (s *space) finishFree(r Ref, e *layout.Entry, size int64, freeing layout.Word) error {
	if s.guarded(r) {
		return nil
	}
	end := layout.MakeRef(r.Segment(), r.Offset()+size)
	err := s.blocks(func(f found, w layout.Word) error {
		if w.State() != layout.Part && w.State() != layout.Freeing || f.header {
			return nil
		}
		if owner := Ref(f.entry.Aux.Load()); owner < r || owner >= end || e.Word.Load() != uint64(freeing) {
			return nil
		}
		s.freePart(f, w)
		return nil
	})
	if err != nil {
		return err
	}
	e.Word.CompareAndSwap(uint64(freeing), uint64(freeing.Freed()))
	return nil
}

// freePart frees a part whose word is w, or helps whoever has begun to.
func (s *space) freePart(f found, w layout.Word) {
	if w.State() == layout.Part {
		freeing := w.To(layout.Freeing, s.self)
		if !f.entry.Word.CompareAndSwap(uint64(w), uint64(freeing)) {
			// Another one was faster, and may be stopped now.
			freeing = layout.Word(f.entry.Word.Load())
			if freeing.State() != layout.Freeing || freeing.Seq() != w.Seq() {
				return
			}
		}
		w = freeing
	}
	f.free(w)
}

// blocks calls f for every block of the heap that is not free, with the word that it had.
func (s *space) blocks(f func(found, layout.Word) error) error {
	return s.segments(func(g *segment) error {
		for i := 0; i < g.units; {
			w := layout.Word(g.entries[i].Word.Load())
			switch w.State() {
			case layout.Free, layout.Holed, layout.Cont:
				i++
				continue
			case layout.Slab:
				b, err := s.slabAt(g, i)
				if err != nil {
					return err
				}
				for k := range b.entries {
					if w := layout.Word(b.entries[k].Word.Load()); w.State() != layout.Free {
						if err := f(b.found(k), w); err != nil {
							return err
						}
					}
				}
			default:
				at, n := g.unit(i), g.length(i)
				if err := f(found{g: g, entry: &g.entries[i], unit: i, bytes: g.mem[at:g.unit(i+n):g.unit(i+n)]}, w); err != nil {
					return err
				}
			}
			i++
		}
		return nil
	})
}

// objects calls f for every object header that is not free: it may still be OWNED, and half-made.
func (s *space) objects(f func(r Ref, e *layout.Entry, w layout.Word, header []byte) error) error {
	return s.segments(func(g *segment) error {
		for i := range g.units {
			w := layout.Word(g.entries[i].Word.Load())
			if w.State() != layout.Slab || w.A() < layout.ClassObject {
				continue
			}
			b, err := s.slabAt(g, i)
			if err != nil {
				return err
			}
			for k := range b.entries {
				w := layout.Word(b.entries[k].Word.Load())
				if w.State() == layout.Free {
					continue
				}
				if err := f(layout.MakeRef(g.index, b.at(k)), &b.entries[k], w, b.bytes(k)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// rouse wakes everyone who may sleep on an object, because one of its sets is over, for who has just left it, or holds another
// one. It may be freed at any instant, or have been: a word of ours in our slot page keeps its memory, as finishFree says.
func (s *space) rouse(ref Ref, e *layout.Entry, seq uint32, header []byte) error {
	s.rousing.Lock() // there is one such word
	hazard := &s.page.Hazard[layout.HazardRouse]
	hazard.Store(uint64(ref))
	if isShared(e, seq) { // else all sets are over: nobody sleeps any more
		s.waitWords(ref, header, futex.RouseAll)
	}
	hazard.Store(0)
	s.rousing.Unlock()
	// Who has begun to free it meanwhile may have seen our word, and left the rest to us.
	if w := layout.Word(e.Word.Load()); w.State() == layout.Freeing {
		return s.finishFree(ref, e, int64(len(header)), w)
	}
	return nil
}

// rouseFor is rouse for who never held the object: he may be stopped here for ever and must not keep its memory. So he changes
// none of it, as it may be somebody else's by now. Who is just falling asleep is missed, and looks for himself.
func (s *space) rouseFor(ref Ref, header []byte) {
	s.waitWords(ref, header, func(w *atomic.Uint32, lot futex.Lot) {
		_, _ = futex.Wake(w, math.MaxInt32) // the kernel looks at the address only
		lot.Ring()
	})
}

// guarded tells whether a living member keeps the memory of the object at ref.
func (s *space) guarded(ref Ref) bool {
	for slot := 1; slot <= layout.Slots; slot++ {
		if s.slot(slot).State() == layout.SlotLive && s.pageOf(slot).Hazard[layout.HazardRouse].Load() == uint64(ref) {
			return true
		}
	}
	return false
}

// waitWords calls wake for every word that waiters of an object sleep on.
func (s *space) waitWords(ref Ref, header []byte, wake func(*atomic.Uint32, futex.Lot)) {
	h := view[layout.Object](header, 0)
	switch h.Kind {
	case layout.KindConn:
		if len(header) < layout.SizeConn {
			return
		}
		f, err := s.find(Ref(h.Data))
		if err != nil {
			return
		}
		c := view[layout.Conn](header, 0)
		for i := range c.Lane {
			at := c.Lane[i].Ring
			if at%layout.Line != 0 || at > uint64(len(f.bytes)) || uint64(len(f.bytes))-at < layout.SizeRing {
				continue // not in use, or damaged
			}
			r := view[layout.Ring](f.bytes, int64(at))
			wake(&r.RWait, s.lot(ref, header, laneOffset(i)+layout.LaneConsumer))
			wake(&r.WWait, s.lot(ref, header, laneOffset(i)+layout.LaneProducer))
		}
	case layout.KindProcess:
		if len(header) >= layout.SizeProcess {
			wake(&view[layout.Process](header, 0).Wait, s.lot(ref, header, layout.ProcessParent))
		}
	}
}
