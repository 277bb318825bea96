package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// fileSystem is what a directory lies on.
type fileSystem struct {
	kind       string
	options    []string
	size, free int64
}

// names of file systems that segments may lie on.
var kinds = map[int64]string{
	unix.TMPFS_MAGIC: "tmpfs", unix.HUGETLBFS_MAGIC: "hugetlbfs", unix.RAMFS_MAGIC: "ramfs", unix.EXT4_SUPER_MAGIC: "ext4",
	unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	unix.NFS_SUPER_MAGIC: "nfs", unix.V9FS_MAGIC: "9p",
}

func lookAtDirectory(dir string) (fileSystem, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return fileSystem{}, err
	}
	if !info.IsDir() {
		return fileSystem{}, fmt.Errorf("%s is no directory", dir)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fileSystem{}, &os.PathError{Op: "ask the size of", Path: dir, Err: err}
	}
	f := fileSystem{kind: kinds[int64(st.Type)], options: []string{"rw"},
		size: int64(st.Blocks) * int64(st.Bsize), free: int64(st.Bavail) * int64(st.Bsize)}
	if f.kind == "" {
		f.kind = fmt.Sprintf("type %#x", st.Type)
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		f.options[0] = "ro"
	}
	for _, o := range []struct {
		flag int64
		name string
	}{{unix.ST_NOSUID, "nosuid"}, {unix.ST_NODEV, "nodev"}, {unix.ST_NOEXEC, "noexec"}} {
		if int64(st.Flags)&o.flag != 0 {
			f.options = append(f.options, o.name)
		}
	}
	return f, nil
}
