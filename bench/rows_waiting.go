package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/tandem-ipc/tandem/pipe"
)

// waitingRows are about waiting as such: what many waiters cost and how soon they are awake, what a process uses while all it
// does is wait, and how soon a waiter learns that its peer was killed.
func waitingRows(s Slot) []*Row {
	row := Row{Bench: s.Bench, Impl: "tandem", Case: s.Case, Size: s.Size, Wait: s.Wait, Cores: s.Cores, Procs: 2,
		Free: true, Unit: Nanoseconds}
	switch s.Bench {
	case "waiters":
		row.Note = fmt.Sprintf("tandem: %d goroutines of one process, each in Recv on a Conn of its own; pipe: %d, each in Read of a pipe of its own. "+
			"one: from before the send until the goroutine runs; all: until the last one runs; threads: of that process, in all", manyConns, manyPipes)
		return waitersRows(row)
	case "idle":
		row.Reps = 1
		row.Note = "each row is a process that does nothing but wait, in a Recv, in a Send, in 10,000 Recvs, or for nothing (it holds the peers' ends), over ten seconds from the third on: " +
			"context switches of all its threads a second, and CPU time in all; beside a process that reads from a pipe"
		return idleRows(row)
	case "recovery":
		row.Metric, row.A = Latency, recovery
		row.Note = "a process with so much memory, 0.3 s old, is killed: until Recv on a Conn that it held the other end of returns; until Read of a pipe does"
		beside := row
		beside.Impl = "pipe"
		return []*Row{&row, &beside}
	}
	return nil
}

const (
	manyConns = 10_000
	manyPipes = 2_000 // as many as descriptors allow nearly everywhere
)

func waitersRows(row Row) (rows []*Row) {
	for _, impl := range []string{"tandem", "pipe"} {
		for _, kind := range []struct {
			name    string
			metric  Metric
			unit    Unit
			measure func(*Role, *crowdHandle) error
		}{{"one", Latency, Nanoseconds, wakeOne}, {"all", Latency, Nanoseconds, wakeAll}, {"threads", Threads, Count, countThreads}} {
			r := row
			r.Impl, r.Case, r.Metric, r.Unit, r.Chunk = impl, kind.name, kind.metric, kind.unit, 1
			if kind.metric == Latency {
				r.Compute = medianSample
			} else {
				r.Compute = func(o Outcome) float64 { return o.A.Values["threads"] }
			}
			r.A = func(r *Role) error {
				c, err := crowdOf(r.Impl)
				if err != nil {
					return err
				}
				if err := r.Go(); err != nil {
					return err
				}
				return kind.measure(r, c)
			}
			rows = append(rows, &r)
		}
	}
	return rows
}

func medianSample(o Outcome) float64 {
	v := make([]float64, len(o.A.Samples))
	for i, s := range o.A.Samples {
		v[i] = float64(s)
	}
	return median(v)
}

// crowdHandle is a role's hold on a crowd: how to wake each of its members.
type crowdHandle struct {
	*waiting
	n    int
	wake func(i int, round int64) error
}

var crowds = map[string]*crowdHandle{} // of this role process, by impl

// crowdOf starts the crowd when it is first asked for; it lives as long as the role.
func crowdOf(impl string) (*crowdHandle, error) {
	if c := crowds[impl]; c != nil {
		return c, nil
	}
	start, n := startPipes, manyPipes
	if impl == "tandem" {
		start, n = startConns, manyConns
	}
	c, err := start(n)
	if err != nil {
		return nil, err
	}
	if _, err := c.round(c.n); err != nil { // now each has waited
		return nil, err
	}
	crowds[impl] = c
	return c, nil
}

func startConns(n int) (*crowdHandle, error) {
	w, err := startWaiting("conns", n)
	if err != nil {
		return nil, err
	}
	conns := make([]*pipe.Conn[int64], n)
	for i := range conns {
		handle, err := w.line()
		if err != nil {
			return nil, err
		}
		if conns[i], err = openConn(handle); err != nil {
			return nil, err
		}
	}
	if _, err := w.in.Write([]byte{1}); err != nil {
		return nil, err
	}
	return &crowdHandle{w, n, func(i int, round int64) error {
		return conns[i].Send(context.Background(), round)
	}}, nil
}

func startPipes(n int) (*crowdHandle, error) {
	w, err := startWaiting("pipes", n)
	if err != nil {
		return nil, err
	}
	files := make([]*os.File, n)
	for i := range files {
		fd, err := w.line()
		if err != nil {
			return nil, err
		}
		if files[i], err = os.OpenFile(fmt.Sprintf("/proc/%d/fd/%s", w.cmd.Process.Pid, fd), os.O_WRONLY, 0); err != nil {
			return nil, err
		}
	}
	return &crowdHandle{w, n, func(i int, round int64) error {
		var b [8]byte
		binary.NativeEndian.PutUint64(b[:], uint64(round))
		_, err := files[i].Write(b[:])
		return err
	}}, nil
}

// round wakes the first n members and returns how long it took until the last one ran.
func (c *crowdHandle) round(n int) (int64, error) {
	start := monotonic()
	for i := range n {
		if err := c.wake(i, int64(n)); err != nil {
			return 0, err
		}
	}
	return c.last(start)
}

func (c *crowdHandle) last(start int64) (int64, error) {
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	end, err := strconv.ParseInt(line, 10, 64)
	return end - start, err
}

func wakeOne(r *Role, c *crowdHandle) error {
	for i := 0; r.More(); i = (i + 7919) % c.n {
		start := monotonic()
		if err := c.wake(i, 1); err != nil {
			return err
		}
		took, err := c.last(start)
		if err != nil {
			return err
		}
		r.Sample(took)
	}
	return nil
}

func wakeAll(r *Role, c *crowdHandle) error {
	took, err := c.round(c.n)
	if err != nil {
		return err
	}
	r.Sample(took)
	r.Measured(int64(c.n), time.Duration(took))
	return nil
}

func countThreads(r *Role, c *crowdHandle) error {
	n, err := threadsOf(c.cmd.Process.Pid)
	if err != nil {
		return err
	}
	r.Value("threads", float64(n))
	r.Measured(1, time.Second)
	return nil
}

// idleTime is how long an idle process is looked at in a full run; a quick one looks for a moment.
const idleTime = 10 * time.Second

func idleRows(row Row) (rows []*Row) {
	for _, p := range []struct{ impl, name string }{
		{"tandem", "receiver"}, {"tandem", "sender"}, {"tandem", "crowd"}, {"tandem", "peer"}, {"pipe", "receiver"},
	} {
		for _, kind := range []struct {
			metric Metric
			unit   Unit
		}{{Switches, PerSecond}, {CPU, Nanoseconds}} {
			r := row
			r.Impl, r.Case, r.Metric, r.Unit = p.impl, p.name+"-"+string(kind.metric), kind.metric, kind.unit
			r.A = func(r *Role) error { return idle(r, p.impl+" "+p.name) }
			r.Compute = func(o Outcome) float64 { return o.A.Values[string(kind.metric)] }
			rows = append(rows, &r)
		}
	}
	return rows
}

// idled is what the processes of all idle rows used, over the same seconds, by impl and name.
var idled map[string]usage

func idle(r *Role, who string) error {
	if err := r.Go(); err != nil {
		return err
	}
	if idled == nil {
		var err error
		if idled, err = lookAtIdle(min(200*r.duration, idleTime)); err != nil {
			return err
		}
	}
	r.Value(string(Switches), idled[who].switches)
	r.Value(string(CPU), idled[who].cpu)
	r.Measured(1, idleTime)
	return nil
}

// usage is context switches a second, and nanoseconds of CPU time in all.
type usage struct{ switches, cpu float64 }

func lookAtIdle(over time.Duration) (map[string]usage, error) {
	receiver, err := startConns(1)
	if err != nil {
		return nil, err
	}
	sender, err := startSender()
	if err != nil {
		return nil, err
	}
	crowd, err := crowdOf("tandem")
	if err != nil {
		return nil, err
	}
	reader, err := startPipes(1)
	if err != nil {
		return nil, err
	}
	processes := map[string]int{
		"tandem receiver": receiver.cmd.Process.Pid, "tandem sender": sender.cmd.Process.Pid,
		"tandem crowd": crowd.cmd.Process.Pid, "tandem peer": os.Getpid(), "pipe receiver": reader.cmd.Process.Pid,
	}
	time.Sleep(over / 5) // from now on nothing happens
	// This process looks at itself last and first: looking is no idleness.
	before := map[string]map[string]usage{}
	for _, who := range append(slices.Sorted(maps.Keys(processes)), "tandem peer") {
		if before[who], err = schedulingOf(processes[who]); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	if err := sleepInKernel(over); err != nil { // a pending timer of Go's is no idleness either
		return nil, err
	}
	seconds := time.Since(start).Seconds()
	used := map[string]usage{}
	for _, who := range append([]string{"tandem peer"}, slices.Sorted(maps.Keys(processes))...) {
		if _, done := used[who]; done {
			continue
		}
		after, err := schedulingOf(processes[who])
		if err != nil {
			return nil, err
		}
		var sum usage // of the threads there are now; of one that has ended meanwhile nothing is known
		for thread, u := range after {
			was := before[who][thread]
			sum.switches += u.switches - was.switches
			sum.cpu += u.cpu - was.cpu
		}
		used[who] = usage{sum.switches / seconds, sum.cpu}
	}
	return used, nil
}

func startSender() (*waiting, error) {
	w, err := startWaiting("sender", 1)
	if err != nil {
		return nil, err
	}
	handle, err := w.line()
	if err != nil {
		return nil, err
	}
	c, err := openConn(handle)
	if err != nil {
		return nil, err
	}
	if _, err := w.in.Write([]byte{1}); err != nil {
		return nil, err
	}
	_, err = c.Receive(context.Background()) // it sends
	return w, err
}

// grownUp is when a process has its threads, and the kernel has the table for them: until then it keeps the memory of the dead
// for up to 70 ms (docs/decisions/009-young-processes.md).
const grownUp = 300 * time.Millisecond

// recovery kills processes of the row's size and takes the time until this one knows.
func recovery(r *Role) error {
	if err := r.Go(); err != nil {
		return err
	}
	var took time.Duration
	kills := 1
	if r.Size < 64<<20 {
		kills = 3
	}
	for range kills {
		var v *victim
		var err error
		if r.Impl == "tandem" {
			v, err = victimOnConn(r.Size)
		} else {
			v, err = victimOnPipe(r.Size)
		}
		if err != nil {
			return err
		}
		known := make(chan int64)
		var failed error
		go func() {
			failed = v.await()
			known <- monotonic()
		}()
		time.Sleep(min(5*r.duration, grownUp)) // we sleep by then, too
		start := monotonic()
		if err := v.cmd.Process.Kill(); err != nil {
			return err
		}
		end := <-known
		v.end()
		if failed != nil {
			return failed
		}
		r.Sample(end - start)
		took += time.Duration(end - start)
	}
	r.Measured(int64(kills), took)
	return nil
}

// victim is a process to be killed; await returns when this one knows.
type victim struct {
	*waiting
	await func() error
}

func victimOnConn(size int) (*victim, error) {
	a, b, err := pipe.New[int64]()
	if err != nil {
		return nil, err
	}
	w, err := startWaiting("victim", fmt.Sprint(b.Handle(), " ", size))
	if err != nil {
		return nil, err
	}
	if _, err := w.line(); err != nil {
		return nil, err
	}
	if err := b.Close(); err != nil {
		return nil, err
	}
	if _, err := a.Recv(context.Background()); err != nil { // what the victim has sent
		return nil, err
	}
	return &victim{w, func() error {
		defer a.Close()
		_, err := a.Recv(context.Background())
		if died := (*pipe.PeerDied)(nil); !errors.As(err, &died) {
			return fmt.Errorf("bench: a killed peer is %w", err)
		}
		return nil
	}}, nil
}

func victimOnPipe(size int) (*victim, error) {
	w, err := startWaiting("victim", fmt.Sprint(noHandle, " ", size))
	if err != nil {
		return nil, err
	}
	if _, err := w.line(); err != nil {
		return nil, err
	}
	return &victim{w, func() error {
		if _, err := w.out.ReadByte(); err == nil {
			return fmt.Errorf("bench: a killed process has written")
		}
		return nil
	}}, nil
}
