package main

import (
	"sync/atomic"
	"unsafe"
)

// word is a 64-bit word in shared memory.
type word struct{ p *uint64 }

// wordAt is the word at an offset, a multiple of 8, of a mapping.
func wordAt(mem []byte, offset int) word {
	return word{(*uint64)(unsafe.Pointer(unsafe.SliceData(mem[offset:][:8])))}
}

func (w word) Load() uint64   { return atomic.LoadUint64(w.p) }
func (w word) Store(v uint64) { atomic.StoreUint64(w.p, v) }
