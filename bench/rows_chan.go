package main

// chanRows are Go's own channel between two goroutines of one process, on two threads where there are two CPUs: not
// between processes, but what a Go programmer has in mind when asking what a message may cost.
func chanRows(s Slot) []*Row {
	row := Row{Bench: s.Bench, Impl: "chan", Case: s.Case, Size: s.Size, Batch: s.Batch, Wait: "block", Cores: s.Cores,
		Metric: Throughput, Unit: MessagesPerSecond, Free: true,
		Note: "chan: two goroutines of one process; 1,024 buffered values of [n]byte (batches of them in one value), beyond 1 KiB buffers that go round, copied into and out of"}
	switch {
	case s.Wait != "block":
		return nil
	case s.Bench == "rtt":
		row.Metric, row.Unit, row.A = RoundTrip, Nanoseconds, chanTrips
		row.Note = "chan: two unbuffered channels between two goroutines of one process"
	case s.Bench != "conn":
		return nil
	case s.Case == "single" && s.Size == 8:
		row.A = chanOf[[8]byte]
	case s.Case == "single" && s.Size == 64:
		row.A = chanOf[[64]byte]
	case s.Case == "single" && s.Size == 1024:
		row.A = chanOf[[1024]byte]
	case s.Case == "batch" && s.Size == 8:
		row.A = chanOf[[32 * 8]byte]
	case s.Case == "batch" && s.Size == 64:
		row.A = chanOf[[32 * 64]byte]
	case s.Case == "batch" && s.Size == 1024:
		row.A = chanOf[[32 * 1024]byte]
	case s.Case == "single" || s.Case == "batch":
		row.A = chanOfBuffers
	default:
		return nil
	}
	if row.Metric == Throughput {
		row.Chunk = 32 * row.Batch
		if s.Size > 1<<10 {
			row.Chunk = row.Batch * 2
		}
	}
	return []*Row{&row}
}

// value is what a channel carries: an array of a message, or of a batch of them.
type value interface {
	[8]byte | [64]byte | [1024]byte | [32 * 8]byte | [32 * 64]byte | [32 * 1024]byte
}

// chanOf sends values of type T; T's length is the row's Batch times its Size.
func chanOf[T value](r *Role) error {
	var values []T
	for msgs, n := r.Messages(), len(*new(T)); len(msgs) >= n; msgs = msgs[n:] {
		values = append(values, arrayOf[T](msgs))
	}
	c := make(chan T, 1024)
	done := make(chan struct{})
	if err := r.Go(); err != nil {
		return err
	}
	go func() {
		defer close(done)
		for v := range c {
			readArray(r, &v)
		}
		r.out.End = monotonic()
	}()
	for i := 0; r.More(); {
		for range r.Chunk / r.Batch {
			c <- values[i]
			if i++; i == len(values) {
				i = 0
			}
		}
	}
	close(c)
	<-done
	return nil
}

// chanOfBuffers is for messages that are too large for a channel's element: eight buffers go round.
func chanOfBuffers(r *Role) error {
	msgs, out, step := r.Messages(), r.Out(), r.Size*r.Batch
	full, empty := make(chan []byte, 8), make(chan []byte, 8)
	for range cap(empty) {
		empty <- pages(step)
	}
	done := make(chan struct{})
	if err := r.Go(); err != nil {
		return err
	}
	go func() {
		defer close(done)
		for b := range full {
			copy(out, b)
			empty <- b
			r.Read(out)
		}
		r.out.End = monotonic()
	}()
	for at := 0; r.More(); {
		for range r.Chunk / r.Batch {
			b := <-empty
			copy(b, msgs[at:at+step])
			full <- b
			if at += step; at == len(msgs) {
				at = 0
			}
		}
	}
	close(full)
	<-done
	return nil
}

func chanTrips(r *Role) error {
	there, back := make(chan [64]byte), make(chan [64]byte)
	msg := arrayOf[[64]byte](r.Messages())
	if err := r.Go(); err != nil {
		return err
	}
	go func() {
		for v := range there {
			back <- v
		}
	}()
	defer close(there)
	return r.Trips(16, func() error {
		there <- msg
		<-back
		return nil
	})
}
