//go:build !cgo || !linux

package crows

// Available says whether the C rows are in this binary.
const Available = false

// Compiler names the C compiler and its version.
func Compiler() string { return "none" }

// Do returns ErrUnavailable.
func Do(End, *Run) error { return ErrUnavailable }
