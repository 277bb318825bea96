//go:build !amd64

package fence

import "sync/atomic"

// Asymmetric tells whether the cheap form is worth having on this processor.
const Asymmetric = false

// StoreRelease stores v after everything that the program stored before.
func StoreRelease(p *uint64, v uint64) { atomic.StoreUint64(p, v) }
