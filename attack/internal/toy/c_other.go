//go:build unix && !(cgo && linux && amd64)

package toy

import "github.com/tandem-ipc/tandem/attack/sweep"

func cOps() []sweep.Op { return nil }
