package ring

import (
	"errors"
	"fmt"
)

// Results of operations that never block. They come unwrapped: compare with ==.
var (
	// ErrFull is returned when there is no room for the record now.
	ErrFull = errors.New("ring: full")

	// ErrEmpty is returned when there is no record now.
	ErrEmpty = errors.New("ring: empty")

	// ErrCorrupt is returned when the ring holds what no producer or consumer writes. It stays so.
	ErrCorrupt = errors.New("ring: shared memory is damaged")

	// ErrState is returned for a Commit or Ack without a Reserve or Receive, and for a second one of those.
	ErrState = errors.New("ring: out of order")

	// ErrLength is returned by batches of records of one size when the next record has another size.
	ErrLength = errors.New("ring: the next record has another length")
)

// A TooLargeError is returned for a record that the ring can never take.
type TooLargeError struct{ Size, Limit int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("ring: a record of %d bytes, the limit is %d", e.Size, e.Limit)
}

// A ShortBufferError is returned when the next record is larger than the buffer. The record stays.
type ShortBufferError struct{ Need, Have int }

func (e *ShortBufferError) Error() string {
	return fmt.Sprintf("ring: a buffer of %d bytes for a record of %d", e.Have, e.Need)
}
