// Package scribble is a storm over hostile memory: while two processes use every public operation on a Space that they
// share, and on their private ones, a third writes into the files what no process of Tandem would. Headers, members, life
// words, segment tables, the heap's entries, the directory, objects, rings, doorbells: random values, flipped bits, values
// that could be right and are not, lines from elsewhere; for good, or for a moment, so that a word changes between two looks.
//
// # What must hold
//
// Operations give errors, or what is in the memory; they end in bounded time, whatever they meet. No process faults or
// panics, takes memory without bound, or goes on turning once everybody rests. While nobody scribbles, in the first round,
// there are no errors.
//
// A file that is shortened under its users kills who touches what is gone (SIGBUS), and there is nothing that a library could
// do about it. What is promised instead, and attacked by the scenario "truncate": nobody hangs or dies otherwise, the users
// of other Spaces notice nothing, what was shortened cannot be opened, and is cleaned up like anything else.
//
// # Concurrency
//
// Rounds run one after the other, or in lanes; each has a directory of its own.
//
// # Crash behaviour
//
// Users end when the controller does. Directories that a killed one leaves are removed by the next.
package scribble
