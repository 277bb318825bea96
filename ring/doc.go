// Package ring has lock-free rings over a slice of memory, shared between processes or not.
//
// SPSC carries records of any length from one producer to one consumer. A record is a header and its payload; the header
// is the commit: the producer zeroes the place of the next header, copies the payload, and stores its header, in the same
// cache line as the payload's beginning. There is no shared tail. The consumer publishes its position only every eighth
// of the ring (TANDEM_PUBLISH), when it finds the ring empty, and when the producer sleeps and half of the ring is free; its exact position is in a line
// of its own that only a successor, or a producer that would otherwise wait, reads. Ideas: FastForward (Giacomoni et
// al., PPoPP 2008) for the missing tail, Aeron for the record framing.
//
// A record lies in one piece: where it does not fit before the end of the memory, a pad record fills the rest. So a
// record is at most a quarter of the ring, less its header.
//
// Batches publish up to 32 records by one store, first header last. With cgo they are one call into C.
//
// # Concurrency
//
// One goroutine at a time uses a Producer, one at a time a Consumer; the two may be in different processes. There must be
// one of each: who gives the roles away (package pipe) sees to it.
//
// # Crash behaviour
//
// Each shared word has one writer, and each prefix of a writer's stores is a legal ring, so there is nothing to repair. A
// producer that is killed has committed a record or not; its successor finds the first header that is 0. A consumer that
// is killed leaves its position: what it had not taken comes again, and if it was shown to its user (Receive without
// Ack), it comes marked as redelivered. Everything read from the ring is checked: damage gives ErrCorrupt.
package ring
