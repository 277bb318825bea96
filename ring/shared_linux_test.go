package ring

import (
	"testing"

	"golang.org/x/sys/unix"
)

// shared is memory as processes share it, and not of the Go heap, which C must not keep.
func shared(t testing.TB, n int) []byte {
	t.Helper()
	m, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(m) })
	return m
}
