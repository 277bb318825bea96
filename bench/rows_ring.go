package main

import "github.com/tandem-ipc/tandem/bench/crows"

// ringRows are the rings in C: the fastest we know, and the best-known one.
func ringRows(s Slot) []*Row {
	if !crows.Available {
		return nil
	}
	row := Row{Bench: s.Bench, Impl: "c", Case: s.Case, Size: s.Size, Batch: s.Batch, Wait: s.Wait, Cores: s.Cores,
		Metric: Throughput, Unit: MessagesPerSecond, Chunk: cChunk(s.Size)}
	switch {
	case s.Bench == "spsc":
		memory := ringBytes(s.Size)
		row.A, row.B = cEnd(crows.RingProduce, memory), cEnd(crows.RingConsume, memory)
		row.Note = "c: records of any length, committed by a header beside the payload; every ring has the same memory, 1 MiB up to 1 KiB, 8 MiB beyond"
		rows := []*Row{&row}
		if s.Case == "single" {
			index := row
			index.Impl = "c-index"
			index.A, index.B = cEnd(crows.IndexProduce, memory), cEnd(crows.IndexConsume, memory)
			index.Note = "c-index: slots of one size and cached indices, one by one; frozen"
			rows = append(rows, &index)
		}
		return rows
	case s.Bench == "rtt" && s.Wait == "spin":
		row.Metric, row.Unit, row.Chunk = RoundTrip, Nanoseconds, 64
		row.A, row.B = cEnd(crows.RingPing, 128<<10), cEnd(crows.RingPong, 128<<10)
		row.Note = "c: there through one ring and back through another"
		return []*Row{&row}
	}
	return nil
}
