// Package images opens damaged copies of Spaces, and uses what is in them: whatever the bytes are, there are errors, and no
// fault, no hang and no memory without bound. Its fuzzers start from images of Spaces as processes leave them, and change
// words of them; `make fuzz` runs them.
//
// # Concurrency
//
// The package is its tests.
//
// # Crash behaviour
//
// A crasher is a finding; the directory that it leaves is removed by the next run.
package images
