//go:build !(linux && amd64)

package trace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

var errUnsupported = fmt.Errorf("trace: %w on %s/%s", errors.ErrUnsupported, runtime.GOOS, runtime.GOARCH)

// Tracer would start and trace victims.
type Tracer struct{}

// NewTracer gives an error that matches errors.ErrUnsupported.
func NewTracer(cpu int) (*Tracer, error) { return nil, errUnsupported }

// Stepping is false.
func (t *Tracer) Stepping() bool { return false }

// Close does nothing.
func (t *Tracer) Close() {}

// Spawn is not supported.
func (t *Tracer) Spawn(c Command) (*os.Process, error) { return nil, errUnsupported }

// Start is not supported.
func (t *Tracer) Start(ctx context.Context, c Command) (*Victim, error) { return nil, errUnsupported }

// Victim cannot be had.
type Victim struct{}

// PID is 0.
func (v *Victim) PID() int { return 0 }

// TID is 0.
func (v *Victim) TID() int { return 0 }

// Record is not supported.
func (v *Victim) Record(ctx context.Context, o Options) (*Recording, error) {
	return nil, errUnsupported
}

// RunTo is not supported.
func (v *Victim) RunTo(ctx context.Context, p Point) error { return errUnsupported }

// RunToEnd is not supported.
func (v *Victim) RunToEnd(ctx context.Context) error { return errUnsupported }

// Stop is not supported.
func (v *Victim) Stop(ctx context.Context) error { return errUnsupported }

// Resume is not supported.
func (v *Victim) Resume(ctx context.Context) error { return errUnsupported }

// Kill is not supported.
func (v *Victim) Kill() error { return errUnsupported }

// Detach is not supported.
func (v *Victim) Detach() error { return errUnsupported }

// Wait is not supported.
func (v *Victim) Wait(ctx context.Context) (ws syscall.WaitStatus, err error) {
	return ws, errUnsupported
}

// Label adds nothing.
func (v *Victim) Label(p Point) Point { return p }
