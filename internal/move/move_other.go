//go:build !amd64

package move

// Movsb is copy: this processor has no other way.
func Movsb(dst, src []byte) { copy(dst, src) }
