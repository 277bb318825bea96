//go:build amd64

package move

import "unsafe"

//go:noescape
func movsb(dst, src *byte, n uintptr)

// Movsb copies src to dst, which has the same length, at least Least, and does not overlap it, by rep movsb.
func Movsb(dst, src []byte) {
	for len(src) >= piece+Least {
		movsb(unsafe.SliceData(dst), unsafe.SliceData(src), piece)
		dst, src = dst[piece:], src[piece:]
	}
	movsb(unsafe.SliceData(dst), unsafe.SliceData(src), uintptr(len(src)))
}
