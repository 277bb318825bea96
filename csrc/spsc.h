/*
 * The C side of the single-producer single-consumer ring: batches and bulk copies, one crossing each. The Go side of the same protocol
 * is package ring; a differential test holds them together. Positions are checked here as they are there: what comes
 * from shared memory is loaded once, checked, then used.
 */
#ifndef TANDEM_SPSC_H
#define TANDEM_SPSC_H

#include "layout.h"

/* The private state of each side. Go owns it and lends it for a call. */
struct td_producer {
	uint64_t pos;     /* of the next record */
	uint64_t limit;   /* may write below: the consumer's position as last seen, plus the capacity */
	uint64_t mask;    /* capacity - 1 */
	uint32_t trust;   /* what rwait says when nothing needs to be done about it; see publish */
	uint32_t wake;    /* out: fence, look at rwait and wake */
};

struct td_consumer {
	uint64_t pos;       /* of the next record */
	uint64_t published; /* head as last stored */
	uint64_t mask;
	uint64_t lag;       /* published may lag by less than this */
	uint32_t trust;     /* likewise of wwait */
	uint32_t wake;      /* out: fence, look at wwait and wake */
};

#define TD_OK 0
#define TD_FULL 1
#define TD_EMPTY 1
#define TD_CORRUPT 2
#define TD_LENGTH 3 /* the next record has another length, or does not fit */
#define TD_OTHER 4  /* the next record is no plain one */

#define TD_BURST 32 /* records published by one store */

/*
 * Push n records of size bytes each, back to back in buf. Returns how many; *status tells why not all.
 */
uint64_t td_spsc_push_flat(struct td_ring *r, uint8_t *data, struct td_producer *p, const uint8_t *buf, uint64_t size,
                           uint64_t n, uint32_t *status);

/* The same for records of lengths len[i], back to back in buf. */
uint64_t td_spsc_push_list(struct td_ring *r, uint8_t *data, struct td_producer *p, const uint8_t *buf,
                           const uint32_t *len, uint64_t n, uint32_t *status);

/* Pop up to n records of exactly size bytes into dst. Stops at an empty ring and before a record of another length. */
uint64_t td_spsc_pop_flat(struct td_ring *r, const uint8_t *data, struct td_consumer *c, uint8_t *dst, uint64_t size,
                          uint64_t n, uint32_t *status);

/* Pop up to n records of any length, back to back into dst[room]; len[i] tells the lengths. */
uint64_t td_spsc_pop_list(struct td_ring *r, const uint8_t *data, struct td_consumer *c, uint8_t *dst, uint64_t room,
                          uint32_t *len, uint64_t n, uint32_t *status);

/* memcpy, for who has none as good. */
void td_copy(void *dst, const void *src, uint64_t n);

#endif
