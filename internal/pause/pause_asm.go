//go:build amd64 || arm64

package pause

// spin needs n > 0.
func spin(n uint32)
