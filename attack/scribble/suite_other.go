//go:build !linux

package scribble

import "github.com/tandem-ipc/tandem/attack/storm"

// Suite has no scenarios here.
func Suite() *storm.Suite { return &storm.Suite{} }
