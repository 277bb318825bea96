package codec

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// A pair is two methods by which a type marshals itself.
type pair struct {
	how              how
	encode           []reflect.Type // interfaces, either of which will do
	decode           reflect.Type
	encoder, decoder string
}

var (
	binaryPair = &pair{ownBinary,
		[]reflect.Type{reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryAppender]()},
		reflect.TypeFor[encoding.BinaryUnmarshaler](), "MarshalBinary", "UnmarshalBinary"}
	textPair = &pair{ownText,
		[]reflect.Type{reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextAppender]()},
		reflect.TypeFor[encoding.TextUnmarshaler](), "MarshalText", "UnmarshalText"}
	cborPair = &pair{ownCBOR,
		[]reflect.Type{reflect.TypeFor[cbor.Marshaler]()},
		reflect.TypeFor[cbor.Unmarshaler](), "MarshalCBOR", "UnmarshalCBOR"}

	timeType   = reflect.TypeFor[time.Time]()
	lockerType = reflect.TypeFor[sync.Locker]()
)

// of tells which of the two a *T has, which has those of T too.
func (p *pair) of(t reflect.Type) (encodes, decodes bool) {
	has := reflect.PointerTo(t).Implements
	return slices.ContainsFunc(p.encode, has), has(p.decode)
}

// in tells whether t has one of the two at least.
func (p *pair) in(t reflect.Type) bool {
	encodes, decodes := p.of(t)
	return encodes || decodes
}

// methods returns the pair by which t is encoded inside CBOR, nil if it has none. The order is that of the library's
// decoder.
func methods(t reflect.Type) *pair {
	for _, p := range []*pair{cborPair, binaryPair, textPair} {
		if p.in(t) {
			return p
		}
	}
	return nil
}

// A planner makes the plan of a type that travels as CBOR, or says what stands in the way.
type planner struct {
	root  reflect.Type
	name  string // root's, the first word of a path
	inAny bool   // root was found in an any: what is in it must need no type to be decoded
	anys  bool   // there is an any somewhere
	nodes map[reflect.Type]*node
}

func newPlanner(root reflect.Type) *planner {
	t := root
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return &planner{root: root, name: t.Name(), nodes: make(map[reflect.Type]*node)}
}

func (p *planner) refuse(path, reason string, args ...any) error {
	if path == p.name {
		path = ""
	}
	return &UnsupportedError{Type: p.root.String(), Path: path, Reason: fmt.Sprintf(reason, args...)}
}

// checkMethods is for a t that has one of pr's methods at least.
func (p *planner) checkMethods(pr *pair, t reflect.Type, path string) error {
	switch encodes, decodes := pr.of(t); {
	case !decodes:
		return p.refuse(path, "has %s but no %s", pr.encoder, pr.decoder)
	case !encodes:
		return p.refuse(path, "has %s but no %s", pr.decoder, pr.encoder)
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	// An embedded field may be where t has its methods from, and then t's other fields would be lost, or UnmarshalBinary
	// be called on a nil pointer. Reflection does not tell whether t has methods of its own before them.
	for f := range t.Fields() {
		k := f.Type.Kind()
		alone := t.NumField() == 1 && k != reflect.Pointer && k != reflect.Interface
		has := pr.in(f.Type) || slices.ContainsFunc(pr.encode, f.Type.Implements)
		if f.Anonymous && has && !alone {
			return p.refuse(join(path, f), "is embedded and its %s would stand for all of %v; give it a name", pr.encoder, t)
		}
	}
	return nil
}

// checkLocks refuses a t at path that has a lock in its own memory, because a t is copied. Only types that marshal
// themselves may hide one so far.
func (p *planner) checkLocks(t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.Array:
		return p.checkLocks(t.Elem(), path+"[]")
	case reflect.Struct:
		if reflect.PointerTo(t).Implements(lockerType) && !t.Implements(lockerType) {
			return p.refuse(path, "is a lock, and would be copied; hold it or what it is in by a pointer")
		}
		for f := range t.Fields() {
			if err := p.checkLocks(f.Type, join(path, f)); err != nil {
				return err
			}
		}
	}
	return nil
}

// plan returns the plan of t, which stands at path.
func (p *planner) plan(t reflect.Type, path string) (*node, error) {
	if n, ok := p.nodes[t]; ok {
		return n, nil // perhaps still being made: t is recursive
	}
	n := &node{t: t}
	p.nodes[t] = n
	if t == timeType {
		n.how = asTime
		return n, nil
	}
	if pr := methods(t); pr != nil {
		if p.inAny {
			return nil, p.refuse(path, "marshals itself, and in an any nothing could unmarshal it")
		}
		n.how = pr.how
		return n, p.checkMethods(pr, t, path)
	}
	var err error
	switch k := t.Kind(); k {
	case reflect.Bool:
		n.how = asBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n.how = asInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n.how = asUint
	case reflect.Float32:
		n.how = asFloat32
	case reflect.Float64:
		n.how = asFloat64
	case reflect.String:
		n.how = asString
	case reflect.Slice, reflect.Array:
		if n.how = asArray; t.Elem().Kind() == reflect.Uint8 {
			n.how = asBytes
			break
		}
		n.elem, err = p.plan(t.Elem(), path+"[]")
	case reflect.Map:
		n.how = asMap
		if bad := p.badKey(t.Key()); bad != nil && t.Key().Kind() != reflect.Interface {
			return nil, p.refuse(path, "has keys with a %v, which would not come back as they are", bad)
		}
		if n.key, err = p.plan(t.Key(), path+"[key]"); err == nil {
			n.elem, err = p.plan(t.Elem(), path+"[]")
		}
		if err == nil {
			err = p.checkLocks(t.Elem(), path+"[]")
		}
	case reflect.Struct:
		n.how = asStruct
		if t == reflect.TypeFor[cbor.Tag]() {
			return nil, p.refuse(path, "is a cbor.Tag; use cbor.RawMessage")
		}
		err = p.fields(n, t, path, nil, map[any]bool{t: true})
	case reflect.Pointer:
		// With these a cycle would need no struct, slice or map in it, and nil would not say which of two is nil.
		if e := t.Elem().Kind(); e == reflect.Pointer || e == reflect.Interface {
			return nil, p.refuse(path, "is a pointer to a pointer or an interface")
		}
		n.how = asPointer
		n.elem, err = p.plan(t.Elem(), path)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return nil, p.refuse(path, "is an interface with methods, and nothing says what to decode; use any or a type")
		}
		n.how, p.anys = asAny, true
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr:
		return nil, p.refuse(path, "is a %v, which means nothing in another process", k)
	default:
		return nil, p.refuse(path, "is a %v, which only plain types may contain", k)
	}
	return n, err
}

// badKey returns what in a map's key of type t would not come back equal, or not as what can be a key; nil if all is well.
func (p *planner) badKey(t reflect.Type) reflect.Type {
	switch k := t.Kind(); {
	case k == reflect.Pointer, k == reflect.Interface:
		return t
	case methods(t) != nil:
		return nil
	case p.inAny && (k == reflect.Array || k == reflect.Struct):
		return t
	case k == reflect.Array:
		return p.badKey(t.Elem())
	case k == reflect.Struct:
		for f := range t.Fields() {
			if bad := p.badKey(f.Type); bad != nil {
				return bad
			}
		}
	}
	return nil
}

// fields appends to n the fields of t: n's own type, or a struct embedded in it at index. Unlike the library, which lets one
// field hide another, it refuses two of one name. taken has the names and the embedded types so far.
func (p *planner) fields(n *node, t reflect.Type, path string, index []int, taken map[any]bool) error {
	owner := t.Name()
	if owner == "" {
		owner = "the struct"
	}
	for f := range t.Fields() {
		at, index := join(path, f), slices.Concat(index, f.Index)
		name, options, ok := tagOf(f)
		if !ok {
			continue
		}
		for option := range strings.SplitSeq(options, ",") {
			if option == "toarray" || option == "keyasint" {
				return p.refuse(at, "is tagged %s, but structs travel with their fields' names", option)
			}
		}
		if s := embedded(f); s != nil {
			switch {
			case taken[s]:
				return p.refuse(at, "is embedded twice, or in itself")
			case !f.IsExported() && s != f.Type:
				return p.refuse(at, "is a pointer to an unexported struct and embedded: Decode could not set it")
			case methods(s) != nil:
				return p.refuse(at, "is embedded and marshals itself; give it a name")
			}
			taken[s] = true
			if err := p.fields(n, s, at, index, taken); err != nil {
				return err
			}
			continue
		}
		if f.Name == "_" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		switch {
		case !f.IsExported():
			return p.refuse(at, "is unexported and would be lost; export it or give %s a MarshalBinary", owner)
		case taken[name]:
			return p.refuse(at, "is called %q, as another field is: one of them would be lost", name)
		}
		taken[name] = true
		child, err := p.plan(f.Type, at)
		if err != nil {
			return err
		}
		n.fields = append(n.fields, field{name, index, child})
	}
	return nil
}

func join(path string, f reflect.StructField) string { return strings.TrimPrefix(path+"."+f.Name, ".") }

// tagOf reads f's tag as the library's decoder does. It is false if f does not travel.
func tagOf(f reflect.StructField) (name, options string, ok bool) {
	tag := f.Tag.Get("cbor")
	if tag == "" {
		tag = f.Tag.Get("json")
	}
	name, options, _ = strings.Cut(tag, ",")
	return name, options, tag != "-"
}

// embedded returns the struct that is embedded as f, its fields travelling as if they were its neighbours; nil if f is a
// field like any other.
func embedded(f reflect.StructField) reflect.Type {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if name, _, _ := tagOf(f); !f.Anonymous || name != "" || t.Kind() != reflect.Struct {
		return nil
	}
	return t
}
