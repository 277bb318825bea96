//go:build linux

#include "spsc.h"

#include <stdatomic.h>
#include <string.h>

#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

static inline uint64_t header_of(uint64_t pos, uint64_t len, uint64_t flags)
{
	return len | flags << 32 | (pos >> 3) << 40;
}

static inline uint64_t size_of_record(uint64_t len)
{
	return (len + 15) & ~7ULL;
}

/*
 * Look how far the consumer is. Its exact position is in a line that it writes for every record, so it is read only where
 * what it published has not moved since we last looked.
 */
static inline int refresh(struct td_ring *r, struct td_producer *p, uint64_t need)
{
	uint64_t cap = p->mask + 1;
	uint64_t head = load_acquire(&r->head);

	if (p->pos + need > head + cap && head + cap <= p->limit) {
		uint64_t cursor = load_acquire(&r->cursor);
		if (cursor > head)
			head = cursor;
	}
	if (p->pos - head > cap || head & 7)
		return TD_CORRUPT;
	p->limit = head + cap;
	return need > cap - (p->pos - head) ? TD_FULL : TD_OK;
}

/* Make room for a record of rec bytes behind what is already prepared; publishes a pad record if the lap ends here. */
static inline int room(struct td_ring *r, uint8_t *data, struct td_producer *p, uint64_t rec)
{
	uint64_t cap = p->mask + 1, off = p->pos & p->mask, pad = off + rec > cap ? cap - off : 0;
	uint64_t need = pad + rec + TD_REC_HEADER;

	if (p->pos + need > p->limit) {
		int status = refresh(r, p, need);
		if (status != TD_OK)
			return status;
	}
	if (pad) {
		store_relaxed((uint64_t *)data, 0);
		store_release((uint64_t *)(data + off), header_of(p->pos, 0, TD_REC_COMMIT | TD_REC_PAD));
		p->pos += pad;
	}
	return TD_OK;
}

/*
 * The last store of a burst. Then, if the wait word does not say that the sleeper fences for both (or this process is not
 * reached by its fence: trust is impossible then), the caller fences and looks whether anyone sleeps.
 */
static inline void publish(struct td_ring *r, struct td_producer *p, uint64_t *header, uint64_t value)
{
	store_release(header, value);
	if (__atomic_load_n(&r->rwait, __ATOMIC_SEQ_CST) != p->trust)
		p->wake = 1;
}

static inline uint64_t push(struct td_ring *r, uint8_t *data, struct td_producer *p, const uint8_t *buf, uint64_t size,
                            const uint32_t *len, uint64_t n, uint32_t *status)
{
	uint64_t cap = p->mask + 1, max = cap / 4 - TD_REC_HEADER, done = 0;

	*status = TD_OK;
	while (done < n) {
		uint64_t *first = 0, first_header = 0;
		uint64_t burst = 0;

		/* Headers 2..k first, header 1 last: the whole burst appears with one store, or not at all. */
		while (burst < TD_BURST && done + burst < n) {
			uint64_t bytes = len ? len[done + burst] : size;
			uint64_t rec = size_of_record(bytes), off = p->pos & p->mask;

			if (bytes > max) {
				*status = TD_LENGTH;
				break;
			}
			if (off + rec > cap && burst)
				break; /* the pad record is published on its own, so the burst ends here */
			if (p->pos + rec + TD_REC_HEADER > p->limit || off + rec > cap) {
				*status = room(r, data, p, rec);
				if (*status != TD_OK)
					break;
				off = p->pos & p->mask;
			}
			uint64_t header = header_of(p->pos, bytes, TD_REC_COMMIT);
			memcpy(data + off + TD_REC_HEADER, buf, bytes);
			if (burst == 0) {
				first = (uint64_t *)(data + off);
				first_header = header;
			} else {
				store_relaxed((uint64_t *)(data + off), header);
			}
			buf += bytes;
			p->pos += rec;
			burst++;
		}
		if (burst) {
			store_relaxed((uint64_t *)(data + (p->pos & p->mask)), 0);
			publish(r, p, first, first_header);
		}
		done += burst;
		if (*status != TD_OK)
			break;
	}
	return done;
}

uint64_t td_spsc_push_flat(struct td_ring *r, uint8_t *data, struct td_producer *p, const uint8_t *buf, uint64_t size,
                           uint64_t n, uint32_t *status)
{
	p->wake = 0;
	if (size == 64)
		return push(r, data, p, buf, 64, 0, n, status);
	if (size == 8)
		return push(r, data, p, buf, 8, 0, n, status);
	return push(r, data, p, buf, size, 0, n, status);
}

uint64_t td_spsc_push_list(struct td_ring *r, uint8_t *data, struct td_producer *p, const uint8_t *buf,
                           const uint32_t *len, uint64_t n, uint32_t *status)
{
	p->wake = 0;
	return push(r, data, p, buf, 0, len, n, status);
}

/* Find the next plain record; returns its header's payload length in *len and its offset. */
static inline int next(const uint8_t *data, struct td_consumer *c, uint64_t *len, uint64_t *off)
{
	uint64_t cap = c->mask + 1;

	for (int pads = 0; pads < 2; pads++) {
		uint64_t o = c->pos & c->mask;
		uint64_t h = load_acquire((const uint64_t *)(data + o));
		uint64_t flags = h >> 32 & 0xff, bytes = h & 0xffffffff;

		if (h == 0)
			return TD_EMPTY;
		if (h >> 40 != ((c->pos >> 3) & 0xffffff) || !(flags & TD_REC_COMMIT) || flags & ~(uint64_t)TD_REC_FLAGS)
			return TD_CORRUPT;
		if (flags & TD_REC_PAD) {
			c->pos += cap - o;
			continue;
		}
		if (bytes > cap / 4 - TD_REC_HEADER || o + size_of_record(bytes) > cap)
			return TD_CORRUPT;
		if (flags != TD_REC_COMMIT)
			return TD_OTHER;
		*len = bytes;
		*off = o;
		return TD_OK;
	}
	return TD_CORRUPT;
}

/* Publish the consumer's position: exactly for a successor, and lazily for the producer. As publish. */
static inline void taken(struct td_ring *r, struct td_consumer *c, int empty)
{
	store_release(&r->cursor, c->pos);
	if (__atomic_load_n(&r->wwait, __ATOMIC_SEQ_CST) != c->trust)
		c->wake = 1;
	if (empty || c->pos - c->published >= c->lag) {
		store_release(&r->head, c->pos);
		c->published = c->pos;
	}
}

static inline uint64_t pop(struct td_ring *r, const uint8_t *data, struct td_consumer *c, uint8_t *dst, uint64_t size,
                           uint64_t room, uint32_t *len, uint64_t n, uint32_t *status)
{
	uint64_t done = 0, start = c->pos;

	c->wake = 0;
	*status = TD_OK;
	while (done < n) {
		uint64_t bytes, off;

		*status = next(data, c, &bytes, &off);
		if (*status != TD_OK)
			break;
		if (len ? bytes > room : bytes != size) {
			*status = TD_LENGTH;
			break;
		}
		memcpy(dst, data + off + TD_REC_HEADER, len ? bytes : size);
		dst += bytes;
		if (len) {
			len[done] = (uint32_t)bytes;
			room -= bytes;
		}
		c->pos += size_of_record(bytes);
		done++;
		/* A long batch must not hold back what it has read: the producer may be waiting for the room. */
		if (c->pos - start >= c->lag) {
			taken(r, c, 0);
			start = c->pos;
		}
	}
	if (c->pos != start || (*status == TD_EMPTY && c->published != c->pos))
		taken(r, c, *status == TD_EMPTY);
	return done;
}

uint64_t td_spsc_pop_flat(struct td_ring *r, const uint8_t *data, struct td_consumer *c, uint8_t *dst, uint64_t size,
                          uint64_t n, uint32_t *status)
{
	if (size == 64)
		return pop(r, data, c, dst, 64, 0, 0, n, status);
	if (size == 8)
		return pop(r, data, c, dst, 8, 0, 0, n, status);
	return pop(r, data, c, dst, size, 0, 0, n, status);
}

uint64_t td_spsc_pop_list(struct td_ring *r, const uint8_t *data, struct td_consumer *c, uint8_t *dst, uint64_t room,
                          uint32_t *len, uint64_t n, uint32_t *status)
{
	return pop(r, data, c, dst, 0, room, len, n, status);
}

void td_copy(void *dst, const void *src, uint64_t n) { memcpy(dst, src, n); }
