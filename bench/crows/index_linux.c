// The cached-index ring, one message at a time: fixed slots, a write index and a read index each in a line of its own,
// and beside each the last value seen of the other's, looked up again only when that says full or empty. This is the
// algorithm of rigtorp's SPSCQueue, the C++ ring most people compare with, written from its description.
//
// FROZEN: it is a yardstick. Once measured it is not tuned, whatever is found out about rings later.
#include "common.h"

typedef struct {
	_Alignas(LINE) word write;         // the producer writes it, the consumer reads it
	_Alignas(LINE) uint64_t read_seen; // the producer's own
	_Alignas(LINE) word read;          // the consumer writes it, the producer reads it
	_Alignas(LINE) uint64_t write_seen; // the consumer's own
} index_head;

// At least 1,024 slots while they fit into the mapping, as many as do otherwise.
INLINE uint64_t index_slots(const crows_run *r, uint64_t size)
{
	uint64_t n = (r->bytes - 4096) / size;
	if (n > 1024)
		n = 1024;
	return n;
}

INLINE void index_produce(crows_run *r, uint64_t size)
{
	index_head *h = (index_head *)r->mem;
	char *slots = r->mem + 4096;
	const uint64_t n = index_slots(r, size);
	crows_loop l = {0};
	uint64_t i = 0;
	while (more(r, &l)) {
		for (uint64_t k = 0; k < r->chunk; k++, i++) {
			uint64_t at = atomic_load_explicit(&h->write, memory_order_relaxed);
			uint64_t next = at + 1;
			if (next == n)
				next = 0;
			while (next == h->read_seen) {
				h->read_seen = acquire(&h->read);
				if (next == h->read_seen && r->yield)
					sched_yield();
			}
			memcpy(slots + at * size, r->msgs + (i & (r->nmsgs - 1)) * size, size);
			release(&h->write, next);
		}
	}
	r->count = l.count;
}

INLINE void index_consume(crows_run *r, uint64_t size)
{
	index_head *h = (index_head *)r->mem;
	char *slots = r->mem + 4096;
	const uint64_t n = index_slots(r, size);
	crows_loop l = {0};
	uint64_t sum = 0;
	while (left(r, &l)) {
		for (uint64_t k = 0; k < r->chunk; k++) {
			uint64_t at = atomic_load_explicit(&h->read, memory_order_relaxed);
			while (at == h->write_seen) {
				h->write_seen = acquire(&h->write);
				if (at == h->write_seen && r->yield)
					sched_yield();
			}
			memcpy(r->out, slots + at * size, size);
			__asm__ volatile("" ::"r"(r->out) : "memory");
			uint64_t next = at + 1;
			if (next == n)
				next = 0;
			release(&h->read, next);
			sum += touch(r->out, size);
		}
	}
	r->sum = sum;
	r->count = l.count;
}

// A C++ template knows the size; so do these.
void crows_index_produce(crows_run *r)
{
	switch (r->size) {
	case 8: index_produce(r, 8); break;
	case 64: index_produce(r, 64); break;
	case 1024: index_produce(r, 1024); break;
	default: index_produce(r, r->size);
	}
}

void crows_index_consume(crows_run *r)
{
	switch (r->size) {
	case 8: index_consume(r, 8); break;
	case 64: index_consume(r, 64); break;
	case 1024: index_consume(r, 1024); break;
	default: index_consume(r, r->size);
	}
}
