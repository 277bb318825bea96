// Package pause tells the processor that we are spinning. It is a package of its own because assembly and cgo cannot
// share one.
package pause

// Spin executes n spin-wait hints: PAUSE on amd64 (4 to 50 ns each), ISB on arm64 (about 10 to 40 ns). Elsewhere it is a
// loop of the same length.
func Spin(n uint32) {
	if n > 0 {
		spin(n)
	}
}
