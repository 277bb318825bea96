package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/roles"
)

const hang = 30 * time.Second // a guard against hanging, never a measure

func init() {
	// member attaches to a Space and does what it is told.
	parts["member"] = func(p *roles.Peer, args []string) {
		sp, err := OpenSpace(args[0])
		p.Must(err)
		p.Say("in %d", os.Getpid())
		blocks := map[string]Block{}
		for {
			cmd := strings.Fields(p.Hear())
			switch cmd[0] {
			case "alloc": // name, size: one of our own
				var size int64
				fmt.Sscan(cmd[2], &size)
				b, err := sp.s.alloc(size)
				p.Must(err)
				for i := range b.Bytes {
					b.Bytes[i] = 0xa5
				}
				blocks[cmd[1]] = b
				p.Say("%x", uint64(b.Ref))
			case "object":
				o, err := sp.NewObject(testObject(4096))
				p.Must(err)
				copy(o.Data, "from the other process")
				p.Say("%v", o.Handle())
			case "grow":
				b, err := sp.s.alloc(2 * rootHeap)
				p.Must(err)
				copy(b.Bytes, "in a grown segment")
				o, err := sp.NewObject(testObject(16))
				p.Must(err)
				sp.s.handOver(b, o.at(layout.SizeConn-1)) // outlives us for as long as somebody holds the object
				p.Say("%v %x", o.Handle(), uint64(b.Ref))
			case "open", "hold":
				var h Handle
				p.Must(h.UnmarshalText([]byte(cmd[1])))
				o, err := h.Open(layout.KindConn)
				if err != nil {
					p.Say("%v", err)
					continue
				}
				p.Say("%s", cString(o.Data))
				if cmd[0] == "open" {
					p.Must(o.Close())
				}
			case "members":
				p.Say("%d", attachedNow(sp.s))
			case "bind":
				var h Handle
				p.Must(h.UnmarshalText([]byte(cmd[2])))
				if err := sp.Bind(cmd[1], h); err != nil {
					p.Say("%v", err)
					continue
				}
				p.Say("bound")
			case "close":
				p.Must(sp.Close())
				p.Say("closed")
			case "exit":
				p.Must(Exit())
				p.Say("left")
			}
		}
	}
}

// testObject is an object of a kind that the reapers know, without rings.
func testObject(data int64) Spec {
	return Spec{Kind: layout.KindConn, Header: layout.SizeConn, Sets: 2, Data: data}
}

func openSpace(t *testing.T, name string, opts ...Option) *Space {
	t.Helper()
	sp, err := OpenSpace(name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sp.Close() })
	return sp
}

// files lists what the Space's directory holds, without the prefix.
func files(t *testing.T) []string {
	t.Helper()
	all, err := list(directory(), "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i] = strings.TrimPrefix(all[i], prefix())
	}
	return all
}

// eventually waits for something that another process, or the kernel, brings about.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(hang); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func TestASpaceIsSharedByItsNameAndGoneWithItsLastMember(t *testing.T) {
	sp := openSpace(t, "shared")
	other := roles.Start(t, "member", "shared")
	other.Hear()
	if got := other.Ask("members"); got != "2" {
		t.Fatalf("the other process sees %s members", got)
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	if got := other.Ask("members"); got != "1" {
		t.Fatalf("after we left it sees %s members", got)
	}
	if f := files(t); len(f) != 1 || f[0] != "n.shared" {
		t.Fatalf("files: %v", f)
	}
	if got := other.Ask("close"); got != "closed" {
		t.Fatal(got)
	}
	if f := files(t); len(f) != 0 {
		t.Fatalf("after the last one left: %v", f)
	}
}

func TestOpeningTwiceIsOneMember(t *testing.T) {
	a, b := openSpace(t, "twice"), openSpace(t, "twice")
	st, err := a.Stats()
	if err != nil || len(st.Members) != 1 {
		t.Fatalf("%+v, %v", st, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatalf("second close: %v", err)
	}
	if _, err := a.Stats(); !errors.Is(err, ErrClosed) || !errors.Is(err, os.ErrClosed) {
		t.Fatalf("a closed Space answers: %v", err)
	}
	if _, err := b.Stats(); err != nil {
		t.Fatalf("the other one was closed too: %v", err)
	}
}

func TestCreateAndAttachSayWhatTheyMean(t *testing.T) {
	if _, err := OpenSpace("modes", Attach()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("attach to nothing: %v", err)
	}
	openSpace(t, "modes", Create())
	if _, err := OpenSpace("modes", Create()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create over a living one: %v", err)
	}
	openSpace(t, "modes", Attach())
	if _, err := OpenSpace("modes", Create(), Attach()); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("both: %v", err)
	}
}

func TestNamesAreCheckedAndNamed(t *testing.T) {
	for _, name := range []string{"", "a/b", "a b", "ü", "..\x00", strings.Repeat("x", 201)} {
		_, err := OpenSpace(name)
		if !errors.Is(err, ErrName) || !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"a", strings.Repeat("x", 200), "A-z_0.9"} {
		openSpace(t, name)
	}
	if _, err := OpenSpace("small", Limit(1000)); !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "1000") {
		t.Errorf("a limit of 1,000 bytes: %v", err)
	}
}

func TestAKilledMemberIsNoticedSettledAndReported(t *testing.T) {
	sp := openSpace(t, "killed")
	died := make(chan *MemberDied, 10)
	stop, err := sp.OnDeath(func(d *MemberDied) { died <- d })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for range 5 {
		p := roles.Start(t, "member", "killed")
		var pid int
		fmt.Sscanf(p.Hear(), "in %d", &pid)
		p.Ask("alloc a 100")
		p.Ask("alloc b 1000000")
		before, _ := sp.Stats()
		if before.Used == 0 {
			t.Fatal("nothing is used")
		}
		p.Slay()
		select {
		case d := <-died:
			if d.PID != pid || d.Command == "" {
				t.Errorf("%v died, not %d", d, pid)
			}
		case <-time.After(hang):
			t.Fatal("nobody noticed")
		}
		if st, err := sp.Stats(); err != nil || st.Used != 0 || len(st.Members) != 1 {
			t.Errorf("after it was settled: %+v, %v", st, err)
		}
	}
}

// An observer may close the Space whose news it hears.
func TestAnObserverMayCloseTheSpace(t *testing.T) {
	sp, err := OpenSpace("observed")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	if _, err := sp.OnDeath(func(*MemberDied) { closed <- sp.Close() }); err != nil {
		t.Fatal(err)
	}
	p := roles.Start(t, "member", "observed")
	p.Hear()
	p.Kill()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
}

func TestAStoppedMemberIsAlive(t *testing.T) {
	sp := openSpace(t, "stopped")
	p := roles.Start(t, "member", "stopped")
	p.Hear()
	p.Ask("alloc a 100")
	p.Stop()
	m := layout.MakeMember(2, 1)
	for range 1000 {
		if sp.s.Dead(m) {
			t.Fatal("a stopped process was taken for dead")
		}
	}
	p.Signal(syscall.SIGCONT)
	if got := p.Ask("members"); got != "2" {
		t.Fatalf("it sees %s members", got)
	}
	p.Slay()
	eventually(t, "dead", func() bool { return sp.s.Dead(m) })
}

func TestALeaverIsNoDeath(t *testing.T) {
	sp := openSpace(t, "leaver")
	stop, err := sp.OnDeath(func(d *MemberDied) { t.Errorf("%v", d) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	deaths := sp.s.root.Deaths.Load()
	p := roles.Start(t, "member", "leaver")
	p.Hear()
	p.Ask("alloc a 100")
	p.Ask("close")
	if st, err := sp.Stats(); err != nil || st.Used != 0 || len(st.Members) != 1 {
		t.Fatalf("%+v, %v", st, err)
	}
	if sp.s.root.Deaths.Load() == deaths {
		t.Fatal("who sleeps on the Space's deaths was not told")
	}
	if w := sp.s.slot(2); w.State() != layout.SlotClean || w.Died() {
		t.Fatalf("slot word %x", w)
	}
}

func TestObjectsOutliveTheirMakerWhileSomebodyHoldsThem(t *testing.T) {
	sp := openSpace(t, "objects")
	maker := roles.Start(t, "member", "objects")
	maker.Hear()
	h := maker.Ask("object")
	holder := roles.Start(t, "member", "objects")
	holder.Hear()
	if got := holder.Ask("hold " + h); got != "from the other process" {
		t.Fatal(got)
	}
	maker.Kill()
	eventually(t, "the maker is settled", func() bool { return attachedNow(sp.s) == 2 })
	late := roles.Start(t, "member", "objects")
	late.Hear()
	if got := late.Ask("hold " + h); got != "from the other process" {
		t.Fatal(got)
	}
	holder.Kill()
	late.Kill()
	eventually(t, "all are settled", func() bool { return attachedNow(sp.s) == 1 })
	var handle Handle
	if err := handle.UnmarshalText([]byte(h)); err != nil {
		t.Fatal(err)
	}
	if _, err := handle.Open(layout.KindConn); !errors.Is(err, ErrGone) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a handle of what is gone: %v", err)
	}
	if st, err := sp.Stats(); err != nil || st.Used != 0 || st.Objects != 0 {
		t.Fatalf("%+v, %v", st, err)
	}
}

// attachedNow counts the slots that are not clean: living members, and dead ones that are not settled to the end.
func attachedNow(s *space) (n int) {
	for slot := 1; slot <= layout.Slots; slot++ {
		if s.slot(slot).State() != layout.SlotClean {
			n++
		}
	}
	return n
}

func TestAGrownSegmentOutlivesWhoGrewIt(t *testing.T) {
	sp := openSpace(t, "grown")
	p := roles.Start(t, "member", "grown")
	p.Hear()
	var text string
	var ref uint64
	fmt.Sscanf(p.Ask("grow"), "%s %x", &text, &ref)
	var h Handle
	if err := h.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	o, err := h.Open(layout.KindConn) // does not touch the grown segment
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	p.Kill()
	eventually(t, "settled", func() bool { return attachedNow(sp.s) == 1 })
	if _, err := Sweep(); err != nil { // nobody maps the segment now, but its root lives
		t.Fatal(err)
	}
	f, err := sp.s.find(Ref(ref))
	if err != nil {
		t.Fatal(err)
	}
	if got := cString(f.bytes); got != "in a grown segment" {
		t.Fatalf("the segment holds %q", got)
	}
	o.Close()
	sp.Close()
	if f := files(t); len(f) != 0 {
		t.Fatalf("left: %v", f)
	}
}

func TestWhatWasLeftBehindIsRemovedAndMadeAnew(t *testing.T) {
	for _, c := range []struct {
		name string
		open func() error
	}{
		{"by the next one who opens it", func() error { _, err := OpenSpace("orphan"); return err }},
		{"by who creates it", func() error { _, err := OpenSpace("orphan", Create()); return err }},
		{"by a sweep", func() error { _, err := Sweep(); return err }},
		{"by who looks for it", func() error {
			_, err := OpenSpace("orphan", Attach())
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return fmt.Errorf("attached to what was left behind: %v", err)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := roles.Start(t, "member", "orphan")
			p.Hear()
			p.Ask("grow")
			p.Kill()
			if f := files(t); len(f) != 2 {
				t.Fatalf("a killed process left %v", f)
			}
			if err := c.open(); err != nil {
				t.Fatal(err)
			}
			for _, f := range files(t) {
				if strings.HasPrefix(f, "g.") {
					t.Errorf("left: %v", f)
				}
			}
			if err := Exit(); err != nil {
				t.Fatal(err)
			}
			if f := files(t); len(f) != 0 {
				t.Fatalf("left: %v", f)
			}
		})
	}
}

func TestUnlinkFreesTheNameAndHarmsNobody(t *testing.T) {
	old := openSpace(t, "unlinked")
	p := roles.Start(t, "member", "unlinked")
	p.Hear()
	h := p.Ask("object")
	if err := old.Unlink(); err != nil {
		t.Fatal(err)
	}
	if err := old.Unlink(); err != nil {
		t.Fatalf("a second time: %v", err)
	}
	fresh := openSpace(t, "unlinked", Create())
	if fresh.s == old.s {
		t.Fatal("the same Space again")
	}
	// The old one still works, grows, and is found by handles.
	if got := p.Ask("open " + h); got != "from the other process" {
		t.Fatal(got)
	}
	p.Ask("grow")
	if _, err := old.s.segment(1); err != nil {
		t.Fatal(err)
	}
	var handle Handle
	if err := handle.UnmarshalText([]byte(h)); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	o, err := handle.Open(layout.KindConn) // attaches by the new name
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	if _, err := Sweep(); err != nil {
		t.Fatal(err)
	}
	if got := p.Ask("members"); got != "1" {
		t.Fatal(got)
	}
	p.Kill()
	if _, err := Sweep(); err != nil {
		t.Fatal(err)
	}
	if f := files(t); len(f) != 1 || f[0] != "n.unlinked" {
		t.Fatalf("left: %v", f)
	}
}

// Names go from n to p once. A sweep that looks in between must not take the segments of a root that it misses.
func TestASegmentOfARenamedRootIsNotSwept(t *testing.T) {
	sp := openSpace(t, "renamed")
	p := roles.Start(t, "member", "renamed")
	p.Hear()
	p.Ask("grow")
	p.Kill()
	if err := sp.Unlink(); err != nil {
		t.Fatal(err)
	}
	if _, err := Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.s.segment(1); err != nil {
		t.Fatal(err)
	}
}

func TestDeathIsProvenEvenWhenTheFileIsGone(t *testing.T) {
	sp := openSpace(t, "underneath")
	p := roles.Start(t, "member", "underneath")
	p.Hear()
	if err := os.Remove(*sp.s.path.Load()); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	eventually(t, "settled", func() bool { return attachedNow(sp.s) == 1 })
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFilesThatAreNotOursOrAreDamagedAreErrors(t *testing.T) {
	good := func(t *testing.T, name string) string {
		sp := openSpace(t, "model")
		b, err := os.ReadFile(*sp.s.path.Load())
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(directory(), namedFile(name))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(path) })
		return path
	}
	patch := func(t *testing.T, path string, at int64, b ...byte) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	var version *VersionError
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, path string)
		ok     func(error) bool
	}{
		{"empty", func(t *testing.T, p string) { os.Truncate(p, 0) }, isCorrupt},
		{"truncated-in-the-header", func(t *testing.T, p string) { os.Truncate(p, 100) }, isCorrupt},
		{"truncated-in-the-heap", func(t *testing.T, p string) { os.Truncate(p, layout.RootHeap+5) }, isCorrupt},
		{"longer", func(t *testing.T, p string) { os.Truncate(p, 1<<26) }, isCorrupt},
		{"overwritten", func(t *testing.T, p string) { patch(t, p, 0, []byte("hello, world")...) }, isCorrupt},
		{"another-version", func(t *testing.T, p string) { patch(t, p, 8, 99) }, func(err error) bool {
			return errors.As(err, &version) && version.Have == 99 && version.Want == layout.Version
		}},
		{"another-kind-of-segment", func(t *testing.T, p string) { patch(t, p, 12, 2) }, isCorrupt},
		{"no-units", func(t *testing.T, p string) { patch(t, p, 40, 0, 0, 0, 0) }, isCorrupt},
		{"too-many-units", func(t *testing.T, p string) { patch(t, p, 40, 0xff, 0xff, 0xff, 0xff) }, isCorrupt},
		{"impossible-unit", func(t *testing.T, p string) { patch(t, p, 44, 63) }, isCorrupt},
		{"no-nonce", func(t *testing.T, p string) { patch(t, p, 16, 0, 0, 0, 0, 0, 0, 0, 0) }, isCorrupt},
		{"unknown-kind-of-object", func(t *testing.T, p string) {
			// It looks alive: somebody else maps it.
			patch(t, p, 640+7, 0x80)
			f, err := os.OpenFile(p, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			if ok, err := tryLock(f, readLock, layout.LockMapped); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}, func(err error) bool { return errors.Is(err, errors.ErrUnsupported) }},
		{"a-fifo", func(t *testing.T, p string) {
			os.Remove(p)
			if err := syscall.Mkfifo(p, 0o600); err != nil {
				t.Fatal(err)
			}
		}, func(err error) bool { return err != nil }},
		{"a-link", func(t *testing.T, p string) {
			os.Remove(p)
			if err := os.Symlink("/etc/passwd", p); err != nil {
				t.Fatal(err)
			}
		}, func(err error) bool { return errors.Is(err, syscall.ELOOP) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := good(t, c.name)
			c.damage(t, path)
			sp, err := OpenSpace(c.name, Attach())
			if err == nil {
				sp.Close()
				t.Fatal("opened")
			}
			if !c.ok(err) || !strings.Contains(err.Error(), c.name) {
				t.Fatalf("the error does not tell: %v", err)
			}
		})
	}
}

func isCorrupt(err error) bool { return errors.Is(err, ErrCorrupt) }

func TestNewMembersSettleTheDeadWhenAllSlotsAreTaken(t *testing.T) {
	sp := openSpace(t, "full")
	s := sp.s
	f, err := reopen(s.probe, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// 999 members that are alive, as the kernel sees it: their locks are held.
	for slot := 2; slot <= layout.Slots; slot++ {
		if ok, err := tryLock(f, writeLock, layout.LockSlot+int64(slot)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		s.slots[slot].Store(uint64(layout.MakeSlotWord(layout.SlotLive, 7)))
	}
	late := roles.Start(t, "member", "full")
	select {
	case line := <-late.Lines():
		if !strings.Contains(line, "1000") || !strings.Contains(line, ErrTooMany.Error()) {
			t.Fatalf("member 1,001: %s", line)
		}
	case <-time.After(hang):
		t.Fatal("member 1,001 hangs")
	}
	// Now they are dead: nobody was told, but whoever needs a slot asks the kernel.
	f.Close()
	next := roles.Start(t, "member", "full")
	next.Hear()
	next.Kill()
	eventually(t, "all are settled", func() bool { return attachedNow(s) == 1 || settleAll(s) })
}

// settleAll settles whoever is dead, as reapers would after their notice; these members never lived and give none.
func settleAll(s *space) bool {
	for slot := 1; slot <= layout.Slots; slot++ {
		if m := layout.MakeMember(slot, s.slot(slot).Gen()); m != s.self && s.Dead(m) {
			s.settle(m)
		}
	}
	return false
}

func TestAUsedUpSlotIsRetired(t *testing.T) {
	sp := openSpace(t, "retired")
	for slot := 2; slot <= layout.Slots; slot++ {
		sp.s.slots[slot].Store(uint64(layout.MakeSlotWord(layout.SlotClean, layout.GenMax)))
	}
	sp.s.slots[500].Store(uint64(layout.MakeSlotWord(layout.SlotClean, layout.GenMax-1)))
	p := roles.Start(t, "member", "retired")
	p.Hear()
	if w := sp.s.slot(500); w.State() != layout.SlotLive || w.Gen() != layout.GenMax {
		t.Fatalf("slot 500 is %x", w)
	}
}

func TestFewDescriptorsAreUsed(t *testing.T) {
	openSpace(t, "first") // the process's alarm is one more, however many Spaces there are
	before := openFDs(t)
	sp := openSpace(t, "descriptors")
	for range 3 {
		if _, err := sp.s.alloc(rootHeap); err != nil { // grows
			t.Fatal(err)
		}
	}
	want := 1 // the probe
	if !mappingsHoldLocks() {
		want += 1 + 3 // a descriptor for each segment
	}
	if got := openFDs(t) - before; got > want {
		t.Fatalf("a Space with three grown segments uses %d descriptors, want %d", got, want)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestWithoutDescriptorsThereIsAnErrorAndNoLeak(t *testing.T) {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	failed, worked := 0, 0
	top := uint64(openFDs(t)) + 8
	for n := uint64(3); n < top; n++ {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
		sp, err := OpenSpace("nofiles")
		if err == nil {
			sp.Close()
			worked++
			continue
		}
		failed++
		if !errors.Is(err, syscall.EMFILE) {
			t.Errorf("with %d descriptors: %v", n, err)
		}
	}
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	if failed == 0 || worked == 0 {
		t.Fatalf("%d failed, %d worked: the limits tried are not those that matter", failed, worked)
	}
	if f := files(t); len(f) != 0 {
		t.Fatalf("left: %v", f)
	}
}

func TestTheSpaceHasALimitAndAnErrorThatNamesIt(t *testing.T) {
	sp := openSpace(t, "limited", Limit(4<<20))
	var got int64
	for {
		b, err := sp.s.alloc(300 << 10)
		if err != nil {
			if !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), fmt.Sprint(4<<20)) {
				t.Fatal(err)
			}
			break
		}
		got += int64(len(b.Bytes))
	}
	if got < 2<<20 {
		t.Fatalf("only %d bytes of a Space of 4 MiB could be used", got)
	}
	st, err := sp.Stats()
	if err != nil || st.Size > 4<<20 {
		t.Fatalf("%+v, %v", st, err)
	}
	// Smaller pieces still fit where a large one does not.
	if _, err := sp.s.alloc(64); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.s.alloc(5 << 20); !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
}

func TestNamesOfFilesAreTakenApart(t *testing.T) {
	for name, want := range map[string]string{
		"tandem.0.p.0123456789abcdef": "0 p 0123456789abcdef true",
		"tandem.1000.n.a.b":           "1000 n a.b true",
		"tandem.7.g.0123.1.2.3":       "7 g 0123.1.2.3 true",
		"tandem.07.n.a":               "7 n a false",
		"tandem.-1.n.a":               "-1 n a false",
		"tandem.1.x.a":                "1 x a false",
		"tandem.1.n.":                 "1 n  false",
		"tandem.1.pn.a":               "1 pn a false",
		"tandem.a.n.a":                "0 n a false",
		"psm_12345":                   "0   false",
	} {
		uid, kind, rest, ok := parseFile(name)
		if got := fmt.Sprint(uid, " ", kind, " ", rest, " ", ok); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// A file that bears our name but is not ours may be a trap for who removes it.
func TestASweepLeavesAloneWhatIsNoFileOfItsUser(t *testing.T) {
	path := filepath.Join(directory(), namedFile("fifo"))
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	removed, err := Sweep()
	if len(removed) != 0 || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "fifo") {
		t.Fatal(removed, err)
	}
}
