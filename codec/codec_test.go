package codec_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/fxamacker/cbor/v2"
	"github.com/tandem-ipc/tandem/codec"
)

type (
	Point struct{ X, Y float64 }
	Flags struct {
		N    int32
		On   bool
		Each [3]struct {
			A byte
			B bool
		}
		hidden bool
	}
	Wide struct {
		B   [8]bool
		I   int8
		U   uintptr
		C   complex128
		_   [3]byte
		Arr [2][2]int16
	}
	Name string
	// No memory, no pointers.
	Incomparable struct {
		_ [0]func(*Incomparable)
		_ [0]*Incomparable
		N int
	}
	Bytes []byte
	Words []uint16

	Node struct {
		Value int
		Next  *Node
	}
	Tree struct {
		Kids  []Tree
		Named map[string]*Tree
		Any   any
	}
	Base struct{ ID int }
	base struct{ Secret string }
	Mix  struct {
		Base
		base
		*Extra
		Renamed string   `cbor:"r"`
		JSON    string   `json:"j,omitempty"`
		Left    chan int `json:"-"`
		left    func()   `cbor:"-"`
		_       struct{}
	}
	Extra struct{ More []string }
	All   struct {
		B     bool
		I8    int8
		I64   int64
		U8    uint8
		U64   uint64
		F32   float32
		F64   float64
		S     string
		Raw   []byte
		Four  [4]byte
		Bits  [3]bool
		Strs  []string
		M     map[string]int
		MP    map[Point]string
		MA    map[netip.Addr][]byte
		P     *int
		PS    *[]string
		PB    *[]byte
		PM    *map[string]int
		T     time.Time
		PT    *time.Time
		D     time.Duration
		Any   any
		Inner struct{ Deep *Point }
		Addr  netip.Addr
		IP    net.IP
		Big   *big.Int
		Re    *regexp.Regexp
		Raws  cbor.RawMessage
	}
)

func codecOf[T any](t testing.TB) *codec.Codec[T] {
	t.Helper()
	c, err := codec.For[T]()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func encode[T any](t testing.TB, v T) []byte {
	t.Helper()
	b, err := codecOf[T](t).Append([]byte("before"), &v)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, []byte("before")) {
		t.Fatalf("Append wrote over what was there: %q", b)
	}
	return b[len("before"):]
}

func decode[T any](t testing.TB, b []byte) T {
	t.Helper()
	// One byte off, so that nothing is aligned, and wiped afterwards, so that nothing may alias it.
	src := append(make([]byte, 1, len(b)+1), b...)[1:]
	var v T
	if err := codecOf[T](t).Decode(src, &v); err != nil {
		t.Fatalf("%v\n%x", err, b)
	}
	clear(src)
	return v
}

func roundTrip[T any](v, want T) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		if got := decode[T](t, encode(t, v)); !reflect.DeepEqual(got, want) {
			t.Errorf("sent %#v\n got %#v\nwant %#v", v, got, want)
		}
	}
}

func same[T any](v T) func(*testing.T) { return roundTrip(v, v) }

func TestWhatIsSentArrives(t *testing.T) {
	zone := time.Date(2024, 2, 29, 23, 59, 58, 123456789, time.FixedZone("", -(9*60+30)*60))
	seven := 7
	for name, f := range map[string]func(*testing.T){
		"int":                 same(-5),
		"bool":                same(true),
		"float":               same(math.Inf(-1)),
		"struct":              same(Point{1, -2}),
		"plain of every kind": same(Wide{B: [8]bool{1: true}, I: -1, U: 9, C: 1 + 2i, Arr: [2][2]int16{{1, 2}, {3, 4}}}),
		"unexported":          same(Flags{N: 1, On: true, hidden: true}),
		"nothing":             same(struct{}{}),
		"no elements":         same([0]*int{}),
		"string":              same("h\xffello"),
		"named string":        same(Name("x")),
		"empty string":        same(""),
		"bytes":               same([]byte{0, 1, 255}),
		"nil bytes":           roundTrip([]byte(nil), []byte{}),
		"empty bytes":         same([]byte{}),
		"named bytes":         same(Bytes("x")),
		"points":              same([]Point{{1, 2}, {3, 4}}),
		"nil points":          roundTrip([]Point(nil), []Point{}),
		"words":               same(Words{1, 2, 65535}),
		"bools":               same([]bool{true, false}),
		"strings":             same([]string{"a", "", "\xfe"}),
		"nil strings":         same([]string(nil)),
		"empties":             same([]struct{}{{}, {}}),
		"time":                same(time.Date(1890, 1, 2, 3, 4, 5, 6, time.UTC)),
		"address":             same(netip.MustParseAddr("fe80::1%eth0")),
		"url":                 same(url.URL{Scheme: "https", Host: "go.dev", Path: "/x"}),
		"nil any":             same[any](nil),
		"any":                 roundTrip[any]([]any{42, nil, "hello"}, []any{int64(42), nil, "hello"}),
		"any in any":          roundTrip[any]([]any{[]any{}, map[string]int{"a": 1}}, []any{[]any{}, map[any]any{"a": int64(1)}}),
		"any struct":          roundTrip[any](&Point{1, 2}, map[any]any{"X": 1.0, "Y": 2.0}),
		"any bytes":           roundTrip[any]([2]byte{1, 2}, []byte{1, 2}),
		"any time":            same[any](zone.UTC()),
		"any zero time":       same[any](time.Time{}),
		"any list":            same([]any{int64(math.MinInt64), uint64(math.MaxUint64), 1.5, true, []byte{1}, "", nil}),
		"any numbers": roundTrip([]any{int8(-1), uint8(1), uint64(math.MaxInt64), float32(0.5), time.Second, Name("n")},
			[]any{int64(-1), int64(1), int64(math.MaxInt64), 0.5, int64(time.Second), "n"}),
		"any map": roundTrip(map[any]any{"s": 1, 2: "i", 2.5: nil, true: []string{"x"}, uint64(1 << 63): uint64(1 << 63), nil: 0},
			map[any]any{"s": int64(1), int64(2): "i", 2.5: nil, true: []any{"x"}, uint64(1 << 63): uint64(1 << 63), nil: int64(0)}),
		"large integers everywhere": same(struct {
			M map[string][]any
			A [2]any
			P *struct{ V any }
			K map[any]Point
			S string
		}{
			map[string][]any{"x": {uint64(1 << 63), map[any]any{uint64(1 << 63): []any{uint64(1<<63 + 1)}}}},
			[2]any{nil, uint64(math.MaxUint64)}, &struct{ V any }{uint64(1 << 63)},
			map[any]Point{uint64(1 << 63): {1, 2}, int64(1): {}}, "\x1b\xff",
		}),
		"pointer":      same(&seven),
		"nil pointer":  same[*int](nil),
		"list":         same(&Node{1, &Node{2, nil}}),
		"tree":         same(Tree{Kids: []Tree{{}, {Named: map[string]*Tree{"x": {Any: "leaf"}, "nil": nil}}}}),
		"embedded":     same(Mix{Base: Base{1}, base: base{"s"}, Extra: &Extra{[]string{"m"}}, Renamed: "r", JSON: "j"}),
		"embedded nil": same(Mix{JSON: "j"}),
		"left behind":  roundTrip(Mix{Left: make(chan int), left: func() {}}, Mix{}),
		"zero of all":  same(All{Raws: cbor.RawMessage{0xf6}}),
		"all": same(All{true, -128, math.MinInt64, 255, math.MaxUint64, 1.25, math.Pi, "\xff", []byte{}, [4]byte{1, 2, 3, 4},
			[3]bool{true, false, true}, []string{""}, map[string]int{"": 1, "x": -1}, map[Point]string{{1, 2}: "p"},
			map[netip.Addr][]byte{netip.MustParseAddr("::1"): nil}, &seven, &[]string{}, &[]byte{}, &map[string]int{},
			zone.UTC(), &time.Time{}, -5, []any{"x"}, struct{ Deep *Point }{&Point{}}, netip.MustParseAddr("10.0.0.1"),
			net.IPv4(1, 2, 3, 4), new(big.Int).Lsh(big.NewInt(-3), 100), regexp.MustCompile("a+"), cbor.RawMessage{0x81, 0x01}}),
		"pointers to nil arrive as pointers": roundTrip(
			All{PS: new([]string), PB: new([]byte), PM: new(map[string]int), Raws: cbor.RawMessage{0}},
			All{PS: &[]string{}, PB: &[]byte{}, PM: &map[string]int{}, Raws: cbor.RawMessage{0}}),
		"anonymous": same(struct {
			S string
			N int
		}{"s", 1}),
		"lengths of every size of head": same([]string{strings.Repeat("a", 23), strings.Repeat("a", 24),
			strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a", 65535), strings.Repeat("a", 65536)}),
	} {
		t.Run(name, f)
	}
}

func TestATimeKeepsItsNanosecondsAndItsOffset(t *testing.T) {
	type Event struct {
		S string
		T time.Time
		A any
	}
	for _, zone := range []*time.Location{time.UTC, time.Local, time.FixedZone("x", 5*3600+45*60), time.FixedZone("y", -120)} {
		sent := time.Date(2001, 2, 3, 4, 5, 6, 987654321, zone)
		e := decode[Event](t, encode(t, Event{T: sent, A: sent}))
		for _, got := range []time.Time{e.T, e.A.(time.Time), decode[time.Time](t, encode(t, sent))} {
			_, o1 := sent.Zone()
			if _, o2 := got.Zone(); !got.Equal(sent) || o1 != o2 {
				t.Errorf("sent %v, got %v", sent, got)
			}
		}
	}
	c := codecOf[Event](t)
	for _, odd := range []time.Time{
		time.Date(1880, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 1172)), // RFC 3339 would move it by 32 s
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if _, err := c.Append(nil, &Event{T: odd}); err == nil {
			t.Errorf("%v was accepted, but cannot be decoded", odd)
		}
	}
}

func TestFloatsInsideCBORKeepEveryBit(t *testing.T) {
	type F struct {
		S string
		A float32
		B float64
	}
	for _, f := range []float64{0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, math.MaxFloat64, math.Inf(1), math.NaN()} {
		got := decode[F](t, encode(t, F{A: float32(f), B: f}))
		if math.Float64bits(got.B) != math.Float64bits(f) || math.Float32bits(got.A) != math.Float32bits(float32(f)) {
			t.Errorf("sent %v, got %v", f, got)
		}
	}
}

func TestTagsOfOthersAreLeftOut(t *testing.T) {
	for _, b := range [][]byte{{0xd8, 0x20, 0x01}, {0xd9, 0xd9, 0xf7, 0x01}} {
		if got := decode[any](t, b); got != int64(1) {
			t.Errorf("%x became %#v", b, got)
		}
	}
}

func TestMillionsOfElementsAreNoAttack(t *testing.T) {
	list := make([]string, 300_000) // the library's own limit is 131072
	dict := make(map[any]any, len(list))
	for i := range list {
		list[i] = fmt.Sprint(i)
		dict[int64(i)] = list[i]
	}
	same(list)(t)
	same(dict)(t)
}

func TestDecodeReusesTheMemoryOfASlice(t *testing.T) {
	for _, test := range []struct {
		name   string
		reused func() bool
	}{
		{"bytes", func() bool {
			v := make([]byte, 1, 10)
			first := &v[0]
			err := codecOf[[]byte](t).Decode(make([]byte, 10), &v)
			return err == nil && len(v) == 10 && &v[0] == first
		}},
		{"points", func() bool {
			v := make([]Point, 4)
			first := &v[0]
			err := codecOf[[]Point](t).Decode(make([]byte, 32), &v)
			return err == nil && len(v) == 2 && cap(v) == 4 && &v[0] == first
		}},
	} {
		if !test.reused() {
			t.Errorf("%s: not reused", test.name)
		}
	}
	v := make([]Point, 1)
	if err := codecOf[[]Point](t).Decode(make([]byte, 32), &v); err != nil || len(v) != 2 || cap(v) < 2 {
		t.Errorf("a slice that is too short became %v, %v", v, err)
	}
	if a := uintptr(unsafe.Pointer(unsafe.SliceData(v))); a%unsafe.Alignof(Point{}) != 0 {
		t.Errorf("elements at %#x", a)
	}
}

func TestNothingOfOneMessageShowsThroughTheNext(t *testing.T) {
	type Message struct {
		M map[string]int
		P *int
		L []string
	}
	c := codecOf[Message](t)
	one := 1
	first := encode(t, Message{map[string]int{"a": 1}, &one, []string{"a", "b"}})
	var v Message
	if err := c.Decode(first, &v); err != nil {
		t.Fatal(err)
	}
	kept := v
	if err := c.Decode(encode(t, Message{M: map[string]int{"b": 2}, L: []string{"c"}}), &v); err != nil {
		t.Fatal(err)
	}
	if want := (Message{map[string]int{"b": 2}, nil, []string{"c"}}); !reflect.DeepEqual(v, want) {
		t.Errorf("got %v, want %v", v, want)
	}
	if want := (Message{map[string]int{"a": 1}, &one, []string{"a", "b"}}); !reflect.DeepEqual(kept, want) {
		t.Errorf("the message before became %v", kept)
	}
}

func TestPlainBytesAreTheMemory(t *testing.T) {
	c := codecOf[Point](t)
	p := Point{1, 2}
	if b := encode(t, p); !bytes.Equal(b, c.Bytes(&p)) || binary.NativeEndian.Uint64(b) != math.Float64bits(1) {
		t.Errorf("% x", b)
	}
	p2 := Point{}
	copy(c.Bytes(&p2), c.Bytes(&p))
	if p2 != p || !c.Plain() || c.Size() != 16 || c.Type().Size != 16 || c.Type().Name != "codec_test.Point" {
		t.Errorf("%v, plain %v, size %d, %+v", p2, c.Plain(), c.Size(), c.Type())
	}
	if s := codecOf[string](t); s.Plain() || s.Size() != -1 || s.Type().Size != -1 {
		t.Errorf("a string is plain %v, size %d, %+v", s.Plain(), s.Size(), s.Type())
	}
	if c := codecOf[Incomparable](t); !c.Plain() {
		t.Error("what makes a struct incomparable is no pointer")
	}
	s, text, numbers := "abc", codecOf[string](t), []uint16{1, 2}
	if b := text.Bytes(&s); !bytes.Equal(b, encode(t, s)) || !text.InOnePiece() {
		t.Errorf("% x", b)
	}
	if b := codecOf[[]uint16](t).Bytes(&numbers); !bytes.Equal(b, encode(t, numbers)) || len(b) != 4 {
		t.Errorf("% x", b)
	}
	defer func() {
		if recover() == nil {
			t.Error("Bytes of a map")
		}
	}()
	codecOf[map[string]int](t).Bytes(new(map[string]int))
}

func TestPlainDoesNotAllocate(t *testing.T) {
	for name, f := range map[string]func(dst []byte) error{
		"struct": func(dst []byte) error {
			c, p, q := codecOf[Flags](t), Flags{N: 1}, Flags{} // on this stack
			b, _ := c.Append(dst, &p)
			return c.Decode(b, &q)
		},
		"bytes": func(dst []byte) error {
			c, p := codecOf[[]byte](t), dst[:10]
			b, _ := c.Append(dst[:10], &p)
			return c.Decode(b[10:], &p)
		},
		"string": func(dst []byte) error {
			c, p := codecOf[string](t), "string"
			_, err := c.Append(dst, &p)
			return err
		},
	} {
		dst := make([]byte, 0, 1024)
		if n := testing.AllocsPerRun(100, func() {
			if err := f(dst); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestOneCodecServesManyGoroutines(t *testing.T) {
	type Message struct {
		S string
		A any
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				sent := Message{fmt.Sprint(i), []any{int64(j), Point{}.X}}
				if got := decode[Message](t, encode(t, sent)); !reflect.DeepEqual(got, sent) {
					t.Errorf("sent %v, got %v", sent, got)
				}
			}
		})
	}
	wg.Wait()
}
