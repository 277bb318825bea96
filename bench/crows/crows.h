// The C neighbours. One run is described by a crows_run; every function runs until the producer's clock says that the
// time is over and both ends have seen the last message.
#ifndef CROWS_H
#define CROWS_H

#include <stdint.h>

typedef struct {
	// Shared by the two processes.
	char *mem;      // zeroed before the run
	uint64_t bytes; // length of mem
	uint64_t *end;  // messages in all, 0 while unknown; written by the producer before its last chunk, read by the consumer

	// Each process's own.
	const char *msgs; // nmsgs messages of size bytes each, sent in turn
	uint64_t nmsgs;   // a power of two
	char *out;        // the consumer's copy goes here: batch messages
	uint64_t size;
	uint64_t batch;
	uint64_t chunk;    // messages between two looks at the clock; a multiple of batch, the same on both sides
	int64_t deadline;  // CLOCK_MONOTONIC, nanoseconds
	int zerocopy;      // only the first word of a message is written and read
	int yield;         // both ends have one CPU: give it away instead of spinning
	int64_t *samples;  // round trips, nanoseconds
	uint64_t nsamples; // room in samples
	uint64_t every;    // one round trip in so many is sampled; a power of two

	// Results.
	uint64_t count; // messages or round trips
	uint64_t sum;   // of one word of every line received
	uint64_t taken; // samples
} crows_run;

// The fastest ring: spsc_linux.c.
void crows_ring_produce(crows_run *r);
void crows_ring_consume(crows_run *r);
void crows_ring_ping(crows_run *r);
void crows_ring_pong(crows_run *r);

// The cached-index ring: index_linux.c.
void crows_index_produce(crows_run *r);
void crows_index_consume(crows_run *r);

// The floor: floor_linux.c.
void crows_line_ping(crows_run *r);
void crows_line_pong(crows_run *r);
void crows_one_line_ping(crows_run *r);
void crows_one_line_pong(crows_run *r);
void crows_futex_ping(crows_run *r);
void crows_futex_pong(crows_run *r);
void crows_copy_in(crows_run *r);
void crows_copy_out(crows_run *r);
void crows_memcpy(crows_run *r);

const char *crows_compiler(void);

#endif
