package csrc

import (
	"github.com/tandem-ipc/tandem/internal/move"
	"github.com/tandem-ipc/tandem/internal/policy"
)

// Copy is copy, for memory that another processor has just used. Where there is much of it, it is done as the policy says
// (docs/decisions/008-policy.md). The two must not overlap.
func Copy(dst, src []byte) int {
	n := min(len(dst), len(src))
	if n < policy.CopyFrom {
		return copy(dst, src)
	}
	dst, src = dst[:n], src[:n]
	switch policy.Copying() {
	case policy.CopyC:
		bulk(dst, src)
	case policy.CopyMovsb:
		move.Movsb(dst, src)
	default:
		copy(dst, src)
	}
	return n
}
