package codec_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
)

// Fuzzed has a bit of everything, but nothing whose own UnmarshalText may take as much memory as it likes.
type Fuzzed struct {
	Base
	*Extra
	N    int8
	F    float32
	B    []bool
	S    []string
	Raw  []byte
	M    map[string]*Fuzzed
	K    map[any]any
	P    map[Point][2]uint16
	T    *time.Time
	Addr netip.Addr
	Any  any
}

func FuzzDecode(f *testing.F) {
	add := func(b []byte) {
		f.Add(b)
		f.Add(append(b, 0))
		f.Add(b[:len(b)/2])
	}
	now := time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)
	add(encode(f, Point{1, 2}))
	add(encode(f, Flags{On: true}))
	add(encode(f, []Flags{{}, {On: true}}))
	add(encode(f, now))
	add(encode[any](f, []any{1, nil, "x", []byte{2}, 1.5, uint64(1 << 63), now, map[any]any{"k": true, uint64(1 << 63): nil}}))
	add(encode(f, Fuzzed{
		Extra: &Extra{[]string{"more"}}, B: []bool{true}, S: []string{""}, M: map[string]*Fuzzed{"": {N: -1}, "nil": nil},
		K: map[any]any{uint64(1 << 63): now}, P: map[Point][2]uint16{{1, 2}: {3, 4}}, T: &now,
		Addr: netip.MustParseAddr("::1%lo"), Any: map[any]any{2.5: []any{}},
	}))
	add(encode(f, &Node{1, &Node{2, nil}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzz[Point](t, b, 16)
		fuzz[Flags](t, b, 20)
		fuzz[string](t, b, 1)
		fuzz[[]Flags](t, b, 20)
		fuzz[[]string](t, b, 16)
		fuzz[time.Time](t, b, 24)
		fuzz[any](t, b, 16)
		fuzz[map[any]any](t, b, 16)
		fuzz[*Node](t, b, 24)
		fuzz[Fuzzed](t, b, 500)
		fuzz[[]map[string]Fuzzed](t, b, 500)
	})
}

// fuzz checks that b is an error or a T, at no great cost, and that the T may travel on if Append accepts it.
func fuzz[T any](t *testing.T, b []byte, size uintptr) {
	before := bytes.Clone(b)
	inProportion[T](t, "fuzz", b, size)
	if !bytes.Equal(b, before) {
		t.Fatal("Decode wrote to src")
	}
	c, v, w := codecOf[T](t), new(T), new(T)
	if c.Decode(b, v) != nil {
		return
	}
	again, err := c.Append(nil, v)
	if err != nil {
		return
	}
	if err := c.Decode(again, w); err != nil {
		t.Fatalf("%v\n%x gave %#v, which was sent as\n%x", err, b, v, again)
	}
	if last, err := c.Append(nil, w); err != nil || len(last) != len(again) {
		t.Fatalf("%v\n%x gave %#v, which arrived as %#v", err, b, v, w)
	}
}
