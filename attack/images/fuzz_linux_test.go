package images

import (
	"bytes"
	"context"
	"encoding"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/shm"
)

const (
	hang     = 30 * time.Second // against hanging, never a measure
	mostHeap = 512 << 20        // an image has 64 MiB at most
)

// bounded ends the process when f hangs, and fails the test when it takes memory without bound.
func bounded(t *testing.T, f func()) {
	t.Helper()
	dog := time.AfterFunc(hang, func() { panic("hangs") })
	defer dog.Stop()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > mostHeap {
		t.Errorf("took %d bytes", n)
	}
}

// use attaches to the Space and does with it what one can, with errors or without.
func use() {
	sp, err := shm.OpenSpace(name)
	if err != nil {
		return
	}
	defer sp.Close()
	sp.Stats()
	sp.Members()
	sp.Check()
	names, _ := sp.Names()
	for _, n := range names[:min(len(names), 10)] {
		if h, err := sp.Lookup(n); err == nil {
			talk(h)
		}
	}
	if a, b, err := pipe.New[[]byte](pipe.In(sp)); err == nil {
		talk(b.Handle())
		sp.Bind("fresh", a.Handle())
		a.Close()
		b.Close()
	}
	sp.Unbind("fresh")
	sp.Settle()
}

// talk opens an end and moves a few messages.
func talk(h shm.Handle) {
	c, err := pipe.Open[[]byte](h)
	if err != nil {
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	for i := range 8 {
		c.TrySend(make([]byte, 100<<i))
		c.TryRecv()
		if m, err := c.TryReceive(); err == nil {
			m.CopyTo(make([]byte, 1000))
			c.Ack()
		}
		if b, err := c.TryReserve(10 << i); err == nil {
			c.Commit(len(b))
		}
	}
	c.Send(ctx, make([]byte, 1<<20))
	c.RecvMany(ctx, make([][]byte, 10))
	c.Stats()
}

// What is not damaged is found as it was left: the fuzzers do not fail at the door.
func TestAnImageThatIsNotDamagedIsWhole(t *testing.T) {
	for kind, im := range makeImages(t) {
		im.write(t)
		sp, err := shm.OpenSpace(name, shm.Attach())
		if err != nil {
			t.Fatal(err)
		}
		names, err := sp.Names()
		if err != nil || len(names) != kind {
			t.Fatalf("image %d: names %q, %v", kind, names, err)
		}
		for _, n := range names {
			h, err := sp.Lookup(n)
			if err != nil {
				t.Fatal(err)
			}
			c, err := pipe.Open[[]byte](h)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := c.TryRecv(); err != nil || len(b) < 100 {
				t.Errorf("image %d: %d bytes, %v", kind, len(b), err)
			}
			c.Close()
		}
		if err := errors.Join(sp.Check(), sp.Close()); err != nil {
			t.Error(err)
		}
		clear(t)
	}
}

// FuzzImages attaches to damaged Spaces, whose processes are all dead.
func FuzzImages(f *testing.F) {
	images := makeImages(f)
	for kind := range images {
		f.Add(uint8(kind), []byte{})
		for at := byte(0); at < 128; at += 8 { // the header, and what follows
			f.Add(uint8(kind), append([]byte{0, 0, 0, 0, at, 0, 0, 0}, bytes.Repeat([]byte{0xff}, 8)...))
			f.Add(uint8(kind), []byte{0, 2, 0, 0, at, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
			f.Add(uint8(kind), make([]byte, change)) // as if half made
			f.Add(uint8(kind), []byte{1, 1, 1, 1, at, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, at})
		}
		f.Add(uint8(kind), []byte{0, 4, 1, 1, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, kind uint8, plan []byte) {
		im := images[int(kind)%len(images)]
		im.write(t)
		damage(t, im, plan[:min(len(plan), 20*change)])
		bounded(t, func() {
			shm.Inspect()
			use()
			shm.Sweep()
		})
		clear(t)
	})
}

// FuzzHandles reads handles as text and as bytes; what can be read can be written, and opened with an error at most.
func FuzzHandles(f *testing.F) {
	f.Add([]byte("tandem:p.0123456789abcdef:0123456789abcdef:1048100:0:2:0"))
	f.Add([]byte("tandem:n.image:0123456789abcdef:1048100:1:2:1"))
	f.Add(bytes.Repeat([]byte{1}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, func() {
			for _, read := range []func(h *shm.Handle) error{
				func(h *shm.Handle) error { return h.UnmarshalText(b) },
				func(h *shm.Handle) error { return h.UnmarshalBinary(b) },
			} {
				var h, again shm.Handle
				if read(&h) != nil {
					continue
				}
				if text, err := encoding.TextMarshaler(h).MarshalText(); err != nil || again.UnmarshalText(text) != nil || again != h {
					t.Errorf("%q read as %v, written as %q, %v", b, h, text, err)
				}
				talk(h)
			}
		})
	})
}

// FuzzDirectory looks at, sweeps and attaches to whatever lies in the directory under names like ours.
func FuzzDirectory(f *testing.F) {
	own := fmt.Sprintf("tandem.%d.", os.Geteuid())
	for _, n := range []string{"n.image", "p.0123456789abcdef", "g.0123456789abcdef.1.1.1", "t.0123456789abcdef", "g.0.0.0.0", "n."} {
		f.Add(own+n, []byte("anything"), uint32(1<<20))
		f.Add(own+n, []byte{}, uint32(0))
	}
	f.Fuzz(func(t *testing.T, file string, content []byte, size uint32) {
		if !strings.HasPrefix(file, "tandem.") || strings.ContainsAny(file, "/\x00") || len(file) > 255 {
			return
		}
		path := filepath.Join(shm.Dir(), file)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(size)); err != nil {
			t.Fatal(err)
		}
		bounded(t, func() {
			shm.Inspect()
			use()
			shm.Sweep()
		})
		clear(t)
	})
}
