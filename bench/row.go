package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Metric is what a row measures.
type Metric string

// The metrics, and the only ones a row may name.
const (
	Throughput   Metric = "throughput"
	Bandwidth    Metric = "bandwidth"
	RoundTrip    Metric = "roundtrip"
	Latency      Metric = "latency"
	FirstMessage Metric = "first-message"
	StartWait    Metric = "start-wait"
	CPU          Metric = "cpu"
	Memory       Metric = "memory"
	Threads      Metric = "threads"
	Switches     Metric = "switches"
)

// Unit is what a value counts.
type Unit string

// The units, and the only ones.
const (
	MessagesPerSecond Unit = "msg/s"
	OpsPerSecond      Unit = "op/s"
	BytesPerSecond    Unit = "B/s"
	Nanoseconds       Unit = "ns"
	Bytes             Unit = "B"
	Count             Unit = "count"
	PerSecond         Unit = "/s"
)

// Row is one thing to measure: what it is called, and what its two processes do.
//
// A runs in one process and B in another; a row without B needs only one. Both prepare, call [Role.Go], work until the time
// is over and return. A produces (or pings) and owns the clock; B consumes (or answers).
type Row struct {
	Bench string // the table it stands in: spsc, conn, rtt, floor, …
	Impl  string // who: tandem, c, c-index, pipe, unix, chan, python, …
	Case  string // single, batch, zerocopy, or what a floor row is of
	Size  int    // bytes of a message
	Batch int    // messages handed over at once; 0 means 1
	Wait  string // spin, block or auto
	Cores int    // CPUs that its processes may use, together

	Procs, Producers, Consumers int // 0 means 2, 1 and 1

	Metric Metric
	Unit   Unit

	// Compute turns what the two ends report into the row's value, in Unit. Nil takes what Metric says: messages by
	// seconds, bytes by seconds, or nanoseconds by round trip.
	Compute func(Outcome) float64

	Chunk int           // messages between two looks at the clock; 0 means what suits a system call
	Time  time.Duration // how long one run lasts; 0 means as long as the options say
	Reps  int           // at most so many repetitions; 0 means as many as the options say
	Env   []string      // its processes have besides
	Free  bool          // do not pin the threads: the row's goroutines move, within Cores CPUs
	Note  string        // printed under the table

	A, B func(*Role) error
}

// Name is the row's identity and what ONLY is matched against: bench/impl/case/size/wait/cores.
func (r *Row) Name() string {
	return strings.Join([]string{r.Bench, r.Impl, r.Case, strconv.Itoa(r.Size), r.Wait, strconv.Itoa(r.Cores)}, "/")
}

// rate says whether more is better.
func (r *Row) rate() bool {
	switch r.Unit {
	case MessagesPerSecond, OpsPerSecond, BytesPerSecond:
		return true
	}
	return false
}

// Group is rows that are measured side by side: each repetition runs all of them once, back to back, after the cache line,
// so that a machine that changes its mood between two seconds changes it for all of them.
type Group struct {
	Rows []*Row
	// Against are the rows of the group that the others are divided by, repetition by repetition.
	Against []*Row
	// Beside are rows at home in another group that run here too, to be divided by.
	Beside []*Row
}

// fill completes a row's defaults and refuses what the formats have no word for.
func (r *Row) fill() error {
	if r.Batch == 0 {
		r.Batch = 1
	}
	if r.Procs == 0 {
		r.Procs = 2
		if r.B == nil {
			r.Procs = 1
		}
	}
	if r.Producers == 0 && r.Consumers == 0 {
		r.Producers, r.Consumers = 1, 1
	}
	if r.Chunk == 0 {
		r.Chunk = defaultChunk(r.Size, r.Batch)
	}
	switch r.Wait {
	case "spin", "block", "auto":
	default:
		return fmt.Errorf("bench: %s: wait %q is not spin, block or auto", r.Name(), r.Wait)
	}
	if !known(r.Metric, r.Unit) {
		return fmt.Errorf("bench: %s: metric %q in %q is not in the vocabulary", r.Name(), r.Metric, r.Unit)
	}
	if r.Chunk%r.Batch != 0 {
		return fmt.Errorf("bench: %s: a chunk of %d is not whole batches of %d", r.Name(), r.Chunk, r.Batch)
	}
	return nil
}

func known(m Metric, u Unit) bool {
	switch m {
	case Throughput:
		return u == MessagesPerSecond || u == OpsPerSecond
	case Bandwidth:
		return u == BytesPerSecond
	case RoundTrip, Latency, FirstMessage, StartWait:
		return u == Nanoseconds
	case CPU:
		return u == Nanoseconds
	case Memory:
		return u == Bytes
	case Threads:
		return u == Count
	case Switches:
		return u == PerSecond
	}
	return false
}

// defaultChunk is 50 to 500 µs of work for something that makes a system call for each batch.
func defaultChunk(size, batch int) int {
	n := 64
	switch {
	case size >= 1<<20:
		n = 2
	case size >= 64<<10:
		n = 8
	}
	return max(n/batch, 1) * batch
}

// The sizes every message row has, in bytes.
var sizes = []int{8, 64, 1 << 10, 64 << 10, 1 << 20}

// batchOf is how many messages of a size make a batch. 32, until a batch would be larger than a cache.
func batchOf(size int) int {
	switch {
	case size >= 1<<20:
		return 2
	case size >= 64<<10:
		return 8
	}
	return 32
}

// ringBytes is the memory that every ring gets for messages of a size, whoever wrote it.
func ringBytes(size int) int {
	if size > 1<<10 {
		return 8 << 20
	}
	return 1 << 20
}
