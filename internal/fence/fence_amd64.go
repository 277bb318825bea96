package fence

// Asymmetric tells whether the cheap form is worth having on this processor.
const Asymmetric = true

// StoreRelease stores v after everything that the program stored before. Unlike atomic.StoreUint64 it does not order v
// before later loads. It is assembly, so the compiler cannot move it.
//
//go:noescape
func StoreRelease(p *uint64, v uint64)
