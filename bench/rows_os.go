package main

import (
	"fmt"
	"io"
	"syscall"
)

// osRows are the kernel's own channels, pipe(2) and a pair of connected Unix stream sockets, each in the form that is
// fastest for it: blocking descriptors and raw system calls rather than os.File and net.UnixConn, where whoever has to wait
// goes through the poller; the largest buffers a user may have; and processes pinned to their CPUs only for many short
// messages, where that wins. Wakes between two CPUs are dear; left alone, the kernel runs both ends of a pipe on one.
func osRows(s Slot) []*Row {
	if s.Bench != "conn" && s.Bench != "rtt" || s.Case == "zerocopy" || s.Wait != "block" {
		return nil
	}
	var rows []*Row
	for _, os := range []struct {
		impl string
		open func() (a, b ends, err error)
	}{{"pipe", pipeEnds}, {"unix", unixEnds}} {
		row := Row{Bench: s.Bench, Impl: os.impl, Case: s.Case, Size: s.Size, Batch: s.Batch, Wait: s.Wait, Cores: s.Cores,
			Metric: Throughput, Unit: MessagesPerSecond, Free: s.Bench == "rtt" || s.Size > 1<<10,
			A: osWriter(os.open), B: osReader,
			Note: "pipe, unix: blocking descriptors, raw system calls, largest buffers; one write and one read for each message or batch. " +
				"Faster so than through Go's poller. Round trips and messages beyond 1 KiB are not pinned, which is faster too"}
		if s.Bench == "rtt" {
			row.Metric, row.Unit, row.Chunk = RoundTrip, Nanoseconds, 8
			row.A, row.B = osPing(os.open), osPong
		}
		rows = append(rows, &row)
	}
	return rows
}

// ends is what one side reads from and writes to.
type ends struct{ in, out int }

func (e ends) close() {
	_ = closeFD(e.in)
	if e.out != e.in {
		_ = closeFD(e.out)
	}
}

func pipeEnds() (a, b ends, err error) {
	there, err := pipePair()
	if err != nil {
		return a, b, err
	}
	back, err := pipePair()
	if err != nil {
		return a, b, err
	}
	return ends{in: back[0], out: there[1]}, ends{in: there[0], out: back[1]}, nil
}

func unixEnds() (a, b ends, err error) {
	fds, err := socketPair(streamSocket)
	if err != nil {
		return a, b, err
	}
	growBuffers(fds)
	return ends{fds[0], fds[0]}, ends{fds[1], fds[1]}, nil
}

// offer opens both sides' ends and hands B its own.
func offer(r *Role, open func() (ends, ends, error)) (ends, error) {
	mine, yours, err := open()
	if err != nil {
		return mine, err
	}
	err = r.Tell([]byte{1}, yours.in, yours.out)
	yours.close()
	if err != nil {
		mine.close()
	}
	return mine, err
}

// accept is B's side of offer.
func accept(r *Role) (ends, error) {
	_, fds, err := r.Hear()
	if err != nil {
		return ends{}, err
	}
	if len(fds) != 2 {
		return ends{}, fmt.Errorf("bench: %s: heard of %d descriptors", r.Name(), len(fds))
	}
	return ends{in: fds[0], out: fds[1]}, nil
}

func osWriter(open func() (ends, ends, error)) func(*Role) error {
	return func(r *Role) error {
		e, err := offer(r, open)
		if err != nil {
			return err
		}
		defer e.close()
		msgs, step := r.Messages(), r.Size*r.Batch
		if err := r.Go(); err != nil {
			return err
		}
		for at := 0; r.More(); {
			for range r.Chunk / r.Batch {
				if err := writeAll(e.out, msgs[at:at+step]); err != nil {
					return err
				}
				if at += step; at == len(msgs) {
					at = 0
				}
			}
		}
		return nil
	}
}

func osReader(r *Role) error {
	e, err := accept(r)
	if err != nil {
		return err
	}
	defer e.close()
	out := r.Out()
	if err := r.Go(); err != nil {
		return err
	}
	for r.Left() {
		for range r.Chunk / r.Batch {
			if err := readAll(e.in, out); err != nil {
				return err
			}
			r.Read(out)
		}
	}
	return nil
}

func osPing(open func() (ends, ends, error)) func(*Role) error {
	return func(r *Role) error {
		e, err := offer(r, open)
		if err != nil {
			return err
		}
		defer e.close()
		msg, out := r.Messages()[:r.Size], r.Out()
		if err := r.Go(); err != nil {
			return err
		}
		return r.Trips(1, func() error {
			if err := writeAll(e.out, msg); err != nil {
				return err
			}
			return readAll(e.in, out)
		})
	}
}

func osPong(r *Role) error {
	e, err := accept(r)
	if err != nil {
		return err
	}
	defer e.close()
	out := r.Out()
	if err := r.Go(); err != nil {
		return err
	}
	for r.Left() {
		for range r.Chunk {
			if err := readAll(e.in, out); err != nil {
				return err
			}
			if err := writeAll(e.out, out); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := writeFD(fd, b)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("bench: write: %w", err)
		}
		b = b[n:]
	}
	return nil
}

func readAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := readFD(fd, b)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("bench: read: %w", err)
		}
		if n == 0 {
			return fmt.Errorf("bench: read: %w", io.ErrUnexpectedEOF)
		}
		b = b[n:]
	}
	return nil
}
