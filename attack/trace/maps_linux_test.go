package trace

import (
	"slices"
	"testing"
)

func TestMapsAreParsed(t *testing.T) {
	ms, err := parseMaps([]byte("00400000-0059c000 r-xp 00001000 fe:00 12345   /a b (deleted)\n" +
		"7f00-8000 rw-s 00002000 00:1a 77 /dev/shm/x\n7000-7f00 rw-p 00000000 00:00 0 \n"))
	want := []mapping{
		{start: 0x400000, end: 0x59c000, offset: 0x1000, file: fileID{"fe:00", 12345}, exec: true, path: "/a b (deleted)"},
		{start: 0x7f00, end: 0x8000, offset: 0x2000, file: fileID{"00:1a", 77}, shared: true, path: "/dev/shm/x"},
		{start: 0x7000, end: 0x7f00, file: fileID{"00:00", 0}},
	}
	if err != nil || !slices.Equal(ms, want) {
		t.Errorf("%+v, %v", ms, err)
	}
	for _, s := range []string{"x", "z-1 rw-s 0 00:1a 7 /x\n", "1-2 rw-s 0 00:1a q /x\n"} {
		if _, err := parseMaps([]byte(s)); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestOneThreadsOwnMemoryIsPrivateAndTheFilesIsNot(t *testing.T) {
	mm := memoryMap{maps: []mapping{{start: 0x1000, end: 0x3000}, {start: 0x5000, end: 0x6000, shared: true}}}
	for _, c := range []struct {
		name string
		args [6]uint64
		want bool
	}{
		{"futex", [6]uint64{0x1000}, true},
		{"futex", [6]uint64{0x5800}, false},
		{"futex", [6]uint64{0x1000, 0, 0, 0, 0x5000}, false},
		{"madvise", [6]uint64{0x1000, 0x1000}, true},
		{"madvise", [6]uint64{0x4000, 0x1001}, false},
		{"munmap", [6]uint64{0x5000, 0x1000}, false},
		{"mmap", [6]uint64{0, 0x1000, 3, 0x22}, true},
		{"mmap", [6]uint64{0, 0x1000, 3, 0x21}, false},
		{"mmap", [6]uint64{0x5000, 0x1000, 3, 0x32}, false},
		{"mmap", [6]uint64{0, 0x1000, 3, 0x1}, false},
		{"write", [6]uint64{1}, false},
		{"nanosleep", [6]uint64{}, true},
	} {
		if got := mm.privateCall(c.name, c.args); got != c.want {
			t.Errorf("%s %x: %v", c.name, c.args, got)
		}
	}
}
