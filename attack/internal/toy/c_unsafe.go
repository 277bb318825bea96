//go:build cgo && linux && amd64

package toy

/*
#include <stddef.h>

// Every instruction of these is a kill point.

__attribute__((noinline)) void toy_bytes(volatile char *to, const char *from) {
	for (int i = 0; i < 10; i++)
		to[i] = from[i];
}

__attribute__((noinline)) void toy_rep(void *to, const void *from, size_t n) {
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

__attribute__((noinline)) void toy_fill(void *to, size_t n) {
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(0x0101010101010101) : "memory");
}

extern inline __attribute__((target("avx2"))) void toy_vector(void *to, const void *from) {
	__asm__ volatile("vmovdqu (%1), %%ymm0\n\tvmovdqu %%ymm0, (%0)\n\tvmovdqu %%ymm0, 32(%0)\n\tvzeroupper"
		: : "r"(to), "r"(from) : "memory", "xmm0");
}

// Inlines it, so that DWARF tells about toy_vector in two places.
__attribute__((target("avx2"))) void toy_vector_twice(char *to, const void *from) {
	toy_vector(to, from);
	toy_vector(to + 64, from);
}
*/
import "C"

import (
	"bytes"
	"fmt"
	"unsafe"

	"github.com/tandem-ipc/tandem/attack/sweep"
)

var message = []byte("0123456789 and more, up to a hundred bytes so that a repeated move has something to do for its money.")

// prefix is the oracle: what is there is a beginning of the message.
func prefix(n int) func(*sweep.SurvivorEnv) error {
	return with(func(r *Region, s *sweep.SurvivorEnv) error {
		got := r.Mem[:n]
		if i := bytes.IndexByte(got, 0); i >= 0 {
			got = got[:i]
		}
		switch {
		case !bytes.HasPrefix(message, got):
			return fmt.Errorf("%q is no prefix", got)
		case s.Journal.Returned() && len(got) != n:
			return fmt.Errorf("returned after %d bytes of %d", len(got), n)
		}
		s.Journal.Set(0, uint64(len(got)))
		return nil
	})
}

func cOps() []sweep.Op {
	return []sweep.Op{
		{
			Name: "toy/c-bytes", C: []string{"toy_bytes"}, World: world, After: after, Recover: prefix(10),
			Victim: on(func(r *Region, _ *sweep.VictimEnv) error {
				C.toy_bytes((*C.char)(unsafe.Pointer(&r.Mem[0])), (*C.char)(unsafe.Pointer(&message[0])))
				return nil
			}),
		},
		{
			Name: "toy/c-rep", World: world, After: after, Recover: prefix(100),
			Victim: on(func(r *Region, _ *sweep.VictimEnv) error {
				C.toy_rep(unsafe.Pointer(&r.Mem[0]), unsafe.Pointer(&message[0]), 100)
				return nil
			}),
		},
		fill("toy/c-fill"),
		fill("toy/c-file", "file:c_unsafe.go"),
		fill("toy/c-none", "toy_no_such_function"),
	}
}

func fill(name string, c ...string) sweep.Op {
	return sweep.Op{
		Name: name, C: c, World: world, After: after,
		Recover: func(*sweep.SurvivorEnv) error { return nil },
		Victim: on(func(r *Region, _ *sweep.VictimEnv) error {
			C.toy_fill(unsafe.Pointer(&r.Mem[0]), 16)
			C.toy_vector(unsafe.Pointer(&r.Mem[256]), unsafe.Pointer(&message[0]))
			return nil
		}),
	}
}
