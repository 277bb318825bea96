//go:build !linux

package sweep

import (
	"context"
	"errors"
	"fmt"
)

// Init returns: nothing is ever started here.
func Init(s *Suite) {}

// Run gives an error that matches errors.ErrUnsupported.
func Run(ctx context.Context, s *Suite, o Options) (*Report, error) {
	return nil, fmt.Errorf("sweep: %w", errors.ErrUnsupported)
}
