package codec_test

import (
	"testing"

	"github.com/fxamacker/cbor/v2"
)

type Small struct {
	ID   int
	Name string
	Tags []string
}

var small = Small{12345, "a name of some length", []string{"one", "two"}}

func benchmark[T any](b *testing.B, v T) {
	c := codecOf[T](b)
	dst, err := c.Append(nil, &v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(dst)))
		b.ReportAllocs()
		for b.Loop() {
			dst, _ = c.Append(dst[:0], &v)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(dst)))
		b.ReportAllocs()
		var w T
		for b.Loop() {
			c.Decode(dst, &w)
		}
	})
}

func BenchmarkPlain64(b *testing.B)    { benchmark(b, [8]uint64{}) }
func BenchmarkPoints1000(b *testing.B) { benchmark(b, make([]Point, 1000)) }
func BenchmarkCBOR(b *testing.B)       { benchmark(b, small) }
func BenchmarkAny(b *testing.B) {
	benchmark[any](b, []any{12345, "a name of some length", nil, map[string]any{"k": 1.5}})
}

// The library alone, with its own options, for comparison with BenchmarkCBOR.
func BenchmarkCBORLibrary(b *testing.B) {
	data, err := cbor.Marshal(small)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			cbor.Marshal(small)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		var w Small
		for b.Loop() {
			cbor.Unmarshal(data, &w)
		}
	})
}
