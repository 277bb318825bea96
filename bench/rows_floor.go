package main

import (
	"time"

	"github.com/tandem-ipc/tandem/bench/crows"
)

// lineTime is enough for ten thousand round trips of a cache line, and short enough to stand before every repetition.
const lineTime = 5 * time.Millisecond

// floorRows are what the machine itself charges: the cache line, a sleep and a wake, a copy, a copy in and a copy out.
func floorRows(s Slot) []*Row {
	if s.Bench != "floor" {
		return nil
	}
	trip := Row{Bench: "floor", Case: s.Case, Size: s.Size, Wait: s.Wait, Cores: s.Cores, Metric: RoundTrip, Unit: Nanoseconds, Chunk: 64}
	var rows []*Row
	add := func(row Row) { rows = append(rows, &row) }
	switch s.Case {
	case "cacheline":
		if crows.Available {
			line := trip
			line.Impl, line.Time = "c", lineTime
			line.A, line.B = cEnd(crows.LinePing, 8192), cEnd(crows.LinePong, 8192)
			line.Note = "cacheline: a line each way; with size 64 the message lies behind the sequence word. " +
				"Latencies are sampled, one trip in 64, nothing subtracted: reading the clock twice is in them"
			add(line)
			line.Size, line.Note = 64, ""
			add(line)
			one := line
			one.Case, one.Size = "oneline", 8
			one.A, one.B = cEnd(crows.OneLinePing, 8192), cEnd(crows.OneLinePong, 8192)
			one.Note = "oneline: both write the same line"
			add(one)
		}
		line := trip
		line.Impl, line.Time, line.A, line.B = "go", lineTime, goLinePing, goLinePong
		line.Note = "go: the same two lines from Go, whose stores are exchanges"
		add(line)
	case "futex":
		if crows.Available {
			futex := trip
			futex.Impl, futex.Chunk = "c", 8
			futex.A, futex.B = cEnd(crows.FutexPing, 8192), cEnd(crows.FutexPong, 8192)
			add(futex)
			if s.Cores > 1 {
				futex.Case, futex.Free = "futex-free", true
				futex.Note = "futex: each end on its CPU; futex-free: the kernel places them, which may be on one CPU, and faster"
				add(futex)
			}
		}
	case "copy2":
		if !crows.Available {
			return nil
		}
		copying := Row{Bench: "floor", Impl: "c", Case: "memcpy", Size: s.Size, Wait: "spin", Cores: 1,
			Metric: Bandwidth, Unit: BytesPerSecond, Chunk: cChunk(s.Size)}
		if s.Cores == 1 {
			copying.A = cEnd(crows.Memcpy, 0)
			copying.Note = "memcpy: one process, from its own memory to its own"
			add(copying)
		}
		copying.Case, copying.Wait, copying.Cores = "copy2", s.Wait, s.Cores
		copying.A, copying.B = cEnd(crows.CopyIn, 16<<20), cEnd(crows.CopyOut, 16<<20)
		copying.Note = "copy2: one process copies in, the other out, through 8 slots with a flag each"
		add(copying)
	}
	return rows
}

// cChunk is 10 to 100 µs of work for something that makes no system call.
func cChunk(size int) int {
	switch {
	case size >= 1<<20:
		return 2
	case size >= 64<<10:
		return 8
	case size >= 1<<10:
		return 256
	}
	return 4096
}

func goLinePing(r *Role) error {
	there, back, err := goLines(r)
	if err != nil {
		return err
	}
	var i uint64
	return r.Trips(64, func() error {
		i++
		there.Store(i)
		for back.Load() != i {
		}
		return nil
	})
}

func goLinePong(r *Role) error {
	there, back, err := goLines(r)
	if err != nil {
		return err
	}
	for i := uint64(0); r.Left(); {
		for range r.Chunk {
			i++
			for there.Load() != i {
			}
			back.Store(i)
		}
	}
	return nil
}

func goLines(r *Role) (there, back word, err error) {
	m := r.Mem(8192)
	there, back = wordAt(m, 4096), wordAt(m, 4096+256)
	return there, back, r.Go()
}
