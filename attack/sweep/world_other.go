//go:build !linux

package sweep

import (
	"errors"
	"fmt"
)

// World is the state a trial happens in.
type World struct {
	Env
	Keep any // anything
}

// Helper is a process that World started.
type Helper struct{}

// Start is not supported.
func (w *World) Start(name string) (*Helper, error) {
	return nil, fmt.Errorf("sweep: helper %s: %w", name, errors.ErrUnsupported)
}

// PID is 0.
func (h *Helper) PID() int { return 0 }

// Kill does nothing.
func (h *Helper) Kill() {}

// Stop is not supported.
func (h *Helper) Stop() error { return errors.ErrUnsupported }
