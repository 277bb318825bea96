package sweep

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/tandem-ipc/tandem/attack/trace"
)

// World is the state a trial happens in. World functions keep what After needs in Scratch, or in Keep.
type World struct {
	Env
	Keep any // anything

	starter *trace.Tracer
	journal *os.File
	helpers []*Helper
}

// Helper is a process that World started.
type Helper struct {
	name   string
	proc   *os.Process
	stderr *os.File
	done   chan struct{}
	state  *os.ProcessState
}

const helperLimit = 10 * time.Second

// Start runs a helper of the operation in a fresh process and returns when it called Ready. It gets the Scratch of now.
// Helpers that still live are killed before After.
func (w *World) Start(name string) (*Helper, error) {
	h, err := w.start(name)
	if err != nil {
		return nil, fmt.Errorf("sweep: helper %s: %w", name, err)
	}
	return h, nil
}

func (w *World) start(name string) (*Helper, error) {
	verdict, err := newMemory("verdict", 0)
	if err != nil {
		return nil, err
	}
	defer verdict.Close()
	stderr, err := newMemory("stderr", 0)
	if err != nil {
		return nil, err
	}
	r, reply, err := os.Pipe()
	if err != nil {
		stderr.Close()
		return nil, err
	}
	defer r.Close()
	defer reply.Close()
	b := brief{Role: "helper", Helper: name, Op: w.Op, Mode: w.Mode, Point: w.Point, Dir: w.Dir, Scratch: w.Scratch}
	p, err := w.starter.Spawn(trace.Command{
		Path: self, Env: b.environment(), Files: []*os.File{w.journal, w.journal, verdict, reply}, Stdout: stderr, Stderr: stderr,
	})
	if err != nil {
		stderr.Close()
		return nil, err
	}
	reply.Close() // so that the helper's end ends the reading
	h := &Helper{name: name, proc: p, stderr: stderr, done: make(chan struct{})}
	go func() {
		h.state, _ = p.Wait()
		close(h.done)
	}()
	w.helpers = append(w.helpers, h)
	r.SetReadDeadline(time.Now().Add(helperLimit))
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "ready\n" {
		h.Kill()
		return nil, fmt.Errorf("not ready: %v %s%s", err, content(verdict, 4096), content(stderr, 4096))
	}
	return h, nil
}

// PID is the helper's process.
func (h *Helper) PID() int { return h.proc.Pid }

// Kill kills the helper and returns when it is gone.
func (h *Helper) Kill() {
	h.proc.Kill()
	<-h.done
}

// Stop stops the helper for good.
func (h *Helper) Stop() error { return h.proc.Signal(syscall.SIGSTOP) }

func (w *World) killHelpers() {
	for _, h := range w.helpers {
		h.Kill()
		h.stderr.Close()
	}
	w.helpers = nil
}

// environment makes a process of this binary the role.
func (b *brief) environment() []string {
	text, err := json.Marshal(b)
	if err != nil {
		panic(err) // strings and booleans
	}
	return append(os.Environ(), roleVariable+"="+string(text))
}
