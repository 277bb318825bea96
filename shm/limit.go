package shm

import (
	"fmt"

	"github.com/tandem-ipc/tandem/internal/cgroup"
	"github.com/tandem-ipc/tandem/internal/layout"
)

// limitFor is the limit of a new Space in dir, and where it comes from: a LimitGiven …
func limitFor(dir string, o options) (limit int64, from uint32, err error) {
	if o.limit > 0 {
		return o.limit, layout.LimitGiven, nil
	}
	files, _, err := spaceIn(dir)
	if err != nil {
		return 0, 0, err
	}
	group, _ := cgroup.Memory()
	limit, from = halfOf(files, group, memoryOfMachine())
	return limit, from, nil
}

// halfOf is half of the smaller of what the file system and the control groups have; 0 is no limit. A tmpfs may have none.
func halfOf(files, group, machine int64) (limit int64, from uint32) {
	switch {
	case group > 0 && (files <= 0 || group < files):
		return group / 2, layout.LimitCgroup
	case files > 0:
		return files / 2, layout.LimitFiles
	}
	return machine / 2, layout.LimitMemory
}

// limitText is a limit for people.
func limitText(limit int64, from uint32) string {
	why := ""
	switch from {
	case layout.LimitFiles:
		why = ", half of its file system"
	case layout.LimitCgroup:
		why = ", half of the memory that the control group of its creator may use"
	case layout.LimitMemory:
		why = ", half of the machine's memory"
	}
	return fmt.Sprintf("a limit of %d bytes%s", limit, why)
}

func (s *space) limitText() string { return limitText(s.limit, s.root.LimitFrom) }
