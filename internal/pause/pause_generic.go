//go:build !amd64 && !arm64

package pause

//go:noinline
func spin(n uint32) {
	for range n * 8 {
		touch()
	}
}

//go:noinline
func touch() {}
