package sweep

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// newMemory gives a file without a name.
func newMemory(what string, size int64) (*os.File, error) {
	fd, err := unix.MemfdCreate("attack-"+what, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("sweep: memfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), what)
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, fmt.Errorf("sweep: memfd: %w", err)
	}
	return f, nil
}

// content reads such a file, at most limit bytes.
func content(f *os.File, limit int64) string {
	b, _ := io.ReadAll(io.NewSectionReader(f, 0, limit))
	return string(b)
}
