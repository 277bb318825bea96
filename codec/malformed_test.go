package codec_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/tandem-ipc/tandem/codec"
)

func TestMalformedBytesAreRefused(t *testing.T) {
	malformed := func(name string, err error, want string) {
		t.Helper()
		if !errors.Is(err, codec.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	dec := func(b []byte, v any) error {
		switch v := v.(type) {
		case *Point:
			return codecOf[Point](t).Decode(b, v)
		case *Flags:
			return codecOf[Flags](t).Decode(b, v)
		case *[]Flags:
			return codecOf[[]Flags](t).Decode(b, v)
		case *[]Point:
			return codecOf[[]Point](t).Decode(b, v)
		case *Node:
			return codecOf[Node](t).Decode(b, v)
		case *any:
			return codecOf[any](t).Decode(b, v)
		}
		panic(v)
	}
	malformed("short", dec(make([]byte, 12), new(Point)), "codec: codec_test.Point: malformed: 12 bytes, want 16")
	malformed("long", dec(make([]byte, 17), new(Point)), "17 bytes, want 16")
	malformed("odd", dec(make([]byte, 17), new([]Point)), "17 bytes, want a multiple of 16")

	size := codecOf[Flags](t).Size()
	for at, isBool := range map[int]bool{0: false, 4: true, 5: false, 6: true, 8: true, 10: true, 11: true} {
		b := make([]byte, 3*size)
		b[size+at] = 2
		var f Flags
		list := make([]Flags, 3)
		err := dec(b[size:2*size], &f)
		if errs := dec(b, &list); (err != nil) != isBool || (errs != nil) != isBool {
			t.Errorf("byte %d: %v, %v", at, err, errs)
		}
		if isBool {
			malformed("bool", err, "a bool that is neither 0 nor 1")
			if f != (Flags{}) || slices.ContainsFunc(list, func(f Flags) bool { return f != Flags{} }) {
				t.Errorf("byte %d: wrong bools were left in %v, %v", at, f, list)
			}
		}
	}

	for name, b := range map[string][]byte{
		"empty":          {},
		"unknown field":  {0xa1, 0x61, 'Z', 0x01},
		"wrong case":     {0xa1, 0x65, 'v', 'a', 'l', 'u', 'e', 0x01},
		"twice":          {0xa2, 0x65, 'V', 'a', 'l', 'u', 'e', 0x01, 0x65, 'V', 'a', 'l', 'u', 'e', 0x01},
		"wrong type":     {0xa1, 0x65, 'V', 'a', 'l', 'u', 'e', 0x61, 'x'},
		"trailing":       {0xa0, 0x00},
		"cut":            {0xa1, 0x65, 'V'},
		"an array":       {0x80},
		"indefinite":     {0xbf, 0xff},
		"length of 2^63": {0xbb, 0x80, 0, 0, 0, 0, 0, 0, 0},
		"length of 2^32": {0xbb, 0, 0, 0, 1, 0, 0, 0, 0},
		"reserved":       {0xbc},
	} {
		err := dec(b, new(Node))
		malformed(name, err, "codec: codec_test.Node: malformed: ")
		if errors.Is(err, io.EOF) {
			t.Errorf("%s: looks like the end of a stream: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"twice":            {0xa2, 0x01, 0x01, 0x01, 0x02},
		"twice and large":  append(append([]byte{0xa2}, bytes.Repeat([]byte{0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x01}, 2)...), nil...),
		"array as key":     {0xa1, 0x80, 0x01},
		"bytes as key":     {0xa1, 0x41, 0x01, 0x01},
		"too negative":     {0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"bignum":           {0xc2, 0x41, 0x01},
		"indefinite array": {0x9f, 0x01, 0xff},
		"indefinite text":  {0x7f, 0x61, 'a', 0xff},
		"indefinite bytes": {0x5f, 0x41, 'a', 0xff},
		"deep":             append(bytes.Repeat([]byte{0x81}, 257), 0),
		"deep tags":        append(bytes.Repeat([]byte{0xd8, 0x20}, 1000), 0),
	} {
		malformed(name, dec(b, new(any)), "codec: interface {}: malformed: ")
	}
}

func TestHostileBytesAllocateInProportionToTheirLength(t *testing.T) {
	many := func(head []byte, item ...byte) []byte {
		return append(slices.Clone(head), bytes.Repeat(item, 20_000)...)
	}
	array, dict := []byte{0x9a, 0, 0, 0x4e, 0x20}, []byte{0xba, 0, 0, 0x4e, 0x20}
	for name, b := range map[string][]byte{
		"array that is not there":  {0x9b, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff},
		"map that is not there":    {0xba, 0x7f, 0xff, 0xff, 0xff, 0x01},
		"bytes that are not there": {0x5b, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff},
		"text that is not there":   {0x7a, 0x7f, 0xff, 0xff, 0xff},
		"arrays within arrays":     bytes.Repeat([]byte{0x9a, 0x00, 0x01, 0x00, 0x00}, 250),
		"maps within maps":         bytes.Repeat([]byte{0xba, 0x00, 0x01, 0x00, 0x00, 0x00}, 250),
		"deep":                     bytes.Repeat([]byte{0x81}, 20_000),
		"tags":                     bytes.Repeat([]byte{0xd8, 0x20}, 20_000),
		"indefinite":               bytes.Repeat([]byte{0x9f}, 20_000),
		"empty arrays":             many(array, 0x80),
		"empty maps":               many(array, 0xa0),
		"empty texts":              many(array, 0x60),
		"small maps":               many(array, 0xa1, 0x01, 0x01),
		"large integers":           many(array, 0x1b, 0xff, 0, 0, 0, 0, 0, 0, 0),
		"nulls":                    many(array, 0xf6),
		"integers":                 many(array, 0x01),
		"one key":                  many(dict, 0x01, 0x01),
		"arrays as keys":           many(dict, 0x80, 0x01),
	} {
		inProportion[any](t, name, b, 1)
		inProportion[[]any](t, name, b, 1)
		inProportion[map[any]any](t, name, b, 1)
		inProportion[[]map[any]any](t, name, b, 1)
		inProportion[[]string](t, name, b, 1)
		inProportion[[]*Node](t, name, b, unsafe.Sizeof(Node{}))
		inProportion[[]time.Time](t, name, b, unsafe.Sizeof(time.Time{}))
		inProportion[[]Large](t, name, b, unsafe.Sizeof(Large{}))
	}
}

type Large struct {
	S string
	A [1000]byte
}

// inProportion decodes b to a T, whose largest element has size bytes.
func inProportion[T any](t testing.TB, name string, b []byte, size uintptr) {
	t.Helper()
	c := codecOf[T](t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.Decode(b, new(T))
	runtime.ReadMemStats(&after)
	n := after.TotalAlloc - before.TotalAlloc
	if limit := uint64(len(b))*max(400, uint64(size)+100) + 16<<10; n > limit {
		t.Errorf("%s as %s: %d bytes made Decode allocate %d, %.1f each", name, c.Type().Name, len(b), n, float64(n)/float64(len(b)))
	}
}
