package move

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestACopyIsExactWhereverItLies(t *testing.T) {
	const room = 256
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{Least, Least + 1, 100, 127, 128, 129, 191, 192, 1000, 4096, piece - 1, piece, piece + 1, piece + Least, 2*piece + Least + 3} {
		for range 8 {
			from, to := rnd.IntN(room), rnd.IntN(room)
			src, dst := make([]byte, n+2*room), make([]byte, n+2*room)
			for i := range src {
				src[i], dst[i] = byte(rnd.Uint32()), byte(i)
			}
			want := bytes.Clone(dst)
			copy(want[to:to+n], src[from:])
			Movsb(dst[to:to+n:to+n], src[from:from+n:from+n])
			if !bytes.Equal(dst, want) {
				t.Fatalf("%d bytes from %d to %d: wrong", n, from, to)
			}
		}
	}
}
