package main

import (
	"github.com/tandem-ipc/tandem/bench/crows"
)

// cEnd makes one end of a C row a row function.
func cEnd(end crows.End, memory int) func(*Role) error {
	return func(r *Role) error {
		run := crows.Run{
			Messages: r.Messages(), Out: r.Out(), Size: r.Size, Batch: r.Batch, Chunk: r.Chunk,
			ZeroCopy: r.Case == "zerocopy", Yield: r.Cores == 1,
			Samples: make([]int64, maxSamples), Every: sampleEvery(r.Row), End: r.proc.mem[:8],
		}
		if memory > 0 {
			run.Mem = r.Mem(memory)
		}
		if err := r.Go(); err != nil {
			return err
		}
		run.Deadline = r.deadline
		if err := crows.Do(end, &run); err != nil {
			return err
		}
		r.out.End = monotonic()
		r.count = run.Count
		r.out.Samples = run.Samples[:run.Taken]
		if end.Reads() {
			r.sum, r.summed = run.Sum, true
		}
		return nil
	}
}

// sampleEvery is so that a run of 60 ms gives some thousand samples.
func sampleEvery(row *Row) int {
	if row.Wait == "spin" {
		return 64
	}
	return 1
}
