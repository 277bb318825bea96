//go:build linux

// Toy is the sweep command over the toys, for the tests.
package main

import (
	"github.com/tandem-ipc/tandem/attack/internal/toy"
	"github.com/tandem-ipc/tandem/attack/sweep"
)

func main() { sweep.Main(toy.Suite()) }
