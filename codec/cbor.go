package codec

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Encoding is done here, decoding by the library. The library's encoder calls a pointer's methods on a copy of the value,
// which must not be for a value with a mutex or a connection in it; it follows cycles for ever; and what it finds in an any
// it encodes whether or not that can come back. All three want a walk over the value, and one that writes is not longer.
// Decoding is where the bytes may be hostile, and the library's decoder is one that many have attacked.

// maxNesting limits maps and arrays within each other. A list linked by pointers is as deep as it is long.
const maxNesting = 256

var decMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		MaxNestedLevels: maxNesting,
		// The limits of 131072 elements are off. They need not be there: the library looks for the end of every item before
		// it allocates anything, every element is a byte at least, and with indefinite lengths forbidden it does so once. So
		// an array or map has no more elements than the message has bytes.
		MaxArrayElements: math.MaxInt32,
		MaxMapPairs:      math.MaxInt32,
		IndefLength:      cbor.IndefLengthForbidden,
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		// An integer that no int64 holds becomes a *big.Int, and by narrow a uint64.
		IntDec:    cbor.IntDecConvertSignedOrBigInt,
		BigIntDec: cbor.BigIntDecodePointer,
		BignumTag: cbor.BignumTagForbidden,
		// A Go string need not be UTF-8.
		UTF8:                 cbor.UTF8DecodeInvalid,
		FieldNameMatching:    cbor.FieldNameMatchingCaseSensitive,
		ExtraReturnErrors:    cbor.ExtraDecErrorUnknownField,
		MapKeyByteString:     cbor.MapKeyByteStringForbidden,
		UnrecognizedTagToAny: cbor.UnrecognizedTagContentToAny,
		TextUnmarshaler:      cbor.TextUnmarshalerTextString,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// A node is the plan of one type.
type node struct {
	t      reflect.Type
	how    how
	elem   *node // of a slice, array, map or pointer
	key    *node // of a map
	fields []field
}

type field struct {
	name  string
	index []int
	node  *node
}

// A how says which bytes stand for a value.
type how uint8

const (
	asBool how = iota
	asInt
	asUint
	asFloat32
	asFloat64
	asString
	asBytes
	asArray // slices too
	asMap
	asStruct
	asPointer
	asAny
	asTime
	ownBinary // the type's own methods
	ownText
	ownCBOR
)

// The major types of CBOR, and some whole items.
const (
	majorUint, majorInt, majorBytes, majorText, majorArray, majorMap = 0, 1 << 5, 2 << 5, 3 << 5, 4 << 5, 5 << 5

	tagTime                       = 0xc0
	itemFalse, itemTrue, itemNull = 0xf4, 0xf5, 0xf6
	prefixFloat32, prefixFloat64  = 0xfa, 0xfb
)

// head appends the beginning of an item: its type, and its value or length.
func head(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// append appends v, which is addressable if it is an array or a struct or marshals itself. depth counts the maps and arrays
// around it.
func (n *node) append(b []byte, v reflect.Value, depth int) ([]byte, error) {
	switch n.how {
	case asBool:
		if v.Bool() {
			return append(b, itemTrue), nil
		}
		return append(b, itemFalse), nil
	case asInt:
		if i := v.Int(); i < 0 {
			return head(b, majorInt, uint64(^i)), nil
		}
		return head(b, majorUint, uint64(v.Int())), nil
	case asUint:
		return head(b, majorUint, v.Uint()), nil
	case asFloat32:
		return binary.BigEndian.AppendUint32(append(b, prefixFloat32), math.Float32bits(float32(v.Float()))), nil
	case asFloat64:
		return binary.BigEndian.AppendUint64(append(b, prefixFloat64), math.Float64bits(v.Float())), nil
	case asString:
		return append(head(b, majorText, uint64(v.Len())), v.String()...), nil
	case asBytes:
		if v.Kind() == reflect.Slice && v.IsNil() {
			return append(b, itemNull), nil
		}
		return append(head(b, majorBytes, uint64(v.Len())), v.Bytes()...), nil
	case asPointer:
		return n.appendPointer(b, v, depth)
	case asAny:
		return appendAny(b, v, depth)
	case asTime:
		return appendTime(b, v)
	case ownBinary, ownText, ownCBOR:
		return n.appendOwn(b, v)
	}
	if depth++; depth > maxNesting {
		return b, fmt.Errorf("nested deeper than %d levels, or without end", maxNesting)
	}
	switch n.how {
	case asArray:
		return n.appendArray(b, v, depth)
	case asMap:
		return n.appendMap(b, v, depth)
	}
	return n.appendStruct(b, v, depth)
}

func (n *node) appendPointer(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.IsNil() {
		return append(b, itemNull), nil
	}
	v = v.Elem()
	// A pointer to a nil slice or map arrives as a pointer to an empty one; null would be no pointer.
	if k := v.Kind(); (k == reflect.Slice || k == reflect.Map) && v.IsNil() {
		switch n.elem.how {
		case asBytes:
			return append(b, majorBytes), nil
		case asArray:
			return append(b, majorArray), nil
		case asMap:
			return append(b, majorMap), nil
		}
	}
	return n.elem.append(b, v, depth)
}

func (n *node) appendArray(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.Kind() == reflect.Slice && v.IsNil() {
		return append(b, itemNull), nil
	}
	b = head(b, majorArray, uint64(v.Len()))
	var err error
	for i := range v.Len() {
		if b, err = n.elem.append(b, v.Index(i), depth); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (n *node) appendMap(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.IsNil() {
		return append(b, itemNull), nil
	}
	b = head(b, majorMap, uint64(v.Len()))
	k, e := reflect.New(n.t.Key()).Elem(), reflect.New(n.t.Elem()).Elem()
	var met map[string]bool // keys of different types may look alike to the other side
	if n.key.how == asAny {
		met = make(map[string]bool, v.Len())
	}
	var err error
	for it := v.MapRange(); it.Next(); {
		k.SetIterKey(it)
		e.SetIterValue(it)
		start := len(b)
		if b, err = n.key.append(b, k, depth); err != nil {
			return b, err
		}
		if met != nil {
			key := string(b[start:])
			if !canBeKey(k.Elem()) || met[key] {
				return b, fmt.Errorf("key %v (%v) of a map would not come back as a key of its own", k, k.Elem().Type())
			}
			met[key] = true
		}
		if b, err = n.elem.append(b, e, depth); err != nil {
			return b, err
		}
	}
	return b, nil
}

// canBeKey is for a key in an any. It sorts out what arrives as a slice or map, or as a copy of what a pointer points to.
func canBeKey(k reflect.Value) bool {
	switch k.Kind() {
	case reflect.Array, reflect.Pointer:
		return false
	case reflect.Struct:
		return k.Type() == timeType
	}
	return true
}

func (n *node) appendStruct(b []byte, v reflect.Value, depth int) ([]byte, error) {
	there := len(n.fields)
	for i := range n.fields {
		if _, ok := n.fields[i].of(v); !ok {
			there--
		}
	}
	b = head(b, majorMap, uint64(there))
	for i := range n.fields {
		f := &n.fields[i]
		fv, ok := f.of(v)
		if !ok {
			continue
		}
		var err error
		b = append(head(b, majorText, uint64(len(f.name))), f.name...)
		if b, err = f.node.append(b, fv, depth); err != nil {
			return b, err
		}
	}
	return b, nil
}

// of returns the field of v, a struct, unless it is behind an embedded pointer that is nil.
func (f *field) of(v reflect.Value) (reflect.Value, bool) {
	if len(f.index) == 1 {
		return v.Field(f.index[0]), true
	}
	fv, err := v.FieldByIndexErr(f.index)
	return fv, err == nil
}

func (n *node) appendOwn(b []byte, v reflect.Value) ([]byte, error) {
	var data []byte
	var err error
	major := byte(majorBytes)
	switch p := v.Addr().Interface(); n.how {
	case ownBinary:
		data, err = appendBinary(nil, p)
	case ownText:
		major = majorText
		if m, ok := p.(encoding.TextAppender); ok {
			data, err = m.AppendText(nil)
		} else {
			data, err = p.(encoding.TextMarshaler).MarshalText()
		}
	case ownCBOR:
		if data, err = p.(cbor.Marshaler).MarshalCBOR(); err == nil {
			err = decMode.Wellformed(data)
		}
		if err == nil {
			return append(b, data...), nil
		}
	}
	if err != nil {
		return b, fmt.Errorf("%v: %w", n.t, err)
	}
	return append(head(b, major, uint64(len(data))), data...), nil
}

// appendTime appends the text that RFC 3339 has for a time, tagged, so that it is a time in an any too.
func appendTime(b []byte, v reflect.Value) ([]byte, error) {
	t, _ := reflect.TypeAssert[time.Time](v)
	text, err := t.AppendText(make([]byte, 0, len(time.RFC3339Nano)))
	if _, offset := t.Zone(); err == nil && offset%60 != 0 {
		err = fmt.Errorf("an offset of %v from UTC, which is no whole number of minutes", time.Duration(offset)*time.Second)
	}
	if err != nil {
		return b, fmt.Errorf("%v: %w", t, err)
	}
	return append(head(append(b, tagTime), majorText, uint64(len(text))), text...), nil
}

var plansInAny sync.Map // of reflect.Type: *node, or the error

func planInAny(t reflect.Type) (*node, error) {
	made, ok := plansInAny.Load(t)
	if !ok {
		p := newPlanner(t)
		p.inAny = true
		n, err := p.plan(t, p.name)
		if made = n; err != nil {
			made = err
		}
		plansInAny.Store(t, made)
	}
	if err, ok := made.(error); ok {
		return nil, err
	}
	return made.(*node), nil
}

func appendAny(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.IsNil() {
		return append(b, itemNull), nil
	}
	v = v.Elem()
	n, err := planInAny(v.Type())
	if err != nil {
		return b, err
	}
	if k := v.Kind(); k == reflect.Array || k == reflect.Struct {
		addressable := reflect.New(n.t).Elem()
		addressable.Set(v)
		v = addressable
	}
	return n.append(b, v, depth)
}

func (c *Codec[T]) decodeCBOR(src []byte, v *T) error {
	if len(src) == 0 {
		return c.malformed("0 bytes") // the library says io.EOF, and so would errors.Is
	}
	err := decMode.Unmarshal(src, v)
	if err == nil && c.anys && hasBigInt(src) {
		err = c.plan.narrow(reflect.ValueOf(v).Elem())
	}
	if err != nil {
		return c.malformed("%w", err)
	}
	return nil
}

// hasBigInt tells whether src may contain an integer that no int64 holds. It errs on one side only.
func hasBigInt(src []byte) bool {
	for i, c := range src[:len(src)-1] {
		if (c == majorUint|27 || c == majorInt|27) && src[i+1] > math.MaxInt8 {
			return true
		}
	}
	return false
}

// narrow turns the *big.Int that stands in an any, somewhere in v, into a uint64.
func (n *node) narrow(v reflect.Value) error {
	switch n.how {
	case asPointer:
		if !v.IsNil() {
			return n.elem.narrow(v.Elem())
		}
	case asArray:
		for i := range v.Len() {
			if err := n.elem.narrow(v.Index(i)); err != nil {
				return err
			}
		}
	case asStruct:
		for i := range n.fields {
			if f, ok := n.fields[i].of(v); ok {
				if err := n.fields[i].node.narrow(f); err != nil {
					return err
				}
			}
		}
	case asMap:
		return n.narrowMap(v)
	case asAny:
		switch x := v.Interface().(type) {
		case *big.Int:
			if !x.IsUint64() {
				return fmt.Errorf("%v in an any, which is neither an int64 nor a uint64", x)
			}
			v.Set(reflect.ValueOf(x.Uint64()))
		case []any, map[any]any:
			inner, err := planInAny(v.Elem().Type())
			if err != nil {
				return err
			}
			return inner.narrow(v.Elem())
		}
	}
	return nil
}

func (n *node) narrowMap(v reflect.Value) error {
	type entry struct{ key, elem reflect.Value }
	var entries []entry
	for it := v.MapRange(); it.Next(); {
		e := entry{reflect.New(n.t.Key()).Elem(), reflect.New(n.t.Elem()).Elem()}
		e.key.SetIterKey(it)
		e.elem.SetIterValue(it)
		entries = append(entries, e)
	}
	v.Clear()
	for _, e := range entries {
		if err := errors.Join(n.key.narrow(e.key), n.elem.narrow(e.elem)); err != nil {
			return err
		}
		v.SetMapIndex(e.key, e.elem)
	}
	if v.Len() < len(entries) {
		return errors.New("a key of a map is there twice")
	}
	return nil
}
