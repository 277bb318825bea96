// The fastest ring we know how to write: the bar. One producer, one consumer, records of any length.
//
// A record is a header word (its length plus one, 0 while nothing is there) and the payload, padded to a word. The
// producer writes the next record's header as 0, then the payload, then the header: the header commits, and it lies
// beside the payload, so one line carries both. A batch commits with its first header, written last. The consumer
// writes nothing but its position, every eighth of the ring. Where the rest of the ring is too short a SKIP header
// sends the consumer to its start.
//
// What made it fast is said at each place; the figures are of one machine (cache line 100 ns), 64 B one by one.
#include "common.h"

#define SKIP (~0ull)
#define EMPTY 0ull

enum {
	DATA = 4096, // the ring starts a page after the position
	LONG = 4096, // bytes; a payload as long as this begins at a line
	PUBLISH = 8, // the consumer publishes its position this often per ring
};

typedef struct {
	word *position; // the consumer writes it, the producer reads it
	char *data;
	uint64_t bytes; // of data; two words beyond it belong to us too
} ring;

INLINE ring ring_at(char *mem, uint64_t bytes)
{
	return (ring){(word *)mem, mem + DATA, bytes - DATA - LINE};
}

// A short payload follows its header at once, so that one line carries both; a long one begins at a line.
INLINE uint64_t head(uint64_t size) { return size < LONG ? 8 : LINE; }
INLINE uint64_t stride(uint64_t size) { return size < LONG ? 8 + ((size + 7) & ~7ull) : LINE + ((size + LINE - 1) & ~(LINE - 1ull)); }

// copy moves a payload. Up to a line it goes by words: vector loads and stores of a payload that lies 8 bytes into a line
// straddle lines that are just changing hands (350 M msg/s by words, 190 by vectors).
INLINE void copy(char *restrict to, const char *restrict from, uint64_t size)
{
	if (size <= LINE && !(size & 7)) {
		for (uint64_t i = 0; i < size; i += 8) {
			uint64_t v;
			memcpy(&v, from + i, 8);
			__asm__ volatile("" : "+r"(v));
			memcpy(to + i, &v, 8);
		}
		return;
	}
	if (size >= BULK)
		bulk_copy(to, from, size);
	else
		memcpy(to, from, size);
}

// await_header is a consumer that has caught up. Looking again at once would cost the producer the line that it is
// writing, and the consumer a transfer for every record or two; so it looks away for a while and finds a stretch of them
// (24 M msg/s with one pause, 250 with 100 ns, 475 with 1.6 us, 510 with twice that). A ring that also has to be quick
// with a lone message cannot wait that long; this one has only this to do, see receive_one for the other.
//
// A ring of few records is full before that time is over, so there it is shorter: two nanoseconds for each record it holds.
COLD uint64_t await_header(int yield, const word *header, uint64_t records)
{
	const uint64_t pauses = crows_pauses_in(records < 800 ? 2 * (int64_t)records : 1600);
	for (;;) {
		if (yield)
			sched_yield();
		else
			for (uint64_t i = 0; i < pauses; i++)
				pause_cpu();
		uint64_t v = acquire(header);
		if (v != EMPTY)
			return v;
	}
}

// await_room is a producer before a full ring. It returns the new limit.
COLD uint64_t await_room(int yield, const word *position, uint64_t bytes, uint64_t at, uint64_t need)
{
	for (;;) {
		uint64_t limit = acquire(position) + bytes;
		if (limit - at >= need)
			return limit;
		if (yield)
			sched_yield();
		else
			for (int i = 0; i < 8; i++)
				pause_cpu();
	}
}

typedef struct {
	uint64_t at;    // bytes ever, the padding before the start included
	uint64_t off;   // the same, in the ring
	uint64_t limit; // the producer may go up to here; for the consumer: what it has published
} cursor;

// reserve makes room for need bytes in one piece and the header behind them.
INLINE void reserve(int yield, const ring *q, cursor *c, uint64_t need)
{
	if (UNLIKELY(c->off + need > q->bytes)) {
		uint64_t rest = q->bytes - c->off;
		if (c->limit - c->at < rest + need + LINE)
			c->limit = await_room(yield, q->position, q->bytes, c->at, rest + need + LINE);
		plain((word *)q->data, EMPTY);
		release((word *)(q->data + c->off), SKIP);
		c->at += rest;
		c->off = 0;
	}
	if (UNLIKELY(c->limit - c->at < need + LINE))
		c->limit = await_room(yield, q->position, q->bytes, c->at, need + LINE);
}

// produce is inlined once for each size that is a constant, as a user's own ring of a fixed T would be.
INLINE void produce(crows_run *r, const uint64_t size, const uint64_t batch, const int zerocopy)
{
	const ring q = ring_at(r->mem, r->bytes);
	const uint64_t step = stride(size), mask = r->nmsgs - 1, chunk = r->chunk;
	const char *const msgs = r->msgs;
	const int yield = r->yield;
	cursor c = {.limit = q.bytes};
	crows_loop l = {0};
	uint64_t i = 0;
	while (more(r, &l)) {
		for (uint64_t k = 0; k < chunk; k += batch) {
			reserve(yield, &q, &c, step * batch);
			char *first = q.data + c.off, *p = first;
			for (uint64_t b = 0; b < batch; b++, i++, p += step) {
				const char *msg = msgs + (i & mask) * size;
				if (zerocopy)
					memcpy(p + head(size), msg, 8);
				else
					copy(p + head(size), msg, size);
				if (b)
					plain((word *)p, size + 1);
			}
			plain((word *)p, EMPTY);
			release((word *)first, size + 1);
			c.at += step * batch;
			c.off += step * batch;
		}
	}
	r->count = l.count;
}

// consume guesses that each record is as long as the last ones were. The branch predictor then breaks the chain from
// header to header, which otherwise is a load's latency for every record (8 B: 410 M msg/s without, 1,260 with).
INLINE void consume(crows_run *r, const uint64_t size, const int zerocopy)
{
	const ring q = ring_at(r->mem, r->bytes);
	const uint64_t step = stride(size), every = q.bytes / PUBLISH, chunk = r->chunk;
	const int yield = r->yield;
	cursor c = {0};
	crows_loop l = {0};
	uint64_t sum = 0;
	char *const out = r->out;
	while (left(r, &l)) {
		for (uint64_t k = 0; k < chunk; k++) {
			const char *p = q.data + c.off;
			uint64_t v = acquire((word *)p);
			if (UNLIKELY(v == EMPTY))
				v = await_header(yield, (word *)p, q.bytes / step);
			if (UNLIKELY(v == SKIP)) {
				c.at += q.bytes - c.off;
				c.off = 0;
				p = q.data;
				v = acquire((word *)p);
				if (v == EMPTY)
					v = await_header(yield, (word *)p, q.bytes / step);
			}
			if (LIKELY(v == size + 1)) {
				if (zerocopy) {
					sum += touch(p + head(size), 8);
				} else {
					copy(out, p + head(size), size);
					__asm__ volatile("" ::"r"(out) : "memory");
					sum += touch(out, size);
				}
				c.at += step;
				c.off += step;
			} else {
				if (v - 1 <= size) {
					memcpy(out, p + head(v - 1), v - 1);
					sum += touch(out, v - 1);
				}
				c.at += stride(v - 1);
				c.off += stride(v - 1);
			}
			if (UNLIKELY(c.at - c.limit >= every)) {
				release(q.position, c.at);
				c.limit = c.at;
			}
		}
	}
	r->sum = sum;
	r->count = l.count;
}

#define FOR_SIZE(f, ...)                                    \
	switch (r->size) {                                  \
	case 8: f(r, 8, __VA_ARGS__); break;                \
	case 64: f(r, 64, __VA_ARGS__); break;              \
	case 1024: f(r, 1024, __VA_ARGS__); break;          \
	default: f(r, r->size, __VA_ARGS__);                \
	}

void crows_ring_produce(crows_run *r)
{
	if (r->zerocopy) {
		FOR_SIZE(produce, 1, 1)
	} else if (r->batch == 1) {
		FOR_SIZE(produce, 1, 0)
	} else {
		FOR_SIZE(produce, r->batch, 0)
	}
}

void crows_ring_consume(crows_run *r)
{
	if (r->zerocopy) {
		FOR_SIZE(consume, 1)
	} else {
		FOR_SIZE(consume, 0)
	}
}

// One message there through one ring and one back through another. Nobody looks away: the other has nothing else to do.
INLINE void send_one(const crows_run *r, const ring *q, cursor *c, uint64_t i)
{
	const uint64_t step = stride(r->size);
	reserve(r->yield, q, c, step);
	char *p = q->data + c->off;
	copy(p + head(r->size), r->msgs + (i & (r->nmsgs - 1)) * r->size, r->size);
	plain((word *)(p + step), EMPTY);
	release((word *)p, r->size + 1);
	c->at += step;
	c->off += step;
}

INLINE void receive_one(crows_run *r, const ring *q, cursor *c)
{
	for (;;) {
		const char *p = q->data + c->off;
		uint64_t v;
		while ((v = acquire((word *)p)) == EMPTY)
			wait_a_bit(r);
		if (v == SKIP) {
			c->at += q->bytes - c->off;
			c->off = 0;
			continue;
		}
		copy(r->out, p + head(r->size), r->size);
		r->sum += touch(r->out, r->size);
		c->at += stride(r->size);
		c->off += stride(r->size);
		if (c->at - c->limit >= q->bytes / PUBLISH) {
			release(q->position, c->at);
			c->limit = c->at;
		}
		return;
	}
}

void crows_ring_ping(crows_run *r)
{
	const ring there = ring_at(r->mem, r->bytes / 2), back = ring_at(r->mem + r->bytes / 2, r->bytes / 2);
	cursor to = {.limit = there.bytes}, from = {0};
	round_trips(r, (send_one(r, &there, &to, i), receive_one(r, &back, &from)));
}

void crows_ring_pong(crows_run *r)
{
	const ring there = ring_at(r->mem, r->bytes / 2), back = ring_at(r->mem + r->bytes / 2, r->bytes / 2);
	cursor from = {0}, to = {.limit = back.bytes};
	round_trips_back(r, (receive_one(r, &there, &from), send_one(r, &back, &to, i)));
}
