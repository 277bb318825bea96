//go:build !linux

package shm

import (
	"errors"
	"strings"
	"testing"
)

func TestOtherSystemsSayNo(t *testing.T) {
	_, err := OpenSpace("x")
	_, err2 := Private()
	_, err3 := Sweep()
	for _, err := range []error{err, err2, err3} {
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "Linux") {
			t.Error(err)
		}
	}
}
