//go:build !cgo || !linux

package csrc

import "github.com/tandem-ipc/tandem/internal/layout"

// Available tells whether this build has the C side.
const Available = false

const missing = "csrc: this build has no C side"

// PushFlat pushes n records of size bytes each, back to back in buf.
func PushFlat(*layout.Ring, []byte, *Producer, []byte, int, int) (int, Status) { panic(missing) }

// PushList pushes records of the given lengths, back to back in buf.
func PushList(*layout.Ring, []byte, *Producer, []byte, []uint32) (int, Status) { panic(missing) }

// PopFlat pops up to n records of exactly size bytes into dst.
func PopFlat(*layout.Ring, []byte, *Consumer, []byte, int, int) (int, Status) { panic(missing) }

// PopList pops records of any length, back to back into dst; lens gets their lengths.
func PopList(*layout.Ring, []byte, *Consumer, []byte, []uint32) (int, Status) { panic(missing) }

func bulk(_, _ []byte) { panic(missing) }
