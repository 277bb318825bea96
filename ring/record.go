package ring

import "github.com/tandem-ipc/tandem/internal/layout"

// A record's header: len:32, flags:8, check:24. The check is the position, so what is left from another lap, or was
// written by nobody, is not taken for a record.

func headerOf(pos, n, flags uint64) uint64 { return n | flags<<32 | pos>>3<<40 }

// headerStep is what the next header of the same length is larger by; the check overflows as it should.
func headerStep(rec uint64) uint64 { return rec >> 3 << 40 }

// recordSize is what a payload of n bytes takes in the ring.
func recordSize(n uint64) uint64 { return (n + layout.RecHeader + 7) &^ 7 }

// A record is a checked header.
type record struct {
	off, n, flags uint64
}

// parse checks the header h, which is not 0, found at position pos.
func (r *SPSC) parse(pos, h uint64) (record, bool) {
	rec := record{off: pos & r.mask, n: h & 0xffffffff, flags: h >> 32 & 0xff}
	if h>>40 != pos>>3&0xffffff || rec.flags&layout.RecCommit == 0 || rec.flags&^layout.RecFlags != 0 {
		return rec, false
	}
	if rec.flags&layout.RecPad != 0 {
		return rec, true
	}
	return rec, rec.n <= uint64(r.MaxRecord()) && rec.off+recordSize(rec.n) <= r.mask+1
}

// after is the position behind a record at pos.
func (r *SPSC) after(pos uint64, rec record) uint64 {
	if rec.flags&layout.RecPad != 0 {
		return pos + r.mask + 1 - rec.off
	}
	return pos + recordSize(rec.n)
}

// walk follows committed records from pos until the first place without one, at most one lap, and returns it.
func (r *SPSC) walk(pos uint64, f func(pos uint64, rec record)) (uint64, error) {
	for start := pos; ; {
		h := r.header(pos & r.mask).Load()
		if h == 0 {
			return pos, nil
		}
		rec, ok := r.parse(pos, h)
		if !ok {
			return pos, ErrCorrupt
		}
		if f != nil && rec.flags&layout.RecPad == 0 {
			f(pos, rec)
		}
		if pos = r.after(pos, rec); pos-start > r.mask+1 {
			return pos, ErrCorrupt
		}
	}
}
