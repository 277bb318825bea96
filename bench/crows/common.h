// What the C rows share: the clock, the pause, the end of a run.
#ifndef CROWS_COMMON_H
#define CROWS_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "crows.h"

#define INLINE static inline __attribute__((always_inline))
#define COLD static __attribute__((noinline, cold))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define LINE 64

typedef _Atomic uint64_t word;

INLINE uint64_t acquire(const word *p) { return atomic_load_explicit((word *)p, memory_order_acquire); }
INLINE void release(word *p, uint64_t v) { atomic_store_explicit(p, v, memory_order_release); }
INLINE void plain(word *p, uint64_t v) { atomic_store_explicit(p, v, memory_order_relaxed); }

INLINE int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

INLINE void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

// wait_a_bit is one step of a busy wait: a pause, or the CPU itself when both ends share one.
INLINE void wait_a_bit(const crows_run *r)
{
	if (UNLIKELY(r->yield))
		sched_yield();
	else
		pause_cpu();
}

// pauses_in says how many pauses last so many nanoseconds: 4 ns to 50 ns each, depending on the processor.
uint64_t crows_pauses_in(int64_t ns);

enum { BULK = 1024 };

// bulk_copy is for BULK bytes and more. Processors that have a fast string move write whole lines with it without reading
// them first; lines that another CPU has are dear to read (1 MiB between far CPUs: 28 GB/s so, 11 with memcpy; between
// near ones 41 and 37).
extern int crows_fast_strings;

INLINE void bulk_copy(char *to, const char *from, uint64_t size)
{
#if defined(__x86_64__)
	if (LIKELY(crows_fast_strings)) {
		__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
		return;
	}
#endif
	memcpy(to, from, size);
}

// more is the producer's question: another chunk? The end is announced before the last chunk is sent, so a consumer
// that asks left never waits for a message that does not come.
typedef struct {
	uint64_t count;
	int last;
} crows_loop;

INLINE int more(const crows_run *r, crows_loop *l)
{
	if (l->last)
		return 0;
	l->count += r->chunk;
	if (now() >= r->deadline) {
		l->last = 1;
		release((word *)r->end, l->count);
	}
	return 1;
}

INLINE int left(const crows_run *r, crows_loop *l)
{
	if (acquire((word *)r->end) == l->count && l->count)
		return 0;
	l->count += r->chunk;
	return 1;
}

// touch reads one word of every line of a message.
INLINE uint64_t touch(const char *p, uint64_t size)
{
	uint64_t sum = 0;
	for (uint64_t i = 0; i < size; i += LINE) {
		uint64_t v;
		memcpy(&v, p + i, sizeof v);
		sum += v;
	}
	return sum;
}

INLINE void sample(crows_run *r, int64_t ns)
{
	if (r->taken < r->nsamples)
		r->samples[r->taken++] = ns;
}

// round_trips runs TRIP, an expression of the trip's number i, until the time is over, timing one trip in every.
#define round_trips(r, TRIP)                                   \
	do {                                                   \
		crows_loop l_ = {0};                           \
		uint64_t i = 0;                                \
		while (more(r, &l_)) {                         \
			for (uint64_t k_ = 0; k_ < (r)->chunk; k_++) { \
				i++;                           \
				if (i & ((r)->every - 1)) {         \
					TRIP;                  \
					continue;              \
				}                              \
				int64_t t_ = now();            \
				TRIP;                          \
				sample(r, now() - t_);         \
			}                                      \
		}                                              \
		(r)->count = l_.count;                         \
	} while (0)

#define round_trips_back(r, TRIP)                              \
	do {                                                   \
		crows_loop l_ = {0};                           \
		uint64_t i = 0;                                \
		while (left(r, &l_)) {                         \
			for (uint64_t k_ = 0; k_ < (r)->chunk; k_++) { \
				i++;                           \
				TRIP;                          \
			}                                      \
		}                                              \
		(r)->count = l_.count;                         \
	} while (0)

#endif
