package csrc

import (
	"github.com/tandem-ipc/tandem/internal/move"
	"github.com/tandem-ipc/tandem/internal/policy"
)

// small is below every policy's threshold; so the ordinary copy costs nothing more.
const small = 1 << 10

// Copy is copy, for memory that another processor has just used. Where there is much of it, it is done as the policy says,
// in a way that need not read first what it is about to write (docs/decisions/008-policy.md). The two must not overlap.
func Copy(dst, src []byte) int {
	n := min(len(dst), len(src))
	if n < small {
		return copy(dst, src)
	}
	method, from := policy.Copying()
	if n < from {
		return copy(dst, src)
	}
	dst, src = dst[:n], src[:n]
	switch method {
	case policy.CopyMovsb:
		move.Movsb(dst, src)
	case policy.CopyStream:
		move.Stream(dst, src)
	case policy.CopyC:
		bulk(dst, src)
	default:
		copy(dst, src)
	}
	return n
}
