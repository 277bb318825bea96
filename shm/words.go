package shm

import "github.com/tandem-ipc/tandem/internal/layout"

// A Member is a process attached to a Space: a slot and a generation. It is not a pid: it is never given twice.
type Member = layout.Member

// A Ref points into a Space: a segment and an offset. 0 is nothing.
type Ref = layout.Ref
