package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// roleVariable tells a process which role it has. Its value is side,cpu.
const roleVariable = "TANDEM_BENCH_ROLE"

// What a role inherits, by descriptor.
const (
	roleCommands = 3 + iota
	roleReports
	rolePeer
	roleShared
)

type roleEnv struct {
	Side Side
	CPU  int
}

func parseRole(s string) (roleEnv, error) {
	side, cpu, _ := strings.Cut(s, ",")
	n, err := strconv.Atoi(cpu)
	if err != nil || side != string(SideA) && side != string(SideB) {
		return roleEnv{}, fmt.Errorf("bench: %s=%q is not a role", roleVariable, s)
	}
	return roleEnv{Side(side), n}, nil
}

// pair is the two processes that play a group's rows.
type pair struct {
	a, b *roleHandle
	stop func() bool
}

// roleHandle is the harness's end of one role process.
type roleHandle struct {
	side     Side
	cmd      *exec.Cmd
	commands *os.File
	reports  *os.File
	decoder  *json.Decoder
}

// startPair starts both processes on these CPUs, A on the first and B on the last, with environ added. When ctx ends they are killed.
func startPair(ctx context.Context, cpus []int, environ []string) (*pair, error) {
	shared, err := sharedFile(sharedBytes)
	if err != nil {
		return nil, err
	}
	defer shared.Close()
	fds, err := socketPair(peerSocket)
	if err != nil {
		return nil, err
	}
	peers := [2]*os.File{os.NewFile(uintptr(fds[0]), "peer A"), os.NewFile(uintptr(fds[1]), "peer B")}
	defer peers[0].Close()
	defer peers[1].Close()
	p := &pair{}
	if p.a, err = startRole(SideA, cpus, cpus[0], environ, peers[0], shared); err != nil {
		return nil, err
	}
	if p.b, err = startRole(SideB, cpus, cpus[len(cpus)-1], environ, peers[1], shared); err != nil {
		p.a.end()
		return nil, err
	}
	p.stop = context.AfterFunc(ctx, func() {
		killGroup(p.a.cmd.Process.Pid)
		killGroup(p.b.cmd.Process.Pid)
	})
	return p, nil
}

func startRole(side Side, cpus []int, cpu int, environ []string, peer, shared *os.File) (*roleHandle, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	commandsIn, commands, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer commandsIn.Close()
	reports, reportsOut, err := os.Pipe()
	if err != nil {
		commands.Close()
		return nil, err
	}
	defer reportsOut.Close()
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), environ...), fmt.Sprintf("%s=%s,%d", roleVariable, side, cpu))
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{commandsIn, reportsOut, peer, shared} // in the order of the constants above
	if err := startOn(cmd, cpus); err != nil {
		commands.Close()
		reports.Close()
		return nil, fmt.Errorf("bench: start role %s: %w", side, err)
	}
	return &roleHandle{side: side, cmd: cmd, commands: commands, reports: reports, decoder: json.NewDecoder(reports)}, nil
}

// end ends both processes and whatever they started.
func (p *pair) end() {
	p.stop()
	p.a.end()
	p.b.end()
}

func (h *roleHandle) end() {
	h.commands.Close()
	h.reports.Close()
	killGroup(h.cmd.Process.Pid)
	_ = h.cmd.Wait() // killed, by us
}

func (h *roleHandle) tell(c command) error {
	if err := json.NewEncoder(h.commands).Encode(c); err != nil {
		return fmt.Errorf("bench: role %s: %w", h.side, err)
	}
	return nil
}

// expect reads reports until one in this state comes.
func (h *roleHandle) expect(state string, guard time.Time) (report, error) {
	if err := h.reports.SetReadDeadline(guard); err != nil {
		return report{}, err
	}
	var r report
	err := h.decoder.Decode(&r)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return r, fmt.Errorf("bench: role %s hangs", h.side)
	case errors.Is(err, io.EOF):
		return r, fmt.Errorf("bench: role %s died", h.side)
	case err != nil:
		return r, fmt.Errorf("bench: role %s: %w", h.side, err)
	case r.Err != "":
		return r, errors.New(r.Err)
	case r.State != state:
		return r, fmt.Errorf("bench: role %s is %q, not %q", h.side, r.State, state)
	}
	return r, nil
}

// hang is how much longer than its time a run may take, preparation and all, before it is taken for hanging.
var hang = 20 * time.Second // a variable for the tests

// play runs a row once.
func (p *pair) play(row *Row, d, lead time.Duration) (*Outcome, error) {
	guard := time.Now().Add(d + hang)
	both := []*roleHandle{p.b, p.a} // B goes first
	if row.B == nil {
		both = []*roleHandle{p.a}
	}
	for _, h := range both {
		if err := h.tell(command{Row: row.Name(), Time: d, Lead: lead}); err != nil {
			return nil, err
		}
	}
	for _, h := range both {
		if _, err := h.expect("ready", guard); err != nil {
			return nil, err
		}
	}
	for _, h := range both {
		if err := h.tell(command{Go: true}); err != nil {
			return nil, err
		}
		if h.side == SideB {
			if _, err := h.expect("going", guard); err != nil {
				return nil, err
			}
		}
	}
	o := &Outcome{Row: row}
	var err error
	if o.A, o.B, err = p.done(both, guard); err != nil {
		return nil, err
	}
	o.Count = o.A.Count - o.A.Uncounted
	end := o.A.End
	if row.B != nil {
		if o.B.Count != o.A.Count {
			return nil, fmt.Errorf("bench: %s: A sent %d, B received %d", row.Name(), o.A.Count, o.B.Count)
		}
		end = max(end, o.B.End)
	}
	o.Elapsed = time.Duration(end - o.A.Start)
	return o, nil
}

// done waits for the last reports, for both at once: when one end fails the other often waits for it for ever.
func (p *pair) done(both []*roleHandle, guard time.Time) (a, b report, err error) {
	type ended struct {
		side Side
		report
		err error
	}
	ends := make(chan ended, len(both))
	for _, h := range both {
		go func() {
			r, err := h.expect("done", guard)
			ends <- ended{h.side, r, err}
		}()
	}
	for range both {
		e := <-ends
		if e.err != nil {
			return a, b, e.err
		}
		if e.side == SideA {
			a = e.report
		} else {
			b = e.report
		}
	}
	return a, b, nil
}
