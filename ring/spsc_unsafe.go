package ring

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/tandem-ipc/tandem/csrc"
	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/policy"
)

// SPSC is a ring over memory that somebody else provides and keeps.
type SPSC struct {
	ring *layout.Ring
	base unsafe.Pointer // of data
	data []byte         // capacity bytes
	mask uint64

	readers, writers futex.Lot // where the consumer and the producer park; nil: they do not
}

// Size is how much memory a ring of the given capacity needs. Capacities are powers of two from 4 KiB to 1 GiB.
func Size(capacity int) int { return layout.SizeRing + capacity }

// Capacity rounds up to a possible capacity.
func Capacity(bytes int) int {
	return 1 << bits.Len(uint(min(max(bytes, layout.RingMin), layout.RingMax)-1))
}

// New makes a ring in mem, which must be zero, aligned to 8 bytes, and Size(capacity) long.
func New(mem []byte, capacity int) (*SPSC, error) {
	if capacity != Capacity(capacity) {
		return nil, fmt.Errorf("ring: capacity %d is no power of two from %d to %d", capacity, layout.RingMin, layout.RingMax)
	}
	if len(mem) < Size(capacity) {
		return nil, fmt.Errorf("ring: %d bytes of memory for a ring that needs %d", len(mem), Size(capacity))
	}
	r, err := overlay(mem)
	if err != nil {
		return nil, err
	}
	r.Magic, r.Shift = layout.RingMagic, uint32(bits.Len(uint(capacity))-1)
	return Open(mem)
}

// Open finds a ring in mem that New has made there, in this process or another.
func Open(mem []byte) (*SPSC, error) {
	if err := policy.Check(); err != nil {
		return nil, fmt.Errorf("ring: %w", err)
	}
	r, err := overlay(mem)
	if err != nil {
		return nil, err
	}
	magic, shift := r.Magic, r.Shift
	capacity := 1 << (shift & 31)
	if magic != layout.RingMagic || capacity != Capacity(capacity) || len(mem) < Size(capacity) {
		return nil, fmt.Errorf("%w: no ring in %d bytes of memory", ErrCorrupt, len(mem))
	}
	data := mem[layout.SizeRing:Size(capacity):Size(capacity)]
	return &SPSC{ring: r, base: pointer(data), data: data, mask: uint64(capacity - 1)}, nil
}

func overlay(mem []byte) (*layout.Ring, error) {
	if len(mem) < layout.SizeRing || uintptr(unsafe.Pointer(unsafe.SliceData(mem)))%8 != 0 {
		return nil, fmt.Errorf("ring: %d bytes of memory, or not aligned to 8", len(mem))
	}
	return (*layout.Ring)(unsafe.Pointer(unsafe.SliceData(mem))), nil
}

// Capacity is the size of the ring in bytes. A record takes 8 bytes more than its payload, rounded up to 8.
func (r *SPSC) Capacity() int { return len(r.data) }

// MaxRecord is the largest payload: a quarter of the ring, less the header.
func (r *SPSC) MaxRecord() int { return len(r.data)/4 - layout.RecHeader }

// Park lets the consumer and the producer park in lots when they wait long, or many do. It is called before either side is
// taken. All processes that use the ring must do the same.
func (r *SPSC) Park(readers, writers futex.Lot) { r.readers, r.writers = readers, writers }

// RouseAll wakes both sides if they sleep, to make them look at something else than the ring.
func (r *SPSC) RouseAll() {
	futex.RouseAll(&r.ring.RWait, r.readers)
	futex.RouseAll(&r.ring.WWait, r.writers)
}

// Pending calls f for every record that is committed and not taken, with the position behind it.
func (r *SPSC) Pending(f func(after uint64, m Message)) error {
	_, err := r.walk(r.ring.Cursor.Load(), func(pos uint64, rec record) {
		f(r.after(pos, rec), Message{Data: r.payload(rec.off, rec.n), Big: rec.flags&layout.RecBig != 0})
	})
	return err
}

// header is the word at an offset, which is a multiple of 8 below the capacity.
func (r *SPSC) header(off uint64) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Add(r.base, off)) }

// setPlain stores without order: the store of a header orders it.
func (r *SPSC) setPlain(off, v uint64) {
	*(*uint64)(unsafe.Add(r.base, off)) = v
}

// payload is the memory behind a header.
func (r *SPSC) payload(off, n uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(r.base, off+layout.RecHeader)), n)
}

// move copies a payload. Short ones go word by word: a vector straddles lines that are just changing hands, and a call of
// memmove costs more than the copy (docs/decisions/002-batches.md).
func move(dst, src unsafe.Pointer, n uint64) {
	switch n {
	case 8:
		*(*uint64)(dst) = *(*uint64)(src)
	case 64:
		move64(dst, src)
	default:
		csrc.Copy(unsafe.Slice((*byte)(dst), n), unsafe.Slice((*byte)(src), n))
	}
}

// move64 is small enough to be inlined.
func move64(dst, src unsafe.Pointer) {
	d, s := (*[8]uint64)(dst), (*[8]uint64)(src)
	d[0], d[1], d[2], d[3] = s[0], s[1], s[2], s[3]
	d[4], d[5], d[6], d[7] = s[4], s[5], s[6], s[7]
}

// at is the memory at an offset.
func (r *SPSC) at(off uint64) unsafe.Pointer { return unsafe.Add(r.base, off) }

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// setBurst writes k records of size bytes from src, but for the first one's header, and zeroes the header behind them. h is
// the first header. The caller has checked that there is room in one piece.
func (r *SPSC) setBurst(off, h, size uint64, src unsafe.Pointer, k int) {
	rec := recordSize(size)
	next := headerStep(rec)
	p := r.at(off)
	last := unsafe.Add(p, uint64(k-1)*rec)
	if size == 64 {
		for move64(unsafe.Add(p, layout.RecHeader), src); p != last; move64(unsafe.Add(p, layout.RecHeader), src) {
			p, src, h = unsafe.Add(p, rec), unsafe.Add(src, 64), h+next
			*(*uint64)(p) = h
		}
	} else {
		for move(unsafe.Add(p, layout.RecHeader), src, size); p != last; move(unsafe.Add(p, layout.RecHeader), src, size) {
			p, src, h = unsafe.Add(p, rec), unsafe.Add(src, size), h+next
			*(*uint64)(p) = h
		}
	}
	r.setPlain((off+uint64(k)*rec)&r.mask, 0)
}

// getBurst copies up to k records of exactly size bytes to dst and returns how many: it stops before the end of the lap and
// before anything else than such a record. h is the header that the first one must have. No pointer is moved but to a
// record that may be there, and to room for it.
func (r *SPSC) getBurst(off, h, size uint64, dst unsafe.Pointer, k int) (n int) {
	rec := recordSize(size)
	next := headerStep(rec)
	if k = min(k, int((r.mask+1-off)/rec)); k <= 0 {
		return 0
	}
	p := r.at(off)
	if size == 64 {
		for (*atomic.Uint64)(p).Load() == h {
			move64(dst, unsafe.Add(p, layout.RecHeader))
			if n++; n == k {
				break
			}
			p, h, dst = unsafe.Add(p, rec), h+next, unsafe.Add(dst, 64)
		}
		return n
	}
	for (*atomic.Uint64)(p).Load() == h {
		move(dst, unsafe.Add(p, layout.RecHeader), size)
		if n++; n == k {
			break
		}
		p, h, dst = unsafe.Add(p, rec), h+next, unsafe.Add(dst, size)
	}
	return n
}

func word(p *atomic.Uint64) *uint64 { return (*uint64)(unsafe.Pointer(p)) }
