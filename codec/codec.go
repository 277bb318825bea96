package codec

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/tandem-ipc/tandem/csrc"
)

// ErrMalformed is matched by the error of a Decode whose bytes are no T.
var ErrMalformed = errors.New("malformed")

// An UnsupportedError says why a type cannot travel.
type UnsupportedError struct {
	Type   string // the type asked for, or the one found in an any: "main.Order"
	Path   string // the place in it, empty if it is Type itself: "Order.Items[].note"
	Reason string // "is unexported and would be lost; ..."
}

func (e *UnsupportedError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("codec: %s %s", e.Type, e.Reason)
	}
	what := "field"
	if strings.HasSuffix(e.Path, "]") {
		what = "element"
	}
	return fmt.Sprintf("codec: %s: %s %s %s", e.Type, what, e.Path, e.Reason)
}

// A Type describes a T well enough for another process to refuse a wrong one.
type Type struct {
	Name string // Go name, for messages: "main.Point"
	Hash uint64 // structure: kinds, sizes, field names, order; of types that marshal themselves, the name; never 0
	Size int64  // bytes of a plain T; -1 if T travels encoded
}

// A Codec turns Ts into bytes and back.
type Codec[T any] struct {
	typ  Type
	form form
	t    reflect.Type
	elem int   // of a slice: bytes of an element
	bits []run // of a plain T or a slice's element: where its bools are
	plan *node // of CBOR
	anys bool  // of CBOR: there is an any somewhere
}

// A form is how a T travels.
type form uint8

const (
	memory form = iota // T's bytes
	text               // a string's bytes
	slice              // the bytes of a slice's elements
	self               // T's own methods
	asCBOR
)

var codecs sync.Map // of reflect.Type: *Codec[T]

// For returns the codec of T, or an *[UnsupportedError].
func For[T any]() (*Codec[T], error) {
	t := reflect.TypeFor[T]()
	if c, ok := codecs.Load(t); ok {
		return c.(*Codec[T]), nil
	}
	c := &Codec[T]{t: t}
	if err := c.choose(); err != nil {
		return nil, err
	}
	c.typ = Type{Name: t.String(), Hash: hash(describe(t, c.form)), Size: int64(c.Size())}
	first, _ := codecs.LoadOrStore(t, c)
	return first.(*Codec[T]), nil
}

func (c *Codec[T]) choose() (err error) {
	t, p := c.t, newPlanner(c.t)
	switch {
	case plain(t):
		c.form, c.bits = memory, bools(t)
		return nil
	case binaryPair.in(t):
		c.form = self
		err = p.checkMethods(binaryPair, t, p.name)
	case t.Kind() == reflect.String:
		c.form = text
		return nil
	case t.Kind() == reflect.Slice && plain(t.Elem()) && t.Elem().Size() > 0:
		c.form, c.elem, c.bits = slice, int(t.Elem().Size()), bools(t.Elem())
		return nil
	default:
		c.form = asCBOR
		c.plan, err = p.plan(t, p.name)
		c.anys = p.anys
	}
	if err != nil {
		return err
	}
	return p.checkLocks(t, p.name)
}

// Type describes T.
func (c *Codec[T]) Type() Type { return c.typ }

// Plain tells whether a T travels as its own memory.
func (c *Codec[T]) Plain() bool { return c.form == memory }

// Size returns the bytes of a plain T, -1 if T travels encoded.
func (c *Codec[T]) Size() int {
	if c.form != memory {
		return -1
	}
	return int(c.t.Size())
}

// Total tells whether any Size bytes are a T, so that nothing needs checking: T is plain and has no bools.
func (c *Codec[T]) Total() bool { return c.form == memory && c.bits == nil }

// InOnePiece tells whether a T travels as it lies in memory: T is plain, or a string or slice of plain elements.
func (c *Codec[T]) InOnePiece() bool { return c.form <= slice }

// Bytes returns the memory of *v that travels, padding included: what Append would append. It is not to be written; only
// that of a plain T may be, though bytes that this process did not write belong into *v through Decode, which checks them.
// It panics unless T travels in one piece.
func (c *Codec[T]) Bytes(v *T) []byte {
	switch c.form {
	case memory:
		return bytesOf(v)
	case text:
		return charactersOf(v)
	case slice:
		return elementsOf(v, c.elem)
	}
	panic("codec: Bytes of " + c.typ.Name + ", which travels encoded")
}

// Append appends *v to dst. After an error the result is dst, though bytes may have been written behind its end.
func (c *Codec[T]) Append(dst []byte, v *T) ([]byte, error) {
	if c.InOnePiece() {
		return append(dst, c.Bytes(v)...), nil
	}
	w := *v // w escapes so that v does not, and a plain *v may stay on the caller's stack
	var out []byte
	var err error
	if c.form == self {
		out, err = appendBinary(dst, &w)
	} else {
		out, err = c.plan.append(dst, reflect.ValueOf(&w).Elem(), 0)
	}
	if err != nil {
		return dst, c.wrap(err)
	}
	return out, nil
}

func appendBinary(dst []byte, v any) ([]byte, error) {
	if m, ok := v.(encoding.BinaryAppender); ok {
		return m.AppendBinary(dst)
	}
	b, err := v.(encoding.BinaryMarshaler).MarshalBinary()
	return append(dst, b...), err
}

// Decode sets *v to the T that src was made from by Append. *v keeps nothing of src, and of what it held only the capacity
// of a slice of plain elements. A T with methods of its own is made elsewhere and then assigned to *v. After an error *v is
// valid but may have changed.
//
// The error matches [ErrMalformed] if src is no T. If a method of T's, or of something in it, returned an error, it
// matches that: whoever reads messages until io.EOF must not look for it here.
func (c *Codec[T]) Decode(src []byte, v *T) error {
	switch c.form {
	case memory:
		return c.decodeMemory(src, bytesOf(v))
	case text:
		*stringOf(v) = string(src)
		return nil
	case slice:
		if len(src)%c.elem != 0 {
			return c.malformed("%d bytes, want a multiple of %d", len(src), c.elem)
		}
		resize(v, c.t, len(src)/c.elem)
		return c.decodeMemory(src, elementsOf(v, c.elem))
	}
	var w T // as in Append, and so that no message shows through the next
	src = bytes.Clone(src)
	if c.form == self {
		if err := any(&w).(encoding.BinaryUnmarshaler).UnmarshalBinary(src); err != nil {
			return c.wrap(err)
		}
	} else if err := c.decodeCBOR(src, &w); err != nil {
		return err
	}
	*v = w
	return nil
}

// decodeMemory copies src to dst, a T or a slice's elements. It looks for wrong bools in the copy: src may change.
func (c *Codec[T]) decodeMemory(src, dst []byte) error {
	if len(src) != len(dst) {
		return c.malformed("%d bytes, want %d", len(src), len(dst))
	}
	csrc.Copy(dst, src)
	if c.bits == nil {
		return nil
	}
	size := len(dst)
	if c.form == slice {
		size = c.elem
	}
	for at := 0; at < len(dst); at += size {
		if !boolsOK(dst[at:at+size], c.bits) {
			clear(dst)
			return c.malformed("a bool that is neither 0 nor 1")
		}
	}
	return nil
}

func (c *Codec[T]) malformed(format string, args ...any) error {
	return fmt.Errorf("codec: %s: %w: "+format, append([]any{c.typ.Name, ErrMalformed}, args...)...)
}

// wrap puts T's name before an error, unless it has a name of its own.
func (c *Codec[T]) wrap(err error) error {
	if e, ok := err.(*UnsupportedError); ok {
		return e
	}
	return fmt.Errorf("codec: %s: %w", c.typ.Name, err)
}
