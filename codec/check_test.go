package codec_test

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/fxamacker/cbor/v2"
	"github.com/tandem-ipc/tandem/codec"
)

func refused[T any](want string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		c, err := codec.For[T]()
		var e *codec.UnsupportedError
		if !errors.As(err, &e) {
			t.Fatalf("For returned %v, %v", c, err)
		}
		if got := strings.ReplaceAll(err.Error(), "codec_test.", "main."); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

type (
	Order struct{ Items []Item }
	Item  struct {
		Name string
		note string
	}
	OnlyMarshal struct{ s *int }
	OnlyDecode  struct{ s *int }
	OnlyText    int
	Stamped     struct {
		time.Time
		Name string
	}
	StampedByPointer struct{ *url.URL }
	Stamps           struct {
		time.Time
		netip.Addr
	}
	Loop struct {
		*Loop
		S string
	}
	Ring struct {
		*RingEnd
		S string
	}
	RingEnd struct{ *RingEnd }
	private struct{ X string }
	Pointer *Pointer
	Locked  struct {
		Few [2]struct{ mu sync.Mutex }
		err *error
	}
)

// These fields are there to be refused, but staticcheck wants them used.
var _ = []any{Item{note: ""}, OnlyMarshal{s: nil}, OnlyDecode{s: nil}, &Locked{err: nil}}

func (*Locked) MarshalBinary() ([]byte, error) { return nil, nil }
func (*Locked) UnmarshalBinary([]byte) error   { return nil }

func (OnlyMarshal) MarshalBinary() ([]byte, error) { return nil, nil }
func (*OnlyDecode) UnmarshalBinary([]byte) error   { return nil }
func (OnlyText) MarshalText() ([]byte, error)      { return nil, nil }

func TestWhatWouldBeLostIsRefusedWithItsPath(t *testing.T) {
	for name, f := range map[string]func(*testing.T){
		"unexported":   refused[Order](`codec: main.Order: field Order.Items[].note is unexported and would be lost; export it or give Item a MarshalBinary`),
		"by slice":     refused[[]Item](`codec: []main.Item: field [].note is unexported and would be lost; export it or give Item a MarshalBinary`),
		"by pointer":   refused[*Item](`codec: *main.Item: field Item.note is unexported and would be lost; export it or give Item a MarshalBinary`),
		"by map":       refused[map[string]*Item](`codec: map[string]*main.Item: field [].note is unexported and would be lost; export it or give Item a MarshalBinary`),
		"in anonymous": refused[struct{ x *int }](`codec: struct { x *int }: field x is unexported and would be lost; export it or give the struct a MarshalBinary`),
		"in key": refused[map[struct{ s string }]int](
			`codec: map[struct { s string }]int: field [key].s is unexported and would be lost; export it or give the struct a MarshalBinary`),
		"chan":      refused[chan int](`codec: chan int is a chan, which means nothing in another process`),
		"func":      refused[struct{ F []func() }](`codec: struct { F []func() }: element F[] is a func, which means nothing in another process`),
		"pointer":   refused[struct{ P unsafe.Pointer }](`codec: struct { P unsafe.Pointer }: field P is a unsafe.Pointer, which means nothing in another process`),
		"uintptr":   refused[map[string]uintptr](`codec: map[string]uintptr: element [] is a uintptr, which means nothing in another process`),
		"complex":   refused[map[string]complex64](`codec: map[string]complex64: element [] is a complex64, which only plain types may contain`),
		"error":     refused[struct{ Err error }](`codec: struct { Err error }: field Err is an interface with methods, and nothing says what to decode; use any or a type`),
		"interface": refused[fmt.Stringer](`codec: fmt.Stringer is an interface with methods, and nothing says what to decode; use any or a type`),
		"marshal":   refused[OnlyMarshal](`codec: main.OnlyMarshal has MarshalBinary but no UnmarshalBinary`),
		"unmarshal": refused[struct{ H *OnlyDecode }](`codec: struct { H *main.OnlyDecode }: field H has UnmarshalBinary but no MarshalBinary`),
		"text":      refused[map[string]OnlyText](`codec: map[string]main.OnlyText: element [] has MarshalText but no UnmarshalText`),
		"promoted":  refused[Stamped](`codec: main.Stamped: field Stamped.Time is embedded and its MarshalBinary would stand for all of main.Stamped; give it a name`),
		"promoted within": refused[[]Stamped](
			`codec: []main.Stamped: field [].Time is embedded and its MarshalBinary would stand for all of main.Stamped; give it a name`),
		"promoted from nil": refused[StampedByPointer](
			`codec: main.StampedByPointer: field StampedByPointer.URL is embedded and its MarshalBinary would stand for all of main.StampedByPointer; give it a name`),
		"two embedded":        refused[Stamps](`codec: main.Stamps: field Stamps.Time is embedded and marshals itself; give it a name`),
		"embedded in itself":  refused[Loop](`codec: main.Loop: field Loop.Loop is embedded twice, or in itself`),
		"embedded in another": refused[Ring](`codec: main.Ring: field Ring.RingEnd.RingEnd is embedded twice, or in itself`),
		"embedded unexported": refused[struct{ *private }](`codec: struct { *main.private }: field private is a pointer to an unexported struct and embedded: Decode could not set it`),
		"tagged unexported": refused[struct {
			private `json:"p"`
		}](`codec: struct { main.private "json:\"p\"" }: field private is unexported and would be lost; export it or give the struct a MarshalBinary`),
		"same name": refused[struct {
			Base
			ID string
		}](`codec: struct { main.Base; ID string }: field ID is called "ID", as another field is: one of them would be lost`),
		"keyasint": refused[struct {
			S string `cbor:"1,keyasint"`
		}](`codec: struct { S string "cbor:\"1,keyasint\"" }: field S is tagged keyasint, but structs travel with their fields' names`),
		"toarray": refused[struct {
			_ struct{} `cbor:",toarray"`
			S string
		}](`codec: struct { _ struct {} "cbor:\",toarray\""; S string }: field _ is tagged toarray, but structs travel with their fields' names`),
		"lock": refused[struct{ L Locked }](
			`codec: struct { L main.Locked }: field L.Few[].mu is a lock, and would be copied; hold it or what it is in by a pointer`),
		"lock alone": refused[Locked](`codec: main.Locked: field Locked.Few[].mu is a lock, and would be copied; hold it or what it is in by a pointer`),
		"lock in a map": refused[[]map[string]Locked](
			`codec: []map[string]main.Locked: field [][].Few[].mu is a lock, and would be copied; hold it or what it is in by a pointer`),
		"pointer to pointer":   refused[**int](`codec: **int is a pointer to a pointer or an interface`),
		"pointer to any":       refused[*any](`codec: *interface {} is a pointer to a pointer or an interface`),
		"pointer to itself":    refused[Pointer](`codec: main.Pointer is a pointer to a pointer or an interface`),
		"pointer as key":       refused[map[*int]int](`codec: map[*int]int has keys with a *int, which would not come back as they are`),
		"any in a key":         refused[map[[2]any]int](`codec: map[[2]interface {}]int has keys with a interface {}, which would not come back as they are`),
		"the library's struct": refused[cbor.Tag](`codec: cbor.Tag is a cbor.Tag; use cbor.RawMessage`),
	} {
		t.Run(name, f)
	}
}

func TestTypesOfOneStructureHaveOneHash(t *testing.T) {
	type Vector struct{ X, Y float64 }
	type Chain struct {
		Value int
		Next  *Chain
	}
	type Tagged struct {
		A    string   `json:"value"`
		Left chan int `json:"-"`
	}
	type Named struct {
		Value string `cbor:"value"`
	}
	all := []struct {
		name string
		hash uint64
	}{
		{"a struct", hashOf[Point](t)},
		{"another order", hashOf[struct{ Y, X float64 }](t)},
		{"another size", hashOf[struct{ X, Y float32 }](t)},
		{"another kind", hashOf[struct{ X, Y int64 }](t)},
		{"unsigned", hashOf[struct{ X, Y uint }](t)},
		{"int, which need not be int64", hashOf[struct{ X, Y int }](t)},
		{"another name", hashOf[struct{ X, Z float64 }](t)},
		{"one more", hashOf[struct{ X, Y, Z float64 }](t)},
		{"a blank one between", hashOf[struct {
			X float64
			_ float64
			Y float64
		}](t)},
		{"nested", hashOf[struct{ P Point }](t)},
		{"in an array", hashOf[[2]Point](t)},
		{"in a longer one", hashOf[[3]Point](t)},
		{"in a slice", hashOf[[]Point](t)},
		{"in a map", hashOf[map[string]Point](t)},
		{"by a pointer", hashOf[*Point](t)},
		{"nothing", hashOf[struct{}](t)},
		{"bytes", hashOf[[]byte](t)},
		{"a string", hashOf[string](t)},
		{"any", hashOf[any](t)},
		{"a list", hashOf[Node](t)},
		{"a tree", hashOf[Tree](t)},
		{"a pair of types", hashOf[Left](t)},
		{"another pair", hashOf[Right](t)},
		{"an embedded field", hashOf[struct {
			Base
			S string
		}](t)},
		{"one with its name", hashOf[struct {
			Base Base
			S    string
		}](t)},
		{"a tag", hashOf[Named](t)},
		{"time.Time", hashOf[time.Time](t)},
		{"url.URL", hashOf[url.URL](t)},
		{"what holds one", hashOf[struct{ T *time.Time }](t)},
		{"what holds another", hashOf[struct{ T *url.URL }](t)},
		{"what holds a Handle", hashOf[struct{ H *Handle }](t)},
		{"what holds its like", hashOf[struct{ H *Grip }](t)},
	}
	for i, a := range all {
		for _, b := range all[:i] {
			if a.hash == b.hash {
				t.Errorf("%s and %s have the same hash", a.name, b.name)
			}
		}
	}
	for name, same := range map[string]bool{
		"plain":              hashOf[Point](t) == hashOf[Vector](t),
		"plain in a slice":   hashOf[[]Point](t) == hashOf[[]Vector](t),
		"plain in CBOR":      hashOf[map[string][2]Point](t) == hashOf[map[string][2]Vector](t),
		"recursive":          hashOf[Node](t) == hashOf[Chain](t),
		"recursive pointers": hashOf[*Node](t) == hashOf[*Chain](t),
		"strings":            hashOf[Name](t) == hashOf[string](t),
		"tags":               hashOf[Tagged](t) == hashOf[Named](t),
		"anonymous":          hashOf[struct{ X, Y float64 }](t) == hashOf[Point](t),
	} {
		if !same {
			t.Errorf("%s: types of one structure have different hashes", name)
		}
	}
}

type (
	Left  struct{ Other *LeftEnd }
	Right struct{ Other *RightEnd }

	LeftEnd struct {
		Back *Left
		Next *LeftEnd
	}
	RightEnd struct {
		Back *Right
		Next *Right
	}
)

// A Grip has the structure of a Handle, but nobody knows what it makes of it.
type Grip struct{ id *int }

func (g *Grip) AppendBinary(b []byte) ([]byte, error) { return (*Handle)(g).AppendBinary(b) }
func (g *Grip) UnmarshalBinary(b []byte) error        { return (*Handle)(g).UnmarshalBinary(b) }

func hashOf[T any](t testing.TB) uint64 {
	t.Helper()
	return codecOf[T](t).Type().Hash
}
