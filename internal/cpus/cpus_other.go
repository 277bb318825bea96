//go:build !linux

package cpus

import "runtime"

func count() int { return runtime.NumCPU() }
