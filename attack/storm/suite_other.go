//go:build !linux

package storm

// Trees has no scenarios here.
func Trees() *Suite { return &Suite{} }
