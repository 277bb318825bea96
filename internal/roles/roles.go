// Package roles lets a test binary be several processes: the test starts the binary again in a role, talks to it by lines,
// and kills it. It knows nothing of Tandem, so that what is tested is not what carries the test.
package roles

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	env  = "TANDEM_TEST_ROLE"
	hang = 60 * time.Second // a guard against hanging, never a measure
)

// A Role is the main function of another process of the test. It answers lines by lines.
type Role func(p *Peer, args []string)

// Run runs the role that this process was started in, and exits; in the test itself it returns.
func Run(all map[string]Role) {
	spec := os.Getenv(env)
	if spec == "" {
		return
	}
	os.Unsetenv(env)
	part := strings.Split(spec, "\x1f")
	role := all[part[0]]
	if role == nil {
		fmt.Fprintf(os.Stderr, "no role %q\n", part[0])
		os.Exit(1)
	}
	role(&Peer{in: bufio.NewReader(os.Stdin)}, part[1:])
	os.Exit(0)
}

// A Peer is the test as a role sees it.
type Peer struct{ in *bufio.Reader }

// Say writes a line to the test.
func (p *Peer) Say(format string, args ...any) {
	fmt.Println(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " | "))
}

// Hear waits for a line. When the test is gone, the process ends.
func (p *Peer) Hear() string {
	line, err := p.in.ReadString('\n')
	if err != nil {
		os.Exit(3)
	}
	return strings.TrimSuffix(line, "\n")
}

// Must ends the process with an error that the test can hear.
func (p *Peer) Must(err error) {
	if err != nil {
		p.Say("FAILED: %v", err)
		os.Exit(1)
	}
}

// A Proc is a role as the test sees it.
type Proc struct {
	t    testing.TB
	name string
	Cmd  *exec.Cmd
	in   io.WriteCloser
	out  chan string
	dead bool
}

// Start starts a role. It is killed when the test ends.
func Start(t testing.TB, role string, args ...string) *Proc {
	t.Helper()
	return StartAs(t, nil, nil, role, args...)
}

// StartAs starts a role with more environment variables and other attributes.
func StartAs(t testing.TB, environ []string, attr *syscall.SysProcAttr, role string, args ...string) *Proc {
	t.Helper()
	p := &Proc{t: t, name: role, Cmd: exec.Command("/proc/self/exe"), out: make(chan string, 100)}
	p.Cmd.Env = append(append(os.Environ(), env+"="+strings.Join(append([]string{role}, args...), "\x1f")), environ...)
	p.Cmd.Stderr = os.Stderr
	p.Cmd.SysProcAttr = attr
	var err error
	if p.in, err = p.Cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Cmd.Start(); err != nil {
		t.Fatalf("start role %s: %v", role, err)
	}
	go func() {
		defer close(p.out)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.out <- lines.Text()
		}
	}()
	t.Cleanup(p.Kill)
	return p
}

// Hear waits for a line.
func (p *Proc) Hear() string {
	p.t.Helper()
	select {
	case line, ok := <-p.out:
		if !ok {
			p.t.Fatalf("role %s has ended", p.name)
		}
		if strings.HasPrefix(line, "FAILED") {
			p.t.Fatalf("role %s: %s", p.name, line)
		}
		return line
	case <-time.After(hang):
		p.t.Fatalf("role %s says nothing", p.name)
	}
	return ""
}

// Lines is what the process says, for who wants to wait for something else as well.
func (p *Proc) Lines() <-chan string { return p.out }

// Expect waits for a line and compares it.
func (p *Proc) Expect(want string) {
	p.t.Helper()
	if got := p.Hear(); got != want {
		p.t.Fatalf("role %s says %q, want %q", p.name, got, want)
	}
}

// Say sends a line.
func (p *Proc) Say(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatalf("tell role %s: %v", p.name, err)
	}
}

// Ask sends a line and waits for the answer.
func (p *Proc) Ask(line string) string {
	p.t.Helper()
	p.Say(line)
	return p.Hear()
}

// Signal sends a signal.
func (p *Proc) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal role %s: %v", p.name, err)
	}
}

// Kill kills the process and waits until it is gone.
func (p *Proc) Kill() {
	if p.dead {
		return
	}
	p.dead = true
	p.Cmd.Process.Kill()
	p.in.Close()
	for range p.out {
	}
	p.Cmd.Wait()
}

// Slay kills the process and does not wait.
func (p *Proc) Slay() { p.Cmd.Process.Kill() }

// Wait waits for the process to end by itself and returns its exit code.
func (p *Proc) Wait() int {
	p.t.Helper()
	p.in.Close()
	timer := time.AfterFunc(hang, func() { p.Cmd.Process.Kill() })
	defer timer.Stop()
	for range p.out {
	}
	p.Cmd.Wait()
	p.dead = true
	return p.Cmd.ProcessState.ExitCode()
}
