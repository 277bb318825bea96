package shm

import (
	"os"
	"sync"

	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/internal/layout"
)

// mappingsHoldLocks asks the kernel once whether a lock outlives the close of its descriptor while the description is
// mapped. Linux has always done so, because a mapping references the file, but it is documented nowhere; where it is not
// so, every segment keeps its descriptor open.
var mappingsHoldLocks = sync.OnceValue(func() bool {
	if feature.MapLock.Off() {
		return false
	}
	ok, err := tryMappedLock()
	return ok && err == nil
})

func tryMappedLock() (bool, error) {
	f, temporary, err := newFile(directory(), bornFile(randomNonce()))
	if err != nil {
		return false, err
	}
	if temporary != "" {
		defer os.Remove(temporary)
	}
	second, err := reopen(f, temporary)
	if err != nil {
		f.Close()
		return false, err
	}
	defer second.Close()
	size := int64(os.Getpagesize())
	err = f.Truncate(size)
	if err == nil {
		_, err = tryLock(f, writeLock, layout.LockSlot)
	}
	if err != nil {
		f.Close()
		return false, err
	}
	m, err := mapFile(f, size)
	f.Close()
	if err != nil {
		return false, err
	}
	free, err := tryLock(second, readLock, layout.LockSlot)
	if uerr := m.Unmap(); err == nil {
		err = uerr
	}
	return !free, err
}
