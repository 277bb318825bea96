package fence

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/feature"
)

const (
	cmdQuery           = 0
	cmdGlobalExpedited = 2
	cmdRegister        = 4
)

// CanHeavy tells whether Heavy works here. It is false on old kernels, under some seccomp filters, and where the cheap
// form is not worth having.
var CanHeavy = sync.OnceValue(func() bool {
	if !Asymmetric || feature.Membarrier.Off() {
		return false
	}
	const need = cmdGlobalExpedited | cmdRegister
	have, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, cmdQuery, 0, 0)
	return errno == 0 && have&need == need
})

// Heavy returns after every processor that runs a registered process has executed a full fence: their earlier stores are
// visible here, and their later loads see our earlier stores. About 0.4 µs when the others are idle, 1 to 10 µs when not.
// Where it is impossible (not CanHeavy) it does nothing: whoever relies on it must not have promised it, and a promise found
// in shared memory may be anybody's.
func Heavy() {
	_, _, _ = unix.Syscall(unix.SYS_MEMBARRIER, cmdGlobalExpedited, 0, 0)
}

func register() bool {
	if !CanHeavy() {
		return false
	}
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, cmdRegister, 0, 0)
	return errno == 0
}
