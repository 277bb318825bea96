// Package terminal makes text fit for one: names and commands may come from anybody.
//
// # Concurrency
//
// Everything may be called from any goroutine.
//
// # Crash behaviour
//
// Nothing here outlives the call.
package terminal

import (
	"strings"
	"unicode"
)

// Printable replaces what is not fit for a terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
