// Package toy holds operations on a toy shared file, some right and some wrong at a known place, by which the tests know
// that a sweep finds what it should and nothing else.
//
// # Concurrency
//
// An operation is for one process at a time; what others may do meanwhile is said at each.
//
// # Crash behaviour
//
// That is what they demonstrate.
package toy
