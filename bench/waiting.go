package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/shm"
)

// waitVariable makes this binary a process that waits, for the rows that look at one from outside: who, and an argument.
// It ends with the role that started it, which kills its whole group, or when its standard input does.
const waitVariable = "TANDEM_BENCH_WAIT"

// waiting is such a process, as its role sees it. What it has to say comes in lines on out.
type waiting struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startWaiting(who string, argument any) (*waiting, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &waiting{cmd: exec.Command(exe)}
	w.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %v", waitVariable, who, argument))
	w.cmd.Stderr = os.Stderr
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = bufio.NewReader(out)
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: start a process that waits (%s): %w", who, err)
	}
	return w, nil
}

// line is the next line it says.
func (w *waiting) line() (string, error) {
	s, err := w.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("bench: a process that waits said %q: %w", s, err)
	}
	return strings.TrimSuffix(s, "\n"), nil
}

// end kills it and waits for its end, which is no news.
func (w *waiting) end() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// playWaiting is the whole life of such a process.
func playWaiting(what string) error {
	who, argument, _ := strings.Cut(what, " ")
	play, ok := map[string]func(string) error{
		"conns": crowdOfConns, "pipes": crowdOfPipes, "sender": blockedSender, "victim": playVictim,
	}[who]
	if !ok {
		return fmt.Errorf("bench: %s=%q is nobody", waitVariable, what)
	}
	if err := play(argument); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// crowd is the processes' common part: every member that has been woken counts, and the last of a round says when it was.
// What wakes a member says how many are woken in its round.
type crowd struct{ woken atomic.Int64 }

func (c *crowd) wake(round int64) error {
	now := monotonic()
	if c.woken.Add(1) != round {
		return nil
	}
	c.woken.Store(0)
	_, err := fmt.Println(now)
	return err
}

// crowdOfConns is n goroutines, each in Recv on a Conn of its own. It says the Handles of the other ends.
func crowdOfConns(argument string) error {
	n, err := strconv.Atoi(argument)
	if err != nil {
		return err
	}
	var c crowd
	out := bufio.NewWriter(os.Stdout)
	var others []*pipe.Conn[int64]
	for range n {
		receive, send, err := pipe.NewSimplex[int64](pipe.Capacity(4 << 10))
		if err != nil {
			return err
		}
		others = append(others, send)
		fmt.Fprintln(out, send.Handle())
		go func() {
			for {
				round, err := receive.Recv(context.Background())
				if err == nil {
					err = c.wake(round)
				}
				if err != nil {
					fatal(err)
				}
			}
		}()
	}
	if err := out.Flush(); err != nil {
		return err
	}
	// The role has opened them all.
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		return err
	}
	for _, other := range others {
		if err := other.Close(); err != nil {
			return err
		}
	}
	return nil
}

// crowdOfPipes is n goroutines, each in Read of a pipe of its own, in Go's poller. It says the descriptors of the other ends.
func crowdOfPipes(argument string) error {
	n, err := strconv.Atoi(argument)
	if err != nil {
		return err
	}
	var c crowd
	for range n {
		receive, send, err := os.Pipe()
		if err != nil {
			return err
		}
		fmt.Println(send.Fd())
		go func() {
			for {
				b := make([]byte, 8)
				_, err := io.ReadFull(receive, b)
				if err == nil {
					err = c.wake(int64(binary.NativeEndian.Uint64(b)))
				}
				if err != nil {
					fatal(err)
				}
			}
		}()
	}
	return nil
}

// blockedSender is one goroutine in Send on a Conn that is full. It says the Handle of the other end first.
func blockedSender(string) error {
	a, b, err := pipe.New[int64](pipe.Capacity(4 << 10))
	if err != nil {
		return err
	}
	fmt.Println(b.Handle())
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil { // the role has opened it
		return err
	}
	if err := b.Close(); err != nil {
		return err
	}
	go func() {
		for {
			if err := a.Send(context.Background(), 1); err != nil {
				fatal(err)
			}
		}
	}()
	return nil
}

// playVictim holds the end of a Conn, or just its standard output, and so many bytes of memory that it has written to. It
// says a line when it does.
func playVictim(argument string) error {
	handle, size, _ := strings.Cut(argument, " ")
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	heap = make([]byte, n)
	for i := 0; i < n; i += 4096 {
		heap[i] = 1
	}
	if handle != noHandle {
		c, err := openConn(handle)
		if err != nil {
			return err
		}
		if err := c.Send(context.Background(), 1); err != nil {
			return err
		}
	}
	_, err = fmt.Println("ready")
	return err
}

var heap []byte // of a victim, never freed

const noHandle = "-"

func openConn(handle string) (*pipe.Conn[int64], error) {
	var h shm.Handle
	if err := h.UnmarshalText([]byte(handle)); err != nil {
		return nil, err
	}
	return pipe.Open[int64](h)
}

func fatal(err error) {
	if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
		os.Exit(0) // the role is gone
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}
