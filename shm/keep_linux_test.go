package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/roles"
)

func init() {
	// keeper makes a mailbox, binds an end of an object in it, leaves another object unbound, and much that is unpublished.
	parts["keeper"] = func(p *roles.Peer, args []string) {
		sp, err := OpenSpace(args[0], Keep())
		p.Must(err)
		var mine []*Object
		for _, name := range []string{"bound", ""} {
			o, err := sp.NewObject(testObject(3 << 20)) // in a grown segment
			p.Must(err)
			copy(o.Data, "kept for you")
			mine = append(mine, o, o.At(1))
			if name != "" {
				p.Must(sp.Bind(name, o.Handle()))
			}
		}
		_, err = sp.s.alloc(5000)
		p.Must(err)
		p.Say("ready")
		if p.Hear() == "exit" {
			for _, o := range mine {
				p.Must(o.Close())
			}
			p.Must(Exit())
			p.Say("left")
		}
	}
}

// mailbox leaves a mailbox behind, by a member that was killed or has left in order.
func mailbox(t *testing.T, name string, kill bool) {
	t.Helper()
	p := roles.Start(t, "keeper", name)
	p.Expect("ready")
	if !kill {
		if got := p.Ask("exit"); got != "left" {
			t.Fatal(got)
		}
		p.Wait()
	}
	p.Kill()
	t.Cleanup(func() { Unlink(name) })
}

func TestAMailboxOutlivesItsUsers(t *testing.T) {
	for _, kill := range []bool{true, false} {
		t.Run(fmt.Sprintf("killed=%v", kill), func(t *testing.T) {
			mailbox(t, "box", kill)
			for range 2 {
				if removed, err := Sweep(); err != nil || len(removed) != 0 {
					t.Fatalf("a sweep removed %v, %v", removed, err)
				}
			}
			if _, err := OpenSpace("box", Create()); !errors.Is(err, fs.ErrExist) {
				t.Fatalf("made anew over a mailbox: %v", err)
			}
			sp := openSpace(t, "box", Attach())
			// The dead are settled by the time that we are in: what was not bound is gone, and its maker with it.
			st, err := sp.Stats()
			if err != nil || len(st.Members) != 1 || st.Objects != 1 || !st.Kept {
				t.Fatalf("%+v, %v", st, err)
			}
			if err := sp.Check(); err != nil {
				t.Fatal(err)
			}
			h, err := sp.Lookup("bound")
			if err != nil {
				t.Fatal(err)
			}
			o, err := h.Open(layout.KindConn)
			if err != nil || cString(o.Data) != "kept for you" {
				t.Fatalf("%v", err)
			}
			// The other end was not bound: it ended with its last holder, and says how.
			want := layout.SetClosed
			if kill {
				want = layout.SetDied
			}
			if got := o.SetState(1).Phase(); got != want {
				t.Errorf("the unbound end is in phase %d, want %d", got, want)
			}
			// Holding and leaving it again changes nothing, nor does leaving the Space last.
			if err := errors.Join(o.Close(), sp.Close()); err != nil {
				t.Fatal(err)
			}
			sp = openSpace(t, "box", Attach())
			if o, err = h.Open(layout.KindConn); err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			// Unbound, it goes with its holders.
			if err := sp.Unbind("bound"); err != nil {
				t.Fatal(err)
			}
			if !o.same() {
				t.Fatal("it was freed while we held it")
			}
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
			if st, err := sp.Stats(); err != nil || st.Objects != 0 || st.Used != layout.SizeDirectory {
				t.Fatalf("%+v, %v", st, err)
			}
			// Given up, the Space goes with its last member.
			if err := sp.Unlink(); err != nil {
				t.Fatal(err)
			}
			if err := sp.Close(); err != nil {
				t.Fatal(err)
			}
			if f := files(t); len(f) != 0 {
				t.Fatalf("left: %v", f)
			}
		})
	}
}

func TestUnbindingTheLastHoldFreesTheObject(t *testing.T) {
	mailbox(t, "unbound", true)
	sp := openSpace(t, "unbound")
	if err := sp.Unbind("bound"); err != nil {
		t.Fatal(err)
	}
	if st, err := sp.Stats(); err != nil || st.Objects != 0 || st.Used != layout.SizeDirectory {
		t.Fatalf("%+v, %v", st, err)
	}
	if err := sp.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestANameDoesNotHoldWhatIsOver(t *testing.T) {
	sp := openSpace(t, "late", Keep())
	defer Unlink("late")
	o, err := sp.NewObject(testObject(100))
	if err != nil {
		t.Fatal(err)
	}
	other := o.At(1)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sp.Bind("over", o.Handle()); !errors.Is(err, ErrGone) {
		t.Fatalf("bound an end that is over: %v", err)
	}
	if all, err := sp.Names(); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	// The other one can be bound, twice, and is held until both names are gone.
	for _, name := range []string{"a", "b"} {
		if err := sp.Bind(name, other.Handle()); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"a", "b"} {
		if !other.same() {
			t.Fatalf("gone with %d names", 2-i)
		}
		if err := sp.Unbind(name); err != nil {
			t.Fatal(err)
		}
	}
	if other.same() {
		t.Fatal("it outlives its last name")
	}
}

func TestASpaceThatExistsDoesNotBecomeAMailbox(t *testing.T) {
	refused := func() {
		t.Helper()
		if _, err := OpenSpace("mail", Keep()); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "without Keep") {
			t.Fatalf("%v", err)
		}
	}
	p := roles.Start(t, "member", "mail")
	p.Hear()
	refused() // made by another process
	sp := openSpace(t, "mail")
	refused() // open here, too
	if st, err := sp.Stats(); err != nil || st.Kept || len(st.Members) != 2 {
		t.Fatalf("%+v, %v", st, err)
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	// Left behind, it is not there any more.
	sp = openSpace(t, "mail", Keep())
	defer Unlink("mail")
	if st, err := sp.Stats(); err != nil || !st.Kept {
		t.Fatalf("%+v, %v", st, err)
	}
	// A mailbox is open to who does not say so.
	openSpace(t, "mail")
	openSpace(t, "mail", Keep())
}

func TestOnlyUnlinkRemovesAMailbox(t *testing.T) {
	mailbox(t, "rm", true)
	if err := Unlink("rm"); err != nil {
		t.Fatal(err)
	}
	if f := files(t); len(f) != 0 {
		t.Fatalf("left: %v", f)
	}
	if err := Unlink("rm"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "rm") {
		t.Fatalf("a second time: %v", err)
	}
	if err := Unlink("no/name"); !errors.Is(err, ErrName) {
		t.Fatal(err)
	}
	// In use, it loses its name at once, and goes with its last user.
	p := roles.Start(t, "keeper", "rm")
	p.Expect("ready")
	if err := Unlink("rm"); err != nil {
		t.Fatal(err)
	}
	if f := files(t); slices.Contains(f, "n.rm") || len(f) == 0 {
		t.Fatalf("files: %v", f)
	}
	p.Kill()
	if _, err := Sweep(); err != nil {
		t.Fatal(err)
	}
	if f := files(t); len(f) != 0 {
		t.Fatalf("left: %v", f)
	}
	// What is no Space can be removed, too.
	if err := os.WriteFile(inDir(directory(), namedFile("rubbish")), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Unlink("rubbish"); err != nil {
		t.Fatal(err)
	}
}
