//go:build linux

package shm

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/internal/layout"
)

// node is the kernel's struct robust_list; listHead is struct robust_list_head.
type node struct {
	next atomic.Uintptr
}

type listHead struct {
	node
	offset  int64
	pending uintptr
}

const waiters = 1 << 31 // FUTEX_WAITERS: without it the kernel marks and wakes nobody

// lives is the region of one Space.
type lives struct {
	base  unsafe.Pointer // layout.Region bytes of nodes, then layout.Region bytes of life words
	nodes []*node
}

func (l *lives) value() uint32 { return notice.tid | waiters }

// startNotice starts the thread, once.
func startNotice() {
	if feature.RobustList.Off() {
		return
	}
	up := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		if page, err := unix.MmapPtr(-1, 0, nil, uintptr(unix.Getpagesize()), unix.PROT_READ|unix.PROT_WRITE,
			unix.MAP_PRIVATE|unix.MAP_ANONYMOUS); err == nil {
			head := (*listHead)(page)
			head.next.Store(uintptr(page)) // an empty list points to its head
			head.offset = layout.Region
			if _, _, errno := unix.RawSyscall(unix.SYS_SET_ROBUST_LIST, uintptr(page), unsafe.Sizeof(*head), 0); errno == 0 {
				notice.head, notice.tid = uintptr(page), uint32(unix.Gettid())
			}
		}
		close(up)
		select {} // a locked goroutine keeps its thread; the thread's end is the process's
	}()
	<-up
}

// linkLives maps the region of a Space and puts its nodes on the list: after mapping, because the kernel gives up at the
// first node whose word is not there.
func linkLives(s *space) (*lives, error) {
	notice.start.Do(startNotice)
	notice.mu.Lock()
	defer notice.mu.Unlock()
	if notice.tid == 0 || notice.nodes+layout.Lives > mostNodes {
		return nil, errNoNotice
	}
	base, err := unix.MmapPtr(-1, 0, nil, 2*layout.Region, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("shm: map life words: %w", err)
	}
	// mmap-go maps where it likes; this has to be exactly here.
	words, err := unix.MmapPtr(int(s.probe.Fd()), layout.RootLives, unsafe.Add(base, layout.Region), layout.Region,
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED)
	if err == nil {
		err = errors.Join(unix.Madvise(unsafe.Slice((*byte)(base), 2*layout.Region), unix.MADV_DONTFORK),
			unix.Madvise(unsafe.Slice((*byte)(words), layout.Region), unix.MADV_DONTDUMP))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("shm: map life words: %w", err), unix.MunmapPtr(base, 2*layout.Region))
	}
	l := &lives{base: base}
	head := headOf()
	for k := range layout.Lives {
		n := (*node)(unsafe.Add(base, s.self.Slot()*layout.LifeStride+k*layout.LifeStep))
		n.next.Store(head.next.Load())
		head.next.Store(uintptr(unsafe.Pointer(n))) // linked by one store
		l.nodes = append(l.nodes, n)
	}
	notice.nodes += layout.Lives
	return l, nil
}

// unmap takes the nodes off the list, then unmaps.
func (l *lives) unmap() error {
	if l == nil {
		return nil
	}
	notice.mu.Lock()
	defer notice.mu.Unlock()
	for _, n := range l.nodes {
		at := uintptr(unsafe.Pointer(n))
		for before := &headOf().node; ; before = nodeAt(before.next.Load()) {
			if before.next.Load() == at {
				before.next.Store(n.next.Load())
				break
			}
		}
	}
	notice.nodes -= len(l.nodes)
	return unix.MunmapPtr(l.base, 2*layout.Region)
}

func headOf() *listHead { return (*listHead)(pointer(notice.head)) }

func nodeAt(at uintptr) *node { return (*node)(pointer(at)) }

// pointer makes a pointer of an address outside the Go heap: pages that we mapped ourselves and that stay.
func pointer(at uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&at)) }
