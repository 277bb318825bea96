package main

import "github.com/tandem-ipc/tandem/attack/ops"

// suite is everything that is attacked.
var suite = *ops.Suite()
