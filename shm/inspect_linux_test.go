package shm

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/internal/terminal"
)

func init() {
	// inspector looks for ever.
	parts["inspector"] = func(p *roles.Peer, args []string) {
		for first := true; ; first = false {
			_, err := Inspect()
			p.Must(err)
			if first {
				p.Say("looked")
			}
		}
	}
}

func inspected(t *testing.T) *Inventory {
	t.Helper()
	inv, err := Inspect()
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// entry finds what Inspect says of the Space with a name.
func entry(t *testing.T, name string) *SpaceInfo {
	t.Helper()
	inv := inspected(t)
	for i := range inv.Spaces {
		if e := &inv.Spaces[i]; e.Name == name {
			return e
		}
	}
	t.Fatalf("no Space %q in %+v", name, inv.Spaces)
	return nil
}

func TestInspectTellsWhatMembersKnow(t *testing.T) {
	sp := openSpace(t, "seen", Limit(1<<30))
	p := roles.Start(t, "member", "seen")
	p.Hear()
	p.Ask("grow")
	p.Ask("alloc a 100")
	st, err := sp.Stats()
	if err != nil {
		t.Fatal(err)
	}
	e := entry(t, "seen")
	if e.Err != nil || e.State != StateAlive || e.Kind != KindSpace || e.Keep || e.UID != os.Geteuid() || e.ID != nonceText(sp.s.nonce) {
		t.Errorf("%+v", e)
	}
	if e.Used != st.Used || e.Limit != st.Limit || e.Segments != st.Segments || !e.Created.Equal(st.Created) || e.Memory < st.Used {
		t.Errorf("%+v\ndiffers from\n%+v", e, st)
	}
	if want := files(t); len(e.Files) != len(want) || e.Files[0] != namedFile("seen") {
		t.Errorf("files %v of %v", e.Files, want)
	}
	if len(e.Members) != 2 || e.Members[1].PID != p.Cmd.Process.Pid || e.Members[0].PID != os.Getpid() || e.Members[0].Dead ||
		e.Members[1].Dead || e.Members[1].Member != st.Members[1].Member || e.Members[1].Command != "exe" ||
		!e.Members[1].Started.Equal(st.Members[1].Started) {
		t.Errorf("members %+v", e.Members)
	}
}

func TestInspectTellsTheDeadFromTheLiving(t *testing.T) {
	p := roles.StartAs(t, []string{"TANDEM_DISABLE=poller"}, nil, "member", "mixed")
	p.Hear()
	q := roles.Start(t, "member", "mixed")
	q.Hear()
	q.Kill()
	if e := entry(t, "mixed"); len(e.Members) != 2 || e.Members[0].Dead || !e.Members[1].Dead || e.State != StateAlive || e.Err != nil {
		t.Errorf("%+v", e)
	}
	p.Stop() // a stopped process is alive
	if e := entry(t, "mixed"); e.Members[0].Dead {
		t.Errorf("%+v", e)
	}
	p.Kill()
	e := entry(t, "mixed")
	if e.State != StateLeaked || len(e.Members) != 2 || !e.Members[0].Dead || e.Err != nil {
		t.Errorf("%+v", e)
	}
	if e.Memory < 1<<20 {
		t.Errorf("%d bytes", e.Memory)
	}
	if removed, err := Sweep(); err != nil || !slices.Equal(removed, e.Files) {
		t.Errorf("%v %v", removed, err)
	}
}

func TestInspectSeesWhatIsNotASpace(t *testing.T) {
	sp := openSpace(t, "named")
	if err := sp.Unlink(); err != nil {
		t.Fatal(err)
	}
	nonce := randomNonce()
	whole, err := os.ReadFile(*sp.s.path.Load())
	if err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(whole)
	binary.LittleEndian.PutUint32(other[8:], layout.Version+1)
	damaged := slices.Clone(whole)
	binary.LittleEndian.PutUint64(damaged[layout.RootMembers+8*7:], 0xffff)
	for name, b := range map[string][]byte{
		namedFile("version"): other, namedFile("damaged"): damaged, namedFile("short"): whole[:100], namedFile("empty"): nil,
		namedFile("cut"):              whole[:len(whole)-1],
		bornFile(nonce):               nil,
		growthFile(nonce, 1, 5):       nil,
		prefix() + "g.nonsense.1.2.3": nil,
		"psm_1234":                    make([]byte, 5000),
		"tandemish":                   nil,
	} {
		path := filepath.Join(directory(), name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
	}
	// Files that cannot be opened, like those of other users: their names say what they are.
	kinds := map[string]FileKind{"n": KindSpace, "p": KindSpace, "t": KindUnborn, "g": KindSegment}
	id := nonceText(randomNonce())
	traps := []string{"n.trap", "p." + id, "t." + id, "g." + id + ".1.1.1"}
	for _, trap := range traps {
		path := filepath.Join(directory(), prefix()+trap)
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
	}

	inv := inspected(t)
	got := map[string]SpaceInfo{}
	for _, e := range inv.Spaces {
		got[strings.TrimPrefix(e.Files[0], prefix())] = e
	}
	is := func(file string, kind FileKind, state State, err error) {
		t.Helper()
		e, ok := got[file]
		if !ok || e.Kind != kind || e.State != state || (err == nil) != (e.Err == nil) || !errors.Is(e.Err, err) ||
			e.Kind == KindSpace && strings.HasPrefix(file, "n.") && file != "n."+e.Name {
			t.Errorf("%s: %+v", file, e)
		}
		delete(got, file)
	}
	is("p."+nonceText(sp.s.nonce), KindSpace, StateAlive, nil)
	var version *VersionError
	if !errors.As(got["n.version"].Err, &version) || version.Have != layout.Version+1 {
		t.Errorf("%+v", got["n.version"])
	}
	is("n.version", KindSpace, StateLeaked, got["n.version"].Err)
	is("n.damaged", KindSpace, StateLeaked, ErrCorrupt)
	is("n.short", KindSpace, StateLeaked, ErrCorrupt)
	is("n.empty", KindSpace, StateLeaked, ErrCorrupt)
	is("n.cut", KindSpace, StateLeaked, ErrCorrupt)
	for _, trap := range traps {
		is(trap, kinds[trap[:1]], StateUnknown, ErrCorrupt)
	}
	is("t."+nonceText(nonce), KindUnborn, StateLeaked, nil)
	is("g."+nonceText(nonce)+".1.5.0", KindSegment, StateLeaked, ErrCorrupt)
	is("g.nonsense.1.2.3", KindSegment, StateUnknown, ErrCorrupt)
	if len(got) != 0 {
		t.Errorf("also there: %v", got)
	}
	if len(inv.Blocks) != 2 || inv.Blocks[0].Name != "psm_1234" || inv.Blocks[0].Size != 5000 || inv.Blocks[0].Memory < 5000 ||
		time.Since(inv.Blocks[0].Modified) > hang {
		t.Errorf("plain blocks %+v", inv.Blocks)
	}
	// A sweep removes exactly what was called leaked.
	want := 7
	removed, err := Sweep()
	if len(removed) != want || !errors.Is(err, ErrCorrupt) { // the trap
		t.Errorf("%v, %v", removed, err)
	}
	for _, e := range inspected(t).Spaces {
		if e.State == StateLeaked {
			t.Errorf("still there: %+v", e)
		}
	}
}

func TestASegmentThatIsMissingIsNamed(t *testing.T) {
	p := roles.Start(t, "member", "torn")
	p.Hear()
	p.Ask("grow")
	e := entry(t, "torn")
	if e.Segments != 2 || len(e.Files) != 2 {
		t.Fatalf("%+v", e)
	}
	if err := os.Remove(filepath.Join(directory(), e.Files[1])); err != nil {
		t.Fatal(err)
	}
	if e = entry(t, "torn"); !errors.Is(e.Err, ErrCorrupt) || !strings.Contains(e.Err.Error(), "segment 1") || e.State != StateAlive {
		t.Errorf("%+v", e)
	}
}

// A mailbox of programs that are newer, or older, than this one is theirs. The places are numbers here because they must be
// the same in every version.
func TestAMailboxOfAnotherVersionIsKept(t *testing.T) {
	const version, flags, doomed = 8, 136, 352
	const another = 1 << 7 // a flag that this version does not have
	for _, c := range []struct {
		what    string
		version uint32
		flags   uint32
		doomed  uint32
		want    State
	}{
		{"newer", layout.Version + 1, layout.RootKeep | another, 0, StateKept},
		{"older", layout.Version - 1, layout.RootKeep, 0, StateKept},
		{"no mailbox", layout.Version + 1, another, 0, StateLeaked},
		{"begun to go", layout.Version + 1, layout.RootKeep, 1, StateLeaked},
		{"damaged", layout.Version, layout.RootKeep | another, 0, StateLeaked},
	} {
		t.Run(c.what, func(t *testing.T) {
			mailbox(t, "theirs", false)
			f, err := os.OpenFile(inDir(directory(), namedFile("theirs")), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for at, v := range map[int64]uint32{version: c.version, flags: c.flags, doomed: c.doomed} {
				if _, err := f.WriteAt(binary.LittleEndian.AppendUint32(nil, v), at); err != nil {
					t.Fatal(err)
				}
			}
			e := entry(t, "theirs")
			var other *VersionError
			if e.State != c.want || e.Keep != (c.want == StateKept) || errors.As(e.Err, &other) != (c.version != layout.Version) {
				t.Errorf("%+v", e)
			}
			removed, err := Sweep()
			if err != nil || (len(removed) == 0) != (c.want == StateKept) {
				t.Fatalf("a sweep removed %v, %v", removed, err)
			}
			if c.want != StateKept {
				return
			}
			if _, err := OpenSpace("theirs"); !errors.As(err, &other) {
				t.Fatalf("attached to it: %v", err)
			}
			if err := Remove("theirs"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A Space goes when its last member goes, whoever looks at it meanwhile, and whatever becomes of him.
func TestInspectingIsNoAttachment(t *testing.T) {
	looker := roles.Start(t, "inspector")
	stopped := roles.Start(t, "inspector")
	looker.Expect("looked")
	stopped.Expect("looked")
	for i := range 20 {
		p := roles.Start(t, "member", "watched")
		p.Hear()
		if i%2 == 0 {
			stopped.Stop()
		}
		if got := p.Ask("members"); got != "1" {
			t.Fatalf("%s members", got)
		}
		if i%4 < 2 {
			if got := p.Ask("exit"); got != "left" {
				t.Fatal(got)
			}
		} else {
			p.Kill()
			if removed, err := Sweep(); err != nil || len(removed) != 1 {
				t.Fatalf("%v, %v", removed, err)
			}
		}
		if left := files(t); len(left) != 0 {
			t.Fatalf("left: %v", left)
		}
		if i%2 == 0 {
			stopped.Signal(syscall.SIGCONT)
		}
	}
	looker.Kill()
	sp := openSpace(t, "after")
	if e := entry(t, "after"); len(e.Members) != 1 || e.State != StateAlive {
		t.Fatalf("%+v of %v", e, sp)
	}
}

// Many come, grow, go and are killed: an inspector sees a world that is whole, if it sees anything.
func TestInspectingWhileOthersComeAndGo(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 10 {
			p := roles.Start(t, "member", "busy")
			p.Hear()
			p.Ask("exit")
			p = roles.Start(t, "member", "busy")
			p.Hear()
			p.Ask("grow")
			p.Kill()
			if _, err := Sweep(); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
		}
		for _, e := range inspected(t).Spaces {
			if e.Err != nil || e.Kind == KindSegment { // whole, or not there
				t.Fatalf("%+v", e)
			}
		}
	}
}

func TestAnotherUsersFilesAreSeenFromOutside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to become another user")
	}
	p := roles.Start(t, "member", "mine")
	p.Hear()
	if err := os.Chmod(directory(), 0o755); err != nil {
		t.Fatal(err)
	}
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}}
	q := roles.StartAs(t, nil, attr, "outsider")
	if got := q.Hear(); !strings.Contains(got, "tandem.0.n.mine unknown") || !strings.Contains(got, "permission denied") {
		t.Error(got)
	}
	if got := p.Ask("exit"); got != "left" {
		t.Error(got)
	}
}

func init() {
	parts["outsider"] = func(p *roles.Peer, args []string) {
		inv, err := Inspect()
		p.Must(err)
		for _, e := range inv.Spaces {
			p.Say("%s %s %v", e.Files[0], e.State, e.Err)
		}
	}
}

// image is a file that is not there: a few pieces of it, zeros between them.
type image struct {
	size   int64
	pieces map[int64][]byte
}

func (m image) ReadAt(b []byte, at int64) (int, error) {
	if at < 0 || at >= m.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), m.size-at))
	clear(b[:n])
	for start, p := range m.pieces {
		for i, c := range p {
			if k := start + int64(i) - at; k >= 0 && k < int64(n) {
				b[k] = c
			}
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// A sparse file can claim a table of gigabytes, in which nothing is.
func TestTablesAreReadNoFurtherThanThereIsMemory(t *testing.T) {
	const count = 1 << 26
	h := newHeader(layout.SegRoot, 7, 0, 1<<34)
	slab := layout.SlabHeader{Class: 0, Count: count, Block: 64, First: layout.SlabHead + count*layout.SizeEntry, Units: h.Units}
	word := binary.LittleEndian.AppendUint64(nil, uint64(layout.MakeWord(layout.Slab, 0, 0)))
	m := image{size: int64(h.Size), pieces: map[int64][]byte{layout.RootTable: word, layout.RootHeap: bytesOf(&slab)}}
	f := &source{ReaderAt: m, name: "sparse", info: fileInfo{size: m.size, memory: 1 << 20}}
	if _, err := f.blocks(h); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	f.info.memory = count * layout.SizeEntry
	if used, err := f.blocks(h); err != nil || used != 0 {
		t.Fatal(used, err)
	}
}

// Whatever is in a file, looking at it gives an entry, in bounded time and memory.
func FuzzInspect(f *testing.F) {
	root := layout.Root{Limit: 1 << 30, Seg: newHeader(layout.SegRoot, 7, 0, rootHeap)}
	copy(root.Name[:], "fuzz")
	root.NameLen = 4
	slab := layout.SlabHeader{Class: 0, Count: 8, Block: 64, First: 256, Units: 1}
	word := func(words ...uint64) (b []byte) {
		for _, w := range words {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
		return b
	}
	slots := word(0, uint64(layout.MakeSlotWord(layout.SlotLive, 1)), uint64(layout.MakeSlotWord(layout.SlotDead, 9)))
	units := word(uint64(layout.MakeWord(layout.Slab, 0, 0)), 0, uint64(layout.MakeWord(layout.Shared, 0, 0)), 0,
		uint64(layout.MakeWord(layout.Cont, 1, 0)), 0)
	whole := slices.Clone(bytesOf(&root))
	f.Add(whole, slots, word(0, 77), units, append(slices.Clone(bytesOf(&slab)), units...),
		layout.RootHeap+rootHeap, int64(1<<20), int16(1))
	grown := newHeader(layout.SegGrowth, 7, 1, firstGrown)
	grown.Self = 5
	f.Add(slices.Clone(bytesOf(&grown)), slots, units, []byte{}, []byte{}, int64(grown.Size), int64(0), int16(2))
	root.Seg.UnitShift, root.Seg.Units, root.Seg.Size = 36, 1024, layout.RootHeap+1024<<36
	most := layout.SlabHeader{Class: 0, Count: 1<<32 - 1, Block: 64, First: 1 << 31, Units: 1024}
	f.Add(slices.Clone(bytesOf(&root)), slots, []byte{}, units, slices.Clone(bytesOf(&most)),
		int64(root.Seg.Size), int64(1<<16), int16(0))
	f.Fuzz(func(t *testing.T, header, slots, segments, units, heap []byte, size, memory int64, held int16) {
		if memory > 1<<24 {
			return // reads that much
		}
		m := image{size: size, pieces: map[int64][]byte{0: header, layout.RootMembers: slots, layout.RootSegments: segments,
			layout.RootTable: units, layout.RootHeap: heap}}
		open := func(name string) *source {
			return &source{ReaderAt: m, name: name, info: fileInfo{size: size, memory: memory, regular: true}, close: func() {},
				held: func(at int64) (int16, error) { return held, nil }}
		}
		f := open("tandem.0.n.fuzz")
		r, err := f.readRoot()
		e := &SpaceInfo{Files: []string{f.name}}
		r.describe(e)
		v := &inspector{dir: "/nowhere", grown: map[spaceID][]*source{}}
		v.adopt(e, r, f)
		if e.Used < 0 || e.Used > max(size, 0) || e.Limit < 0 || len(e.Members) > layout.Slots || err == nil && !r.known {
			t.Fatalf("%+v, %v", e, err)
		}
		for _, s := range []string{e.OldName, e.Title()} {
			if s != terminal.Printable(s) {
				t.Fatalf("%q", s)
			}
		}
		g := open("tandem.0.g.0000000000000007.1.5.0")
		if g.readGrowth(g.name, spaceID{0, 7}); g.used < 0 || g.used > max(size, 0) {
			t.Fatalf("%+v", g)
		}
	})
}

// Another user may plant files that bear our names: they are in nobody's way.
func TestPlantedFilesAreInNobodysWay(t *testing.T) {
	if os.Geteuid() != 0 {
		return // cannot give files away
	}
	orphan := randomNonce()
	path := filepath.Join(directory(), growthFile(orphan, 1, 5))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{namedFile("planted"), privateFile(orphan)} {
		planted := filepath.Join(directory(), name)
		if err := errors.Join(os.WriteFile(planted, nil, 0), os.Chown(planted, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(planted)
	}
	removed, err := Sweep()
	if !slices.Equal(removed, []string{filepath.Base(path)}) || !errors.Is(err, ErrCorrupt) ||
		strings.Count(err.Error(), "no regular file of user 0") != 2 {
		t.Errorf("%v, %v", removed, err)
	}
	if left := files(t); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}
