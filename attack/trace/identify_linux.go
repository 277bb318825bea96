package trace

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// identify stats path without following a link.
func identify(path string) (fileID, bool) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fileID{}, false
	}
	return identity(&st), true
}

func identity(st *unix.Stat_t) fileID {
	dev := uint64(st.Dev)
	return fileID{dev: fmt.Sprintf("%02x:%02x", unix.Major(dev), unix.Minor(dev)), ino: st.Ino}
}
