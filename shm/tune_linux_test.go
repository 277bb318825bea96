package shm

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/internal/roles"
)

func init() {
	// mapper attaches, meets what has been grown, and says how much of both it has mapped before it touches anything.
	parts["mapper"] = func(p *roles.Peer, args []string) {
		sp, err := OpenSpace(args[0])
		p.Must(err)
		mapped := int64(0)
		p.Must(sp.s.segments(func(g *segment) error {
			n, err := smaps(g.mem, "Rss:")
			mapped += n
			return err
		}))
		p.Say("%d", mapped)
		p.Must(Exit())
	}
	// huge uses a file system that was mounted with an option.
	parts["huge"] = func(p *roles.Peer, args []string) {
		if unix.Mount("tmpfs", args[0], "tmpfs", 0, "size=200m"+args[1]) != nil {
			p.Must(unix.Mount("tmpfs", args[0], "tmpfs", 0, "size=200m")) // a kernel without huge pages
		}
		os.Setenv(EnvDir, args[0])
		var opts []Option
		if args[2] == "ask" {
			opts = append(opts, HugePages())
		}
		sp, err := OpenSpace("huge", append(opts, Limit(1<<30))...)
		p.Must(err)
		b, err := sp.s.alloc(40 << 20)
		p.Must(err)
		fillWith(b.Bytes, 1)
		st, err := sp.Stats()
		p.Must(err)
		p.Say("%d %s", st.Huge>>20, st.NoHuge)
		p.Must(sp.Check())
		p.Must(Exit())
		p.Must(unix.Unmount(args[0], 0))
	}
}

func TestPrefaultMapsAllMemoryBeforeItIsUsed(t *testing.T) {
	sp := openSpace(t, "prefault", Limit(1<<30))
	b, err := sp.s.alloc(10 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer sp.s.discard(b)
	st, err := sp.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for _, on := range []string{"on", "off"} {
		p := roles.StartAs(t, []string{EnvPrefault + "=" + on}, nil, "mapper", "prefault")
		var mapped int64
		fmt.Sscan(p.Hear(), &mapped)
		if code := p.Wait(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		if all := mapped >= st.Size; all != (on == "on" && !feature.Populate.Off()) {
			t.Errorf("prefault %s: %d of %d bytes are mapped", on, mapped, st.Size)
		}
	}
	// Who grows a Space maps what it grew.
	quick := openSpace(t, "prefaulted", Limit(1<<30), Prefault())
	if _, err := quick.s.alloc(5 << 20); err != nil {
		t.Fatal(err)
	}
	g, err := quick.s.segment(1)
	if err != nil {
		t.Fatal(err)
	}
	if mapped, err := smaps(g.mem, "Rss:"); err != nil || mapped < g.reserved() && canPopulate() {
		t.Errorf("%d of %d bytes are mapped, %v", mapped, g.reserved(), err)
	}
}

// Memory that was given back between the look and the mapping is there again, and goes again.
func TestWhatPrefaultBringsBackIsGivenBackAgain(t *testing.T) {
	if !canPopulate() {
		t.Skip("populate: this kernel cannot map memory before it is used")
	}
	sp := openSpace(t, "again", Limit(1<<30))
	holdGiver(t, sp)
	b, err := sp.s.alloc(3 << 20)
	if err != nil {
		t.Fatal(err)
	}
	g, err := sp.s.segment(b.Ref.Segment())
	if err != nil {
		t.Fatal(err)
	}
	sp.s.discard(b)
	first, err := sp.Trim()
	if err != nil || first < 3<<20 {
		t.Fatalf("%d bytes given back, %v", first, err)
	}
	empty := inMemory(t)
	if err := sp.s.mapRun(g, 0, g.units); err != nil {
		t.Fatal(err)
	}
	if n := inMemory(t) - empty; n < 3<<20 {
		t.Fatalf("only %d bytes were mapped", n)
	}
	if n, err := sp.Trim(); err != nil || n < 3<<20 || inMemory(t) != empty {
		t.Errorf("%d bytes given back, %v; %d are left, %d before", n, err, inMemory(t), empty)
	}
	if err := sp.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestHugePagesAreMappedOrItSaysWhyNot(t *testing.T) {
	for _, c := range []struct {
		option, ask string
		huge        bool
	}{{",huge=advise", "ask", true}, {",huge=never", "ask", false}, {",huge=advise", "", false}} {
		t.Run(strings.Trim(c.option+" "+c.ask, ", "), func(t *testing.T) {
			p := roles.StartAs(t, nil, inNamespaces(t), "huge", t.TempDir(), c.option, c.ask)
			var mib int64
			line := p.Hear()
			_, why, _ := strings.Cut(line, " ")
			if _, err := fmt.Sscan(line, &mib); err != nil {
				t.Fatal(line)
			}
			switch {
			case c.ask == "" && (mib != 0 || why != ""):
				t.Errorf("nobody asked: %s", line)
			case c.ask != "" && (mib > 0) == (why != ""):
				t.Errorf("%d MiB by huge pages, and why not: %q", mib, why)
			case mib > 0 && (!c.huge || mib < 32):
				t.Errorf("%d of 40 MiB are mapped by huge pages with %s", mib, c.option)
			}
			if code := p.Wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestTheMountSaysWhatItDoesAboutHugePages(t *testing.T) {
	mounts := []byte(`22 28 0:20 / /sys rw,nosuid - sysfs sysfs rw
25 24 0:23 / /dev/shm rw,relatime shared:3 - tmpfs tmpfs rw,size=24684084k,huge=within_size
26 24 0:24 / /tmp rw,relatime - tmpfs tmpfs rw,size=1k
27 24 8:1 / /mnt rw - ext4 /dev/sda1 rw,huge=advise
broken
`)
	for device, want := range map[string]string{"0:23": "within_size", "0:24": "", "8:1": "", "9:9": ""} {
		if got := hugeOption(mounts, device); got != want {
			t.Errorf("%s: %q, want %q", device, got, want)
		}
	}
}
