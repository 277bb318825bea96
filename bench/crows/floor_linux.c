// The floor: what the machine itself charges, without any data structure.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "common.h"

int crows_fast_strings;

__attribute__((constructor)) static void look_at_the_processor(void)
{
#if defined(__x86_64__)
	unsigned a, b, c, d;
	crows_fast_strings = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 9 & 1); // ERMS
#endif
}

uint64_t crows_pauses_in(int64_t ns)
{
	static uint64_t per_microsecond;
	if (!per_microsecond) {
		int64_t best = INT64_MAX;
		for (int k = 0; k < 5; k++) {
			int64_t t = now();
			for (int i = 0; i < 256; i++)
				pause_cpu();
			t = now() - t;
			if (t < best)
				best = t;
		}
		per_microsecond = best > 0 ? 256000 / (uint64_t)best : 256000;
		if (!per_microsecond)
			per_microsecond = 1;
	}
	uint64_t n = per_microsecond * (uint64_t)ns / 1000;
	return n ? n : 1;
}

const char *crows_compiler(void)
{
#if defined(__clang__)
	return "clang " __clang_version__;
#else
	return "gcc " __VERSION__;
#endif
}

// The cache line: one line each way, 256 bytes apart so that no prefetcher of neighbouring lines joins in. Each side
// writes only its own. With size 8 the sequence word is the message; with 64 the message stands behind it and reaches into the
// next line.
enum { THERE = 4096, BACK = THERE + 256 };

INLINE void line_write(const crows_run *r, char *line, uint64_t i)
{
	if (r->size > 8)
		memcpy(line + 8, r->msgs + (i & (r->nmsgs - 1)) * r->size, r->size);
	release((word *)line, i);
}

INLINE void line_read(crows_run *r, const char *line, uint64_t i)
{
	while (acquire((const word *)line) != i)
		pause_cpu();
	if (r->size > 8) {
		memcpy(r->out, line + 8, r->size);
		__asm__ volatile("" ::"r"(r->out) : "memory");
	}
}

void crows_line_ping(crows_run *r)
{
	char *there = r->mem + THERE, *back = r->mem + BACK;
	round_trips(r, (line_write(r, there, i), line_read(r, back, i)));
}

void crows_line_pong(crows_run *r)
{
	char *there = r->mem + THERE, *back = r->mem + BACK;
	round_trips_back(r, (line_read(r, there, i), line_write(r, back, i)));
}

// One line that both write: odd there, even back.
void crows_one_line_ping(crows_run *r)
{
	word *w = (word *)(r->mem + THERE);
	round_trips(r, {
		release(w, 2 * i - 1);
		while (acquire(w) != 2 * i)
			pause_cpu();
	});
}

void crows_one_line_pong(crows_run *r)
{
	word *w = (word *)(r->mem + THERE);
	round_trips_back(r, {
		while (acquire(w) != 2 * i - 1)
			pause_cpu();
		release(w, 2 * i);
	});
}

// The futex: the same two lines, each side asleep while the other works. Shared futexes, as two processes need them.
typedef _Atomic uint32_t futex_word;

INLINE void futex_post(futex_word *w, uint32_t i)
{
	atomic_store_explicit(w, i, memory_order_release);
	syscall(SYS_futex, w, FUTEX_WAKE, 1, NULL, NULL, 0);
}

INLINE void futex_await(futex_word *w, uint32_t i)
{
	uint32_t v;
	while ((v = atomic_load_explicit(w, memory_order_acquire)) != i)
		syscall(SYS_futex, w, FUTEX_WAIT, v, NULL, NULL, 0);
}

void crows_futex_ping(crows_run *r)
{
	futex_word *there = (futex_word *)(r->mem + THERE), *back = (futex_word *)(r->mem + BACK);
	round_trips(r, (futex_post(there, (uint32_t)i), futex_await(back, (uint32_t)i)));
}

void crows_futex_pong(crows_run *r)
{
	futex_word *there = (futex_word *)(r->mem + THERE), *back = (futex_word *)(r->mem + BACK);
	round_trips_back(r, (futex_await(there, (uint32_t)i), futex_post(back, (uint32_t)i)));
}

// Copy in, copy out: slots that are full or empty, and a flag for each in lines of its own. The producer writes it when the
// slot is full, the consumer writes 0 when it is empty.
enum { SLOTS = 8 };

INLINE word *copy_flag(const crows_run *r, uint64_t i) { return (word *)(r->mem + THERE + (i % SLOTS) * LINE * 2); }
INLINE char *copy_slot(const crows_run *r, uint64_t i) { return r->mem + 2 * THERE + (i % SLOTS) * ((r->size + 4095) & ~4095ull); }

void crows_copy_in(crows_run *r)
{
	crows_loop l = {0};
	uint64_t i = 0;
	while (more(r, &l)) {
		for (uint64_t k = 0; k < r->chunk; k++, i++) {
			word *full = copy_flag(r, i);
			while (acquire(full))
				wait_a_bit(r);
			bulk_copy(copy_slot(r, i), r->msgs + (i & (r->nmsgs - 1)) * r->size, r->size);
			release(full, i + 1);
		}
	}
	r->count = l.count;
}

void crows_copy_out(crows_run *r)
{
	crows_loop l = {0};
	uint64_t i = 0;
	while (left(r, &l)) {
		for (uint64_t k = 0; k < r->chunk; k++, i++) {
			word *full = copy_flag(r, i);
			while (!acquire(full))
				wait_a_bit(r);
			bulk_copy(r->out, copy_slot(r, i), r->size);
			release(full, 0);
			r->sum += touch(r->out, r->size);
		}
	}
	r->count = l.count;
}

// One process, from its own memory to its own memory.
void crows_memcpy(crows_run *r)
{
	crows_loop l = {0};
	uint64_t i = 0;
	while (more(r, &l)) {
		for (uint64_t k = 0; k < r->chunk; k++, i++) {
			memcpy(r->out, r->msgs + (i & (r->nmsgs - 1)) * r->size, r->size);
			r->sum += touch(r->out, r->size);
		}
	}
	r->count = l.count;
}
