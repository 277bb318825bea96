//go:build !race

package race

// Enabled tells whether the race detector runs.
const Enabled = false

// Release publishes what this goroutine did to whoever calls Acquire later.
func (w *Word) Release() {}

// Acquire takes over what was published.
func (w *Word) Acquire() {}
