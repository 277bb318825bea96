package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"
)

// Side says which of a row's two processes this is.
type Side string

// The two sides.
const (
	SideA Side = "A"
	SideB Side = "B"
)

// A command goes from the harness to a role, a report comes back; one JSON value a line each.
type command struct {
	Row  string        `json:"row,omitempty"` // prepare this row
	Time time.Duration `json:"time,omitempty"`
	Lead time.Duration `json:"lead,omitempty"` // before that, which does not count
	Go   bool          `json:"go,omitempty"`   // start what was prepared
}

type report struct {
	State     string             `json:"state"` // ready, going, done
	Err       string             `json:"err,omitempty"`
	Start     int64              `json:"start,omitempty"` // CLOCK_MONOTONIC, the same clock in all processes
	End       int64              `json:"end,omitempty"`
	Count     int64              `json:"count,omitempty"`
	Uncounted int64              `json:"uncounted,omitempty"` // of them, before the clock started
	Samples   []int64            `json:"samples,omitempty"`   // nanoseconds
	Values    map[string]float64 `json:"values,omitempty"`    // what only the row understands
}

// Outcome is one run of a row as both ends saw it. For a row without B, that report is empty.
type Outcome struct {
	Row     *Row
	Elapsed time.Duration // from A's start to the later end
	Count   int64         // messages, round trips or operations
	A, B    report
}

// Role is one process's part in one run of a row. Its methods are for the goroutine that the row's function runs on; it is
// locked to its thread unless the row is Free.
type Role struct {
	*Row
	Side Side
	CPU  int // where Go pins this side's thread, unless the row is Free

	proc      *roleProcess
	total     word // messages in all; A writes it before its last chunk, B reads it
	duration  time.Duration
	lead      time.Duration
	deadline  int64
	last      bool
	count     int64
	uncounted int64 // of count, in the lead
	sum       uint64
	summed    bool
	out       report
}

// Mem is n bytes of memory that both processes share, zeroed by A. B may look at it after Go.
func (r *Role) Mem(n int) []byte {
	m := r.proc.mem[controlBytes:][:n]
	if r.Side == SideA {
		clear(m)
	}
	return m
}

// Tell hands b, which must not be empty, and descriptors to the other side, which waits for them in Hear. For the
// preparation only.
func (r *Role) Tell(b []byte, fds ...int) error { return tell(r.proc.peer, b, fds) }

// Hear returns what the other side told. The descriptors are the caller's to close.
func (r *Role) Hear() ([]byte, []int, error) { return hear(r.proc.peer) }

// Go ends the preparation: both sides wait here for each other, B starts first, then A and with it the clock. From here on
// the thread is pinned; before, the process sees all the CPUs that the row may use.
func (r *Role) Go() error {
	if !r.Free {
		if err := pinThread(r.CPU); err != nil {
			return err
		}
	}
	runtime.GC() // now rather than in the middle
	if err := r.proc.send(report{State: "ready"}); err != nil {
		return err
	}
	if c := <-r.proc.commands; !c.Go {
		return fmt.Errorf("bench: role %s was told %+v instead of to go", r.Side, c)
	}
	if r.Side == SideB {
		if err := r.proc.send(report{State: "going"}); err != nil {
			return err
		}
	}
	r.out.Start = monotonic()
	r.deadline = r.out.Start + int64(r.duration+r.lead)
	return nil
}

// More is A's question before each chunk: Chunk messages more? It looks at the clock, and when the time is over it
// announces the end before the last chunk is sent; so B, which asks Left, never waits for a message that does not come.
func (r *Role) More() bool {
	if r.last {
		return false
	}
	now := monotonic()
	if r.lead > 0 && now >= r.out.Start+int64(r.lead) {
		// The first messages after a pause are another matter: runtimes and processors wake up.
		r.out.Start, r.lead, r.uncounted, r.out.Samples = now, 0, r.count, r.out.Samples[:0]
	}
	r.count += int64(r.Chunk)
	if now >= r.deadline {
		r.last = true
		r.total.Store(uint64(r.count))
	}
	return true
}

// Left is B's question before each chunk: are there Chunk messages more to come?
func (r *Role) Left() bool {
	if r.count != 0 && r.total.Load() == uint64(r.count) {
		return false
	}
	r.count += int64(r.Chunk)
	return true
}

// Trips makes round trips until the time is over and times one in every of them, a power of two. Nothing is subtracted
// from a sample; reading the clock twice is in it.
func (r *Role) Trips(every int, trip func() error) error {
	for n := 0; r.More(); {
		for range r.Chunk {
			n++
			if n&(every-1) != 0 {
				if err := trip(); err != nil {
					return err
				}
				continue
			}
			t := monotonic()
			if err := trip(); err != nil {
				return err
			}
			r.Sample(monotonic() - t)
		}
	}
	return nil
}

// Sample records one round trip's nanoseconds.
func (r *Role) Sample(ns int64) {
	if len(r.out.Samples) < maxSamples {
		r.out.Samples = append(r.out.Samples, ns)
	}
}

// Measured replaces the harness's clock and count, for a row that measures elsewhere.
func (r *Role) Measured(count int64, elapsed time.Duration) {
	r.count = count
	r.out.Start, r.out.End = 0, int64(elapsed)
}

// Value reports a figure by name to the row's Compute.
func (r *Role) Value(name string, v float64) {
	if r.out.Values == nil {
		r.out.Values = map[string]float64{}
	}
	r.out.Values[name] = v
}

// Messages are the messages that A sends in turn, one after the other in one piece of memory: a power of two of them, at
// least a batch. They are the same in both processes.
func (r *Role) Messages() []byte { return r.proc.buffers(r.Row).messages }

// Out is memory for B to copy a batch into.
func (r *Role) Out() []byte { return r.proc.buffers(r.Row).out }

// Read notes that B has received b, whole messages: it reads one word of every line, as every row's consumer does, and
// checks the sum against what A sent when the run is over.
func (r *Role) Read(b []byte) {
	r.summed = true
	if len(b) <= cacheLine && len(b) == r.Size {
		r.sum += binary.NativeEndian.Uint64(b)
		return
	}
	r.readLines(b)
}

func (r *Role) readLines(b []byte) {
	step, sum := min(r.Size, cacheLine), uint64(0)
	for ; len(b) > step; b = b[step:] {
		sum += binary.NativeEndian.Uint64(b)
	}
	if len(b) >= 8 {
		sum += binary.NativeEndian.Uint64(b)
	}
	r.sum += sum
}

// finish checks what was read and completes the report.
func (r *Role) finish(err error) report {
	if r.out.End == 0 {
		r.out.End = monotonic()
	}
	r.out.State, r.out.Count, r.out.Uncounted = "done", r.count, r.uncounted
	if err == nil && r.summed {
		if want := r.proc.buffers(r.Row).sumOf(r.count, r.Case == "zerocopy"); r.sum != want {
			err = fmt.Errorf("bench: %s: the %d messages received add up to %#x, those sent to %#x", r.Name(), r.count, r.sum, want)
		}
	}
	if err != nil {
		r.out.Err = err.Error()
	}
	return r.out
}

const (
	cacheLine    = 64
	controlBytes = 4096 // at the start of the shared mapping: the word that ends a run
	sharedBytes  = 64 << 20
	maxSamples   = 4096 // of one run
)

// roleProcess is the process around the roles it plays, one after the other.
type roleProcess struct {
	side     Side
	cpu      int
	mem      []byte
	peer     int // socket to the other side
	commands chan command
	reports  *json.Encoder
	rows     map[string]*Row
	cached   *buffers
}

func (p *roleProcess) send(r report) error { return p.reports.Encode(r) }

// roleMain is the whole life of a role process: it ends when the harness closes the command pipe, or is no more.
func roleMain(env roleEnv, rows map[string]*Row) error {
	in, out := os.NewFile(roleCommands, "commands"), os.NewFile(roleReports, "reports")
	mem, err := mapShared(roleShared, sharedBytes)
	if err != nil {
		return err
	}
	p := &roleProcess{
		side: env.Side, cpu: env.CPU, mem: mem, peer: rolePeer,
		commands: make(chan command), reports: json.NewEncoder(out), rows: rows,
	}
	go func() {
		for d := json.NewDecoder(in); ; {
			var c command
			if d.Decode(&c) != nil {
				endGroup() // this process and whatever a row started
			}
			p.commands <- c
		}
	}()
	// A row's end is one thread, pinned while it runs.
	runtime.LockOSThread()
	for c := range p.commands {
		if err := p.play(c); err != nil {
			return err
		}
	}
	return nil
}

func (p *roleProcess) play(c command) error {
	row := p.rows[c.Row]
	if row == nil {
		return fmt.Errorf("bench: there is no row %q", c.Row)
	}
	r := &Role{Row: row, Side: p.side, CPU: p.cpu, proc: p, total: wordAt(p.mem, 0), duration: c.Time, lead: c.Lead}
	act := row.B
	if p.side == SideA {
		act = row.A
		r.total.Store(0)
	}
	var err error
	if row.Free {
		// A goroutine that is locked to its thread is slow to be woken by another.
		done := make(chan struct{})
		go func() {
			defer close(done)
			err = act(r)
		}()
		<-done
	} else {
		err = act(r)
	}
	out := r.finish(err)
	if err := unpinThread(); err != nil {
		return err
	}
	return p.send(out)
}

// buffers are a row's messages and the memory they are received in, made once per process and row.
type buffers struct {
	row      *Row
	messages []byte
	out      []byte
	sums     []uint64 // of each message, one word a line
	firsts   []uint64 // of each message, its first word
}

func (p *roleProcess) buffers(row *Row) *buffers {
	if p.cached != nil && p.cached.row == row {
		return p.cached
	}
	n := 64
	if row.Size > 64 {
		n = 32
	}
	if row.Size > 1<<10 {
		n = 1
		for n < row.Batch {
			n *= 2
		}
	}
	b := &buffers{row: row, messages: pages(n * row.Size), out: pages(row.Batch * row.Size)}
	for i := range n {
		m := b.messages[i*row.Size:][:row.Size]
		var sum, first uint64
		for at := 0; at+8 <= len(m); at += cacheLine {
			v := (uint64(i)<<32 + uint64(at) + 1) * 0x9e3779b97f4a7c15
			binary.NativeEndian.PutUint64(m[at:], v)
			sum += v
			if at == 0 {
				first = v
			}
		}
		b.sums = append(b.sums, sum)
		b.firsts = append(b.firsts, first)
	}
	for i := range b.out {
		b.out[i] = 1 // touched, so that no page is missing when it counts
	}
	p.cached = b
	return b
}

// sumOf is what the first count messages add up to.
func (b *buffers) sumOf(count int64, firstOnly bool) uint64 {
	sums := b.sums
	if firstOnly {
		sums = b.firsts
	}
	var all, sum uint64
	for _, s := range sums {
		all += s
	}
	n := int64(len(sums))
	sum = all * uint64(count/n)
	for _, s := range sums[:count%n] {
		sum += s
	}
	return sum
}

// pages is n bytes that begin a page, as every allocation of Go's beyond 32 KiB does.
func pages(n int) []byte { return make([]byte, max(n, 64<<10))[:n:n] }
