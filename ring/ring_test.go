package ring

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/csrc"
	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/layout"
)

func newRing(t testing.TB, capacity int) (*SPSC, []byte) {
	t.Helper()
	mem := make([]byte, Size(capacity))
	r, err := New(mem, capacity)
	if err != nil {
		t.Fatal(err)
	}
	return r, mem
}

func sides(t testing.TB, r *SPSC) (*Producer, *Consumer) {
	t.Helper()
	p, err := r.Producer(futex.Block)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Consumer(futex.Block)
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

func TestCapacitiesArePowersOfTwo(t *testing.T) {
	for n, want := range map[int]int{1: 4096, 4096: 4096, 4097: 8192, 65536: 65536, 1 << 30: 1 << 30, 1<<30 + 1: 1 << 30} {
		if got := Capacity(n); got != want {
			t.Errorf("Capacity(%d) = %d, want %d", n, got, want)
		}
	}
	for _, bad := range []int{0, 100, 5000, 1 << 31} {
		if _, err := New(make([]byte, Size(8192)), bad); err == nil {
			t.Errorf("a ring of %d bytes was made", bad)
		}
	}
	if _, err := New(make([]byte, 4096), 4096); err == nil {
		t.Error("a ring without room for its control block was made")
	}
}

func TestRecordsComeOutAsTheyWentIn(t *testing.T) {
	r, _ := newRing(t, 4096)
	p, c := sides(t, r)
	buf := make([]byte, r.MaxRecord())
	for i := range 5000 {
		msg := bytes.Repeat([]byte{byte(i)}, i*7%(r.MaxRecord()+1))
		if err := p.TryPush(msg); err != nil {
			t.Fatal(i, err)
		}
		n, err := c.TryPop(buf)
		if err != nil || !bytes.Equal(buf[:n], msg) {
			t.Fatalf("%d: %d bytes, %v", i, n, err)
		}
	}
	if _, err := c.TryPop(buf); err != ErrEmpty {
		t.Fatal(err)
	}
}

func TestLimitsAreErrorsAndNothingIsLost(t *testing.T) {
	r, _ := newRing(t, 4096)
	p, c := sides(t, r)
	var large *TooLargeError
	if err := p.TryPush(make([]byte, r.MaxRecord()+1)); !errors.As(err, &large) || large.Limit != 1016 {
		t.Fatal(err)
	}
	n := 0
	for ; p.TryPush([]byte("0123456789")) == nil; n++ {
	}
	if want := (4096 - 8) / 24; n != want {
		t.Errorf("%d records of 24 bytes in 4,096, want %d", n, want)
	}
	if err := p.TryPush(nil); err != ErrFull && err != nil {
		t.Fatal(err)
	}
	var short *ShortBufferError
	if _, err := c.TryPop(make([]byte, 9)); !errors.As(err, &short) || short.Need != 10 || short.Have != 9 {
		t.Fatal(err)
	}
	got := 0
	for buf := make([]byte, 10); ; got++ {
		if _, err := c.TryPop(buf); err == ErrEmpty {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if got < n {
		t.Fatalf("%d went in, %d came out", n, got)
	}
	if err := p.TryPush(make([]byte, r.MaxRecord())); err != nil {
		t.Fatal("no room in an empty ring:", err)
	}
}

func TestReserveCommitReceiveAckInOrder(t *testing.T) {
	r, _ := newRing(t, 4096)
	p, c := sides(t, r)
	if err := p.Commit(0); err != ErrState {
		t.Error("commit of nothing:", err)
	}
	if err := c.Ack(); err != ErrState {
		t.Error("ack of nothing:", err)
	}
	mem, err := p.TryReserve(100)
	if err != nil || len(mem) != 100 {
		t.Fatal(len(mem), err)
	}
	if _, err := p.TryReserve(1); err != ErrState {
		t.Error("two reservations:", err)
	}
	if err := p.TryPush(nil); err != ErrState {
		t.Error("push beside a reservation:", err)
	}
	if _, err := c.TryReceive(); err != ErrEmpty {
		t.Error("a reservation is visible:", err)
	}
	if err := p.Commit(101); err != ErrState {
		t.Error("more than reserved:", err)
	}
	copy(mem, "hello")
	if err := p.Commit(5); err != nil {
		t.Fatal(err)
	}
	if _, err := p.TryReserve(10); err != nil {
		t.Fatal(err)
	}
	p.Abort()
	p.TryPush([]byte("two"))
	a, err := c.TryReceive()
	if err != nil || string(a.Data) != "hello" || a.Redelivered {
		t.Fatalf("%q, %v", a.Data, err)
	}
	b, err := c.TryReceive()
	if err != nil || string(b.Data) != "two" || string(a.Data) != "hello" {
		t.Fatalf("%q %q, %v", a.Data, b.Data, err)
	}
	if _, err := c.TryPop(make([]byte, 10)); err != ErrState {
		t.Error("pop beside a lease:", err)
	}
	c.Return()
	if err := c.Ack(); err != ErrState {
		t.Error("ack of what was returned:", err)
	}
	for _, want := range []string{"hello", "two"} {
		if m, err := c.TryReceive(); err != nil || string(m.Data) != want {
			t.Fatalf("again: %q, %v, want %q", m.Data, err, want)
		}
	}
	if err := c.Ack(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.TryReceive(); err != ErrEmpty {
		t.Fatal(err)
	}
}

func TestASuccessorGoesOnWhereTheDeadStopped(t *testing.T) {
	r, _ := newRing(t, 4096)
	p, c := sides(t, r)
	buf := make([]byte, 100)
	push := func(p *Producer, from, to byte) {
		for i := from; i < to; i++ {
			if err := p.TryPush([]byte{i}); err != nil {
				t.Fatal(err)
			}
		}
	}
	pop := func(c *Consumer, want byte) {
		t.Helper()
		if n, err := c.TryPop(buf); err != nil || n != 1 || buf[0] != want {
			t.Fatalf("got %d, %v; want %d", buf[0], err, want)
		}
	}
	push(p, 0, 5)
	pop(c, 0)
	// The producer dies with a record prepared and not committed: whatever it wrote behind the last header is not there.
	mem, _ := p.TryReserve(50)
	for i := range mem {
		mem[i] = 0xff
	}
	p, err := r.Producer(futex.Block)
	if err != nil {
		t.Fatal(err)
	}
	push(p, 5, 8)
	// The consumer dies having been shown two records.
	for range 2 {
		if _, err := c.TryReceive(); err != nil {
			t.Fatal(err)
		}
	}
	if c, err = r.Consumer(futex.Block); err != nil {
		t.Fatal(err)
	}
	for i := byte(1); i < 8; i++ {
		m, err := c.TryReceive()
		if err != nil || m.Data[0] != i || m.Redelivered != (i < 3) {
			t.Fatalf("%v %v %v, want %d", m.Data, m.Redelivered, err, i)
		}
	}
	c.Ack()
	// Who was shown less than the one before does not take back what that one was shown.
	push(p, 8, 11)
	for _, shown := range []int{3, 1, 0} {
		if c, err = r.Consumer(futex.Block); err != nil {
			t.Fatal(err)
		}
		for range shown {
			if _, err := c.TryReceive(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := byte(8); i < 11; i++ {
		if m, err := c.TryReceive(); err != nil || m.Data[0] != i || !m.Redelivered {
			t.Fatalf("%v %v %v, want %d, marked", m.Data, m.Redelivered, err, i)
		}
	}
	c.Ack()
	// After many laps as well.
	for lap := range byte(200) {
		push(p, lap, lap+1)
		if p, err = r.Producer(futex.Block); err != nil {
			t.Fatal(err)
		}
		if c, err = r.Consumer(futex.Block); err != nil {
			t.Fatal(err)
		}
		pop(c, lap)
	}
}

// Every prefix of a burst's stores: killed after any of them, all of it is there or nothing.
func TestABurstAppearsWithItsFirstHeader(t *testing.T) {
	r, mem := newRing(t, 4096)
	p, _ := sides(t, r)
	before := bytes.Clone(mem)
	if n, err := p.pushBatch(5, func(i int) []byte { return []byte{byte(i)} }); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	// Undo the last store, that of header 1, as if the producer had been killed just before it.
	first := layout.SizeRing
	copy(mem[first:first+8], before[first:first+8])
	c, _ := r.Consumer(futex.Block)
	if _, err := c.TryPop(make([]byte, 8)); err != ErrEmpty {
		t.Fatal("part of a burst is there:", err)
	}
	p, err := r.Producer(futex.Block)
	if err != nil {
		t.Fatal(err)
	}
	p.TryPush([]byte("next"))
	buf := make([]byte, 8)
	if n, err := c.TryPop(buf); err != nil || string(buf[:n]) != "next" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if _, err := c.TryPop(buf); err != ErrEmpty {
		t.Fatal("a header of the killed burst was taken for a record:", err)
	}
}

func TestDamageIsReported(t *testing.T) {
	put := func(mem []byte, at int, v uint64) { binary.LittleEndian.PutUint64(mem[at:], v) }
	for name, damage := range map[string]func(mem []byte){
		"length":           func(m []byte) { put(m, layout.SizeRing, headerOf(0, 5000, layout.RecCommit)) },
		"flags":            func(m []byte) { put(m, layout.SizeRing, headerOf(0, 1, 0x80|layout.RecCommit)) },
		"no commit":        func(m []byte) { put(m, layout.SizeRing, headerOf(0, 1, 0)) },
		"check":            func(m []byte) { put(m, layout.SizeRing, headerOf(64, 1, layout.RecCommit)) },
		"noise":            func(m []byte) { put(m, layout.SizeRing, 0xdeadbeefdeadbeef) },
		"pads for ever":    func(m []byte) { put(m, layout.SizeRing, headerOf(0, 0, 3)); put(m, layout.SizeRing, headerOf(0, 0, 3)) },
		"cursor unaligned": func(m []byte) { put(m, 256, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			r, mem := newRing(t, 4096)
			p, _ := sides(t, r)
			p.TryPush([]byte{1})
			damage(mem)
			c, err := r.Consumer(futex.Block)
			if err == nil {
				if name == "pads for ever" {
					put(mem, layout.SizeRing, headerOf(0, 0, 3))
				}
				_, err = c.TryPop(make([]byte, 100))
			}
			if name == "pads for ever" && err == ErrEmpty {
				return // one pad and nothing behind it is legal
			}
			if err != ErrCorrupt {
				t.Fatal(err)
			}
			if csrc.Available && c != nil {
				c.own.Pos = 0
				if _, err := c.TryPopFlat(make([]byte, 100), 10); err != ErrCorrupt {
					t.Fatal("C:", err)
				}
			}
		})
	}
	t.Run("head", func(t *testing.T) {
		r, mem := newRing(t, 4096)
		p, _ := sides(t, r)
		for p.TryPush(make([]byte, 500)) == nil {
		}
		put(mem, 128, 1<<60)
		if err := p.TryPush(make([]byte, 500)); err != ErrCorrupt {
			t.Fatal(err)
		}
		p.own.Limit = 0
		if csrc.Available {
			if _, err := p.TryPushFlat(make([]byte, 1000), 500); err != ErrCorrupt {
				t.Fatal("C:", err)
			}
		}
	})
	if _, err := Open(make([]byte, Size(4096))); !errors.Is(err, ErrCorrupt) {
		t.Error("no ring was opened:", err)
	}
}

// driver does what a side can do, in one of the two languages.
type driver struct {
	push func(p *Producer, msgs [][]byte) (int, error)
	pop  func(c *Consumer, max int) ([][]byte, error)
}

func flat(msgs [][]byte) (b []byte, lens []uint32) {
	for _, m := range msgs {
		b = append(b, m...)
		lens = append(lens, uint32(len(m)))
	}
	return b, lens
}

func unflat(b []byte, lens []uint32) (msgs [][]byte) {
	for _, n := range lens {
		msgs = append(msgs, bytes.Clone(b[:n]))
		b = b[n:]
	}
	return msgs
}

var goDriver = driver{
	push: func(p *Producer, msgs [][]byte) (int, error) {
		return p.pushBatch(len(msgs), func(i int) []byte { return msgs[i] })
	},
	pop: func(c *Consumer, max int) (msgs [][]byte, err error) {
		for buf := make([]byte, c.MaxRecord()); len(msgs) < max; {
			n, err := c.TryPop(buf)
			if err != nil {
				return msgs, someIsEnough(len(msgs), err)
			}
			msgs = append(msgs, bytes.Clone(buf[:n]))
		}
		return msgs, nil
	},
}

var cDriver = driver{
	push: func(p *Producer, msgs [][]byte) (int, error) {
		b, lens := flat(msgs)
		k, st := csrc.PushList(p.ring, p.data, &p.own, b, lens)
		return k, p.account(k, st)
	},
	pop: func(c *Consumer, max int) ([][]byte, error) {
		b, lens := make([]byte, max*c.MaxRecord()), make([]uint32, max)
		k, st := csrc.PopList(c.ring, c.data, &c.own, b, lens)
		return unflat(b, lens[:k]), c.account(k, st)
	},
}

func TestAFullRingTakesNoMoreInEitherLanguage(t *testing.T) {
	for name, d := range map[string]driver{"go": goDriver, "c": cDriver} {
		if name == "c" && !csrc.Available {
			continue
		}
		r, err := New(shared(t, Size(4096)), 4096)
		if err != nil {
			t.Fatal(err)
		}
		p, c := sides(t, r)
		msgs := make([][]byte, 300)
		for i := range msgs {
			msgs[i] = bytes.Repeat([]byte{byte(i)}, 56)
		}
		if k, err := d.push(p, msgs); k != 63 || err != ErrFull {
			t.Fatalf("%s: %d records of 64 bytes in 4,096, %v", name, k, err)
		}
		if k, err := d.push(p, msgs); k != 0 || err != ErrFull {
			t.Fatalf("%s: %d more, %v", name, k, err)
		}
		got, err := d.pop(c, 10)
		if len(got) != 10 || err != nil || got[9][0] != 9 {
			t.Fatalf("%s: %d, %v", name, len(got), err)
		}
		if k, err := d.push(p, msgs); k != 10 || err != ErrFull {
			t.Fatalf("%s: %d in the place of 10, %v", name, k, err)
		}
	}
}

// The two implementations of one protocol: whatever one has pushed the other pops, and after every step the shared memory
// of a ring driven by C is byte for byte that of a ring driven by Go.
func TestGoAndCAreTheSameRing(t *testing.T) {
	if !csrc.Available {
		t.Log("this build has no C side")
		return
	}
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		type pair struct {
			r    *SPSC
			mem  []byte
			p    *Producer
			c    *Consumer
			push driver
			pop  driver
		}
		var pairs []*pair
		for _, d := range []struct{ push, pop driver }{{goDriver, goDriver}, {cDriver, cDriver}, {goDriver, cDriver}, {cDriver, goDriver}} {
			mem := shared(t, Size(4096))
			r, err := New(mem, 4096)
			if err != nil {
				t.Fatal(err)
			}
			p, c := sides(t, r)
			pairs = append(pairs, &pair{r, mem, p, c, d.push, d.pop})
		}
		var inside [][]byte
		for step := range 400 {
			if rnd.IntN(2) == 0 {
				msgs := make([][]byte, 1+rnd.IntN(40))
				for i := range msgs {
					n := rnd.IntN(60)
					if rnd.IntN(20) == 0 {
						n = rnd.IntN(1017)
					}
					msgs[i] = bytes.Repeat([]byte{byte(rnd.Uint32())}, n)
				}
				// Well below full: how far a full ring can be filled depends on how lately a consumer has published.
				total := 0
				for _, m := range append(inside, msgs...) {
					total += int(recordSize(uint64(len(m))))
				}
				if total > 2500 {
					continue
				}
				for _, p := range pairs {
					if k, err := p.push.push(p.p, msgs); k != len(msgs) || err != nil {
						t.Fatalf("seed %d step %d: pushed %d of %d, %v", seed, step, k, len(msgs), err)
					}
				}
				inside = append(inside, msgs...)
			} else {
				max := 1 + rnd.IntN(40)
				want := inside[:min(max, len(inside))]
				for _, p := range pairs {
					got, err := p.pop.pop(p.c, max)
					if err != nil && (err != ErrEmpty || len(want) != 0) {
						t.Fatalf("seed %d step %d: %v", seed, step, err)
					}
					if !slices.EqualFunc(got, want, bytes.Equal) {
						t.Fatalf("seed %d step %d: popped %d messages, want %d, or others", seed, step, len(got), len(want))
					}
				}
				inside = inside[len(want):]
			}
			for _, p := range pairs[1:] {
				if p.p.own.Pos != pairs[0].p.own.Pos || p.c.own.Pos != pairs[0].c.own.Pos {
					t.Fatalf("seed %d step %d: positions differ", seed, step)
				}
				if !sameRing(p.mem, pairs[0].mem) {
					t.Fatalf("seed %d step %d: shared memory differs", seed, step)
				}
			}
			if rnd.IntN(50) == 0 { // a successor, of either language, finds the same place
				for _, p := range pairs {
					end, err := p.r.Producer(futex.Block)
					if err != nil || end.own.Pos != p.p.own.Pos {
						t.Fatalf("seed %d step %d: a successor starts at %d, not %d (%v)", seed, step, end.own.Pos, p.p.own.Pos, err)
					}
				}
			}
		}
	}
}

// sameRing compares all but the published head, which both may lag behind differently, and memory that no record covers.
func sameRing(a, b []byte) bool {
	ra, _ := Open(a)
	rb, _ := Open(b)
	if ra.ring.Cursor.Load() != rb.ring.Cursor.Load() {
		return false
	}
	same := true
	end, err := ra.walk(ra.ring.Cursor.Load(), func(pos uint64, rec record) {
		n := recordSize(rec.n)
		same = same && bytes.Equal(ra.data[rec.off:rec.off+n-(n-8-rec.n)], rb.data[rec.off:rec.off+n-(n-8-rec.n)])
	})
	endB, errB := rb.walk(rb.ring.Cursor.Load(), nil)
	return same && err == nil && errB == nil && end == endB
}

func TestNothingIsAllocatedForARecord(t *testing.T) {
	r, err := New(shared(t, Size(65536)), 65536)
	if err != nil {
		t.Fatal(err)
	}
	p, c := sides(t, r)
	msg, buf := make([]byte, 64), make([]byte, 64*32)
	for name, f := range map[string]func(){
		"single":    func() { p.TryPush(msg); c.TryPop(buf) },
		"batch":     func() { p.TryPushFlat(buf, 64); c.TryPopFlat(buf, 64) },
		"zero-copy": func() { p.TryReserve(64); p.Commit(64); c.TryReceive(); c.Ack() },
		"empty":     func() { c.TryPop(buf) },
		"waits": func() {
			p.TryPush(msg)
			c.Wait(t.Context(), never{})
			p.Wait(t.Context(), 64, never{})
			c.TryPop(buf)
		},
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestTwoGoroutinesPassMessages(t *testing.T) {
	for _, mode := range []futex.Mode{futex.Auto, futex.Block} {
		for _, capacity := range []int{4096, 65536} {
			t.Run(fmt.Sprintf("%v/%d", mode, capacity), func(t *testing.T) {
				r, err := New(shared(t, Size(capacity)), capacity)
				if err != nil {
					t.Fatal(err)
				}
				const n = 100_000
				done := make(chan error, 1)
				go func() { done <- consume(t, r, mode, n) }()
				p, err := r.Producer(mode)
				if err != nil {
					t.Fatal(err)
				}
				rnd := rand.New(rand.NewPCG(1, uint64(capacity)))
				for i := 0; i < n; {
					k := 1
					if rnd.IntN(4) == 0 {
						k = min(1+rnd.IntN(50), n-i)
					}
					var buf []byte
					for j := range k {
						buf = binary.LittleEndian.AppendUint64(buf, uint64(i+j))
					}
					sent, err := 0, error(nil)
					if k == 1 {
						if err = p.TryPush(buf); err == nil {
							sent = 1
						}
					} else {
						sent, err = p.TryPushFlat(buf, 8)
					}
					i += sent
					if err == ErrFull {
						err = p.Wait(t.Context(), 8, never{})
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// consume checks n records that count up.
func consume(t *testing.T, r *SPSC, mode futex.Mode, n uint64) error {
	c, err := r.Consumer(mode)
	if err != nil {
		return err
	}
	buf := make([]byte, 8*20)
	for want := uint64(0); want < n; {
		var got []byte
		switch want % 3 {
		case 0:
			var k int
			k, err = c.TryPop(buf)
			got = buf[:k]
		case 1:
			var k int
			k, err = c.TryPopFlat(buf, 8)
			got = buf[:k*8]
		case 2:
			var m Message
			if m, err = c.TryReceive(); err == nil {
				got = bytes.Clone(m.Data)
				err = c.Ack()
			}
		}
		if err == ErrEmpty {
			err = c.Wait(t.Context(), never{})
		}
		if err != nil {
			return err
		}
		for ; len(got) > 0; got = got[8:] {
			if v := binary.LittleEndian.Uint64(got); v != want {
				return fmt.Errorf("got %d, want %d", v, want)
			}
			want++
		}
	}
	return nil
}

func FuzzRingOnArbitraryMemory(f *testing.F) {
	f.Add([]byte{}, []byte{}, uint64(0), uint64(0))
	f.Add([]byte{1, 0, 0, 0, 1, 0, 0, 0}, []byte{}, uint64(0), uint64(8))
	f.Fuzz(func(t *testing.T, data, control []byte, cursor, head uint64) {
		mem := shared(t, Size(4096))
		r, err := New(mem, 4096)
		if err != nil {
			t.Fatal(err)
		}
		copy(mem[128:layout.SizeRing], control)
		r.ring.Cursor.Store(cursor)
		r.ring.Head.Store(head)
		copy(r.data, data)
		buf := make([]byte, 4096)
		if c, err := r.Consumer(futex.Block); err == nil {
			for range 600 {
				if _, err := c.TryPop(buf); err != nil {
					break
				}
			}
			for range 10 {
				if _, err := c.TryReceive(); err != nil {
					break
				}
			}
			c.TryPopFlat(buf, 8)
			c.TryPopList(buf, make([]uint32, 5))
		}
		if p, err := r.Producer(futex.Block); err == nil {
			for range 600 {
				if err := p.TryPush(buf[:100]); err != nil {
					break
				}
			}
			p.TryPushFlat(buf, 64)
		}
	})
}

// A producer that sleeps because the ring is full is not woken for every record, but for half a ring; one that waits for
// its records to be taken is woken when they are.
func TestASleepingProducerIsWokenWhenItIsWorthIt(t *testing.T) {
	r, _ := newRing(t, 4096)
	p, c := sides(t, r)
	buf := make([]byte, 56) // records of 64
	records := 0
	for p.TryPush(buf) == nil {
		records++
	}
	sleeps := func() bool { return r.ring.WWait.Load()&layout.WaitSleeps != 0 }
	pop := func(n int) {
		t.Helper()
		for range n {
			if _, err := c.TryPop(buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Wait(over, len(buf), never{}); err != context.Canceled { // tells what it wants, and goes
		t.Fatal(err)
	}
	r.ring.WWait.Store(layout.WaitSleeps)
	pop(records/2 - 1)
	if !sleeps() {
		t.Fatal("woken for a few records")
	}
	pop(2)
	if sleeps() {
		t.Fatal("half of the ring is free, and the producer was not woken")
	}
	if err := p.WaitTaken(over, p.Position(), p.Position(), never{}); err != context.Canceled {
		t.Fatal(err)
	}
	r.ring.WWait.Store(layout.WaitSleeps)
	pop(records - records/2 - 2)
	if !sleeps() {
		t.Fatal("woken before the last record was taken")
	}
	pop(1)
	if sleeps() {
		t.Fatal("all is taken, and the producer was not woken")
	}
}

func TestAProducerWaitsForRoomThoughTheConsumersPositionIsPublishedLate(t *testing.T) {
	r, _ := newRing(t, 4096)
	p, c := sides(t, r)
	msg := make([]byte, 56)
	fill := func() {
		for p.TryPush(msg) == nil {
		}
	}
	fill()
	for range 3 {
		if _, err := c.TryPop(msg); err != nil {
			t.Fatal(err)
		}
	}
	fill() // now more lies behind the published position than the ring holds
	if p.own.Pos-r.ring.Head.Load() <= 4096 {
		t.Fatal("the consumer has published its position")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Wait(ctx, len(msg), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for room in a full ring: %v", err)
	}
}

func TestADamagedPositionIsNeitherFullNorReadyForEver(t *testing.T) {
	msg := make([]byte, 56)
	for _, cursor := range []uint64{^uint64(0) - 63, 1 << 63, 4104, 8} {
		for _, head := range []uint64{0, 8, ^uint64(0) - 63, 1 << 40} {
			r, _ := newRing(t, 4096)
			r.ring.Cursor.Store(cursor)
			p, err := r.Producer(futex.Block)
			if err != nil {
				continue
			}
			r.ring.Head.Store(head)
			for range 1000 {
				if err = p.TryPush(msg); err == ErrFull {
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					err = p.Wait(ctx, len(msg), nil)
					cancel()
				}
				if err != nil {
					break
				}
			}
			if err == nil {
				t.Errorf("cursor %#x, head %#x: 1000 rounds, and neither an error nor a wait", cursor, head)
			}
		}
	}
}
