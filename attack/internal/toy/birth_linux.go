package toy

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tandem-ipc/tandem/attack/sweep"
	"golang.org/x/sys/unix"
)

// birth makes a file appear complete or not at all.
func birth(dir, name string) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("toy: O_TMPFILE: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Fallocate(fd, 0, 0, Size); err != nil {
		return fmt.Errorf("toy: fallocate: %w", err)
	}
	r, err := mapRegion(fd)
	if err != nil {
		return err
	}
	for i := range 4 {
		r.Words[i].Store(uint64(100 + i)) // nobody sees these
	}
	if err := unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return fmt.Errorf("toy: linkat: %w", err)
	}
	r.Words[4].Store(104) // everybody sees this
	return nil
}

// born: a name, if there is one, belongs to a complete file.
func born(s *sweep.SurvivorEnv) error {
	names, err := filepath.Glob(s.Scratch + "*")
	if err != nil {
		return err
	}
	if len(names) == 0 && s.Journal.Returned() {
		return fmt.Errorf("returned, but there is no file")
	}
	for _, n := range names {
		r, err := Open(n)
		if err != nil {
			return err
		}
		for i := range 4 {
			if v := r.Words[i].Load(); v != uint64(100+i) {
				return fmt.Errorf("%s appeared before it was complete: word %d is %d", n, i, v)
			}
		}
	}
	return nil
}

func births() []sweep.Op {
	op := func(name string, tidy bool) sweep.Op {
		return sweep.Op{
			Name: name,
			World: func(w *sweep.World) (err error) {
				if w.Scratch, err = Create(w.Dir); err != nil {
					return err
				}
				return unix.Unlink(w.Scratch) // only its name is wanted
			},
			Victim: func(v *sweep.VictimEnv) (func() error, error) {
				return func() error { return birth(filepath.Dir(v.Scratch), v.Scratch) }, nil
			},
			Others: born,
			Recover: func(s *sweep.SurvivorEnv) error {
				err := born(s)
				if tidy || s.Journal.Returned() {
					unix.Unlink(s.Scratch)
				}
				return err
			},
			After: func(w *sweep.World) error {
				if left, _ := filepath.Glob(w.Scratch + "*"); len(left) > 0 {
					unix.Unlink(w.Scratch)
					return fmt.Errorf("left behind: %s", strings.Join(left, " "))
				}
				return nil
			},
		}
	}
	// The second forgets to tidy up after a death, so it leaves litter in the points from the link on.
	return []sweep.Op{op("toy/birth", true), op("toy/litter", false)}
}
