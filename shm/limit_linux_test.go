package shm

import (
	"errors"
	"strings"
	"testing"

	"github.com/tandem-ipc/tandem/internal/cgroup"
	"github.com/tandem-ipc/tandem/internal/layout"
)

func TestTheDefaultLimitIsHalfOfWhatThereIs(t *testing.T) {
	for _, c := range []struct {
		files, group, want int64
		from               uint32
	}{
		{1000, 0, 500, layout.LimitFiles},
		{1000, 2000, 500, layout.LimitFiles},
		{1000, 400, 200, layout.LimitCgroup},
		{0, 400, 200, layout.LimitCgroup}, // a tmpfs without a size
		{0, 0, 4000, layout.LimitMemory},
	} {
		if got, from := halfOf(c.files, c.group, 8000); got != c.want || from != c.from {
			t.Errorf("file system %d, control groups %d: %d from %d, want %d from %d", c.files, c.group, got, from, c.want, c.from)
		}
	}
	sp := openSpace(t, "default")
	files, _, err := spaceIn(directory())
	if err != nil {
		t.Fatal(err)
	}
	group, _ := cgroup.Memory()
	want, from := halfOf(files, group, memoryOfMachine())
	st, err := sp.Stats()
	if err != nil || st.Limit != want || st.Limited != limitText(want, from) {
		t.Fatalf("%d, %q, %v; want %d", st.Limit, st.Limited, err, want)
	}
}

func TestTheErrorSaysWhereTheLimitComesFrom(t *testing.T) {
	sp := openSpace(t, "from", Limit(4<<20))
	for from, want := range map[uint32]string{
		layout.LimitGiven: "a limit of 4194304 bytes:", layout.LimitFiles: "half of its file system", layout.LimitCgroup: "control group",
	} {
		sp.s.root.LimitFrom = from
		for _, size := range []int64{4<<20 - 1, 5 << 20} { // does not fit any more, never fits
			if _, err := sp.s.alloc(size); !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
}
