package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/roles"
)

func newObject(t *testing.T, sp *Space) *Object {
	t.Helper()
	spec := testObject(0)
	spec.Header, spec.Sets = layout.SizeProcess, 1
	o, err := sp.NewObject(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

func TestNamesLeadToObjectsWhileThoseExist(t *testing.T) {
	sp := openSpace(t, "names")
	o := newObject(t, sp)
	if err := sp.Bind("a", o.Handle()); err != nil {
		t.Fatal(err)
	}
	if err := sp.Bind("a", o.Handle()); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("bound twice: %v", err)
	}
	if h, err := sp.Lookup("a"); err != nil || h != o.Handle() {
		t.Fatalf("%v, %v", h, err)
	}
	if _, err := sp.Lookup("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	p := newObject(t, sp)
	if err := sp.Bind("b", p.Handle()); err != nil {
		t.Fatal(err)
	}
	if all, err := sp.Names(); err != nil || !slices.Equal(all, []string{"a", "b"}) {
		t.Fatalf("%v, %v", all, err)
	}
	if err := sp.Unbind("a"); err != nil {
		t.Fatal(err)
	}
	if err := sp.Unbind("a"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	// A name whose object is gone is free.
	p.Close()
	if _, err := sp.Lookup("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := sp.Bind("b", o.Handle()); err != nil {
		t.Fatal(err)
	}
	if err := sp.Bind("c", p.Handle()); !errors.Is(err, ErrGone) {
		t.Fatalf("a name for what is gone: %v", err)
	}
	for _, bad := range []string{"", strings.Repeat("x", 201)} {
		if err := sp.Bind(bad, o.Handle()); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	other := openSpace(t, "elsewhere")
	if err := other.Bind("a", o.Handle()); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("an object of another Space: %v", err)
	}
}

func TestADirectoryHasRoomForMoreThanOneBlock(t *testing.T) {
	sp := openSpace(t, "many")
	o := newObject(t, sp)
	const n = 3*layout.DirEntries + 5
	for i := range n {
		if err := sp.Bind(fmt.Sprintf("object %03d", i), o.Handle()); err != nil {
			t.Fatal(err)
		}
	}
	all, err := sp.Names()
	if err != nil || len(all) != n {
		t.Fatalf("%d names, %v", len(all), err)
	}
}

func TestOneOfManyWhoBindTheSameNameGetsIt(t *testing.T) {
	sp := openSpace(t, "binders")
	o := newObject(t, sp)
	var procs []*roles.Proc
	for range 2 {
		p := roles.Start(t, "member", "binders")
		p.Hear()
		procs = append(procs, p)
	}
	for round := range 30 {
		name := fmt.Sprint("name", round)
		for _, p := range procs {
			p.Say("bind " + name + " " + o.Handle().String())
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				switch err := sp.Bind(name, o.Handle()); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, fs.ErrExist):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, p := range procs {
			if p.Hear() == "bound" {
				won.Add(1)
			}
		}
		if n := won.Load(); n != 1 {
			t.Fatalf("%d got the name", n)
		}
	}
	all, err := sp.Names()
	if err != nil || len(all) != 30 {
		t.Fatalf("%d names, %v", len(all), err)
	}
}

func TestAStoppedOrDeadBinderIsInNobodysWay(t *testing.T) {
	sp := openSpace(t, "halfway")
	s := sp.s
	o := newObject(t, sp)
	stuck := layout.MakeMember(2, 1)
	for _, state := range []int{layout.DirClaim, layout.DirPending} {
		e, w, err := s.claimName()
		if err != nil {
			t.Fatal(err)
		}
		e.Hash.Store(hashName("x"))
		e.NameLen.Store(uint32(copy(e.Name[:], "x")))
		e.Word.Store(uint64(w.To(state, stuck)))
		if err := sp.Bind("x", o.Handle()); err != nil {
			t.Fatalf("state %d: %v", state, err)
		}
		if err := sp.Unbind("x"); err != nil {
			t.Fatal(err)
		}
	}
	s.slots[2].Store(uint64(layout.MakeSlotWord(layout.SlotDead, 1)))
	if err := s.settle(stuck); err != nil {
		t.Fatal(err)
	}
	err := s.names(func(e *layout.DirEntry, w layout.Word) bool {
		t.Errorf("entry left: %v", w)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHandlesSurviveTheirTextAndBinaryForms(t *testing.T) {
	sp := openSpace(t, "handles")
	h := newObject(t, sp).Handle()
	text, _ := h.MarshalText()
	bin, _ := h.MarshalBinary()
	var a, b Handle
	if err := errors.Join(a.UnmarshalText(text), b.UnmarshalBinary(bin)); err != nil || a != h || b != h {
		t.Fatalf("%v, %v, %v", a, b, err)
	}
	for i := range text {
		var x Handle
		if err := x.UnmarshalText(text[:i]); err == nil {
			t.Errorf("%q is a handle", text[:i])
		}
	}
	for i := range bin {
		if i >= 22+len("n.a") && i < len(bin) {
			continue // a shorter name is a name
		}
		var x Handle
		if err := x.UnmarshalBinary(bin[:i]); err == nil {
			t.Errorf("%x is a handle", bin[:i])
		}
	}
	for _, bad := range []string{
		"tandem:n.../../x:1:1:1:1:0", "tandem:p.0:1:1:1:1:0", "tandem:n.x:0:1:1:1:0", "tandem:n.x:1:1:1:99:0", "TANDEM:n.x:1:1:1:1:0",
	} {
		var x Handle
		if err := x.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a handle", bad)
		}
	}
	if _, err := h.Open(layout.KindProcess); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
	h.Nonce++
	if _, err := h.Open(layout.KindConn); !errors.Is(err, ErrGone) {
		t.Error("a handle of another Space of the same name:", err)
	}
}
