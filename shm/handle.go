package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// A Handle names a shared object so that it can travel: in arguments, through connections, in the environment, on a
// command line. It is not a hold: somebody must hold the object while the Handle is on its way, or it leads to ErrGone.
//
// Its text form is tandem:<space>:<nonce>:<ref>:<seq>:<kind>:<set>.
type Handle struct {
	file  string // of the root when the Handle was made: n.<name>, or p.<nonce>
	Nonce uint64 // of the Space
	Ref   Ref
	Seq   uint32 // of the object's entry: another object at the same place has another one
	Kind  int
	Set   int // which of its hold sets: for a connection, which end
}

// file is the root's file name without the common prefix.
func (s *space) file() string {
	if s.name == "" {
		return "p." + nonceText(s.nonce)
	}
	return "n." + s.name
}

// String is the text form.
func (h Handle) String() string {
	return fmt.Sprintf("tandem:%s:%s:%x:%x:%d:%d", h.file, nonceText(h.Nonce), uint64(h.Ref), h.Seq, h.Kind, h.Set)
}

// MarshalText returns the text form.
func (h Handle) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the text form.
func (h *Handle) UnmarshalText(text []byte) error {
	bad := func() error { return fmt.Errorf("shm: %q is no handle: %w", text, fs.ErrInvalid) }
	part := strings.Split(string(text), ":")
	if len(part) != 7 || part[0] != "tandem" {
		return bad()
	}
	var n [5]uint64
	for i, p := range part[2:] {
		base := 16
		if i >= 3 {
			base = 10
		}
		var err error
		if n[i], err = strconv.ParseUint(p, base, 64); err != nil {
			return bad()
		}
	}
	got := Handle{file: part[1], Nonce: n[0], Ref: Ref(n[1]), Seq: uint32(n[2]), Kind: int(n[3]), Set: int(n[4])}
	if !got.plausible() || n[2]>>30 != 0 || n[3] >= layout.Kinds || n[4] > 255 {
		return bad()
	}
	*h = got
	return nil
}

func (h Handle) plausible() bool {
	kind, rest := fileKind(prefix() + h.file)
	switch kind {
	case "n":
		return CheckName(rest) == nil && h.Nonce != 0
	case "p":
		n, ok := nonceOf(rest)
		return ok && n == h.Nonce && h.Nonce != 0
	}
	return false
}

// AppendBinary appends the binary form.
func (h Handle) AppendBinary(b []byte) ([]byte, error) {
	if !h.plausible() {
		return b, fmt.Errorf("shm: encode a Handle that names nothing: %w", fs.ErrInvalid)
	}
	b = binary.LittleEndian.AppendUint64(b, h.Nonce)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Ref))
	b = binary.LittleEndian.AppendUint32(b, h.Seq)
	b = append(b, byte(h.Kind), byte(h.Set))
	return append(b, h.file...), nil
}

// MarshalBinary returns the binary form.
func (h Handle) MarshalBinary() ([]byte, error) { return h.AppendBinary(nil) }

// UnmarshalBinary reads the binary form.
func (h *Handle) UnmarshalBinary(b []byte) error {
	const fixed = 22
	if len(b) < fixed {
		return fmt.Errorf("shm: %d bytes are no handle: %w", len(b), fs.ErrInvalid)
	}
	got := Handle{
		Nonce: binary.LittleEndian.Uint64(b), Ref: Ref(binary.LittleEndian.Uint64(b[8:])),
		Seq: binary.LittleEndian.Uint32(b[16:]), Kind: int(b[20]), Set: int(b[21]), file: string(b[fixed:]),
	}
	if !got.plausible() || got.Seq>>30 != 0 || got.Kind >= layout.Kinds {
		return fmt.Errorf("shm: %x is no handle: %w", b, fs.ErrInvalid)
	}
	*h = got
	return nil
}

// Open joins the object that h names, attaching to its Space if need be, and checks that it is of kind.
func (h Handle) Open(kind int) (*Object, error) {
	fail := func(err error) (*Object, error) { return nil, fmt.Errorf("shm: open %v: %w", h, err) }
	if h.Kind != kind {
		return fail(ErrKind)
	}
	s, err := h.attach()
	if err != nil {
		return fail(err)
	}
	o, err := s.openObject(h)
	if err != nil {
		return fail(errors.Join(err, s.release()))
	}
	return o, nil
}

// attach attaches to the Space of h; the result is retained.
func (h Handle) attach() (*space, error) {
	if err := firstUse(); err != nil {
		return nil, err
	}
	if s := attachedTo(h.Nonce); s != nil {
		return s, nil
	}
	// The Space may have given up its name since.
	for _, file := range []string{prefix() + h.file, privateFile(h.Nonce)} {
		sp, err := open(directory(), file, "", options{attach: true})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if sp.s.nonce == h.Nonce {
			return sp.disown(), nil
		}
		if err := sp.Close(); err != nil { // another Space of the same name
			return nil, err
		}
	}
	return nil, ErrGone
}

func attachedTo(nonce uint64) *space {
	attached.mu.Lock()
	defer attached.mu.Unlock()
	for _, s := range attached.by {
		if s.nonce == nonce {
			s.retain()
			return s
		}
	}
	return nil
}

// A LocalKey identifies what a process holds: an object and which of its sets.
type LocalKey struct {
	Ref Ref
	Seq uint32
	Set int
}

// Local is what a package keeps per held set, so that opening the same Handle twice leads to the same thing.
type Local interface {
	Close() error
	// Pass is called when the hold travels to a child. It stays until arrived is called, even if it is closed here meanwhile;
	// unless keep is set it cannot be passed again on the way. An error if it cannot be passed.
	Pass(keep bool) (arrived func(), err error)
	// GiveUp is called when a child has taken the hold: like Close, but it is not the end for the other side.
	GiveUp() error
}

func (h Handle) key() LocalKey { return LocalKey{h.Ref, h.Seq, h.Set} }

// Local returns what this process keeps under h, or nil.
func (h Handle) Local() Local {
	s := attachedTo(h.Nonce)
	if s == nil {
		return nil
	}
	defer s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locals[h.key()]
}

// Keep makes l what this process keeps for the object. If there is something already, that is returned instead.
func (o *Object) Keep(l Local) Local {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	key := LocalKey{o.ref, o.seq, o.set}
	if have := o.s.locals[key]; have != nil {
		return have
	}
	o.s.locals[key] = l
	return l
}

// Forget undoes Keep.
func (o *Object) Forget() {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	delete(o.s.locals, LocalKey{o.ref, o.seq, o.set})
}

// everything lists what this process has open in a Space.
func (s *space) everything() (locals []Local, opens []*Space) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.locals {
		locals = append(locals, l)
	}
	for sp := range s.opens {
		opens = append(opens, sp)
	}
	return locals, opens
}

// A gathering collects Handles while it is on.
type gathering struct {
	one  sync.Mutex // who gathers
	mu   sync.Mutex
	on   bool
	list []Handle
}

func (g *gathering) during(f func() error) ([]Handle, error) {
	g.one.Lock()
	defer g.one.Unlock()
	g.mu.Lock()
	g.on, g.list = true, nil
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.on = false
		g.mu.Unlock()
	}()
	err := f()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.list, err
}

func (g *gathering) add(h Handle) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.on {
		g.list = append(g.list, h)
	}
}

var opening, passing gathering

// Collect runs f and returns the Handles that were opened meanwhile by unmarshalling: in a child, that came with its
// arguments. Only what shared objects report with Transferred counts.
func Collect(f func() error) ([]Handle, error) { return opening.during(f) }

// Transferred is called by a shared object that was opened from its encoded form.
func Transferred(h Handle) { opening.add(h) }

// CollectPassed runs f, which encodes something, and returns the Handles that are in it: of those that shared objects have
// reported with Passed, as others may do at the same time.
func CollectPassed(f func() ([]byte, error)) (encoded []byte, passed []Handle, err error) {
	list, err := passing.during(func() (err error) {
		encoded, err = f()
		return err
	})
	for _, h := range list {
		if b, herr := h.MarshalBinary(); herr == nil && bytes.Contains(encoded, b) && !slices.Contains(passed, h) {
			passed = append(passed, h)
		}
	}
	return encoded, passed, err
}

// Passed is called by a shared object that is being encoded in binary form.
func Passed(h Handle) { passing.add(h) }
