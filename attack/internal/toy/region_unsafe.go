//go:build unix

package toy

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Size of a region.
const Size = 8192

// Region is a shared file, mapped.
type Region struct {
	Mem   []byte
	Words *[Size / 8]atomic.Uint64
}

// Open maps an existing file of Size bytes.
func Open(path string) (*Region, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mapRegion(int(f.Fd()))
}

func mapRegion(fd int) (*Region, error) {
	mem, err := syscall.Mmap(fd, 0, Size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("toy: map: %w", err)
	}
	return &Region{mem, (*[Size / 8]atomic.Uint64)(unsafe.Pointer(&mem[0]))}, nil
}

// Close unmaps it.
func (r *Region) Close() { syscall.Munmap(r.Mem) }
