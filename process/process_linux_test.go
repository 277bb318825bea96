package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/internal/feature"
	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/process"
	"github.com/tandem-ipc/tandem/shm"
)

const hang = 30 * time.Second // a guard against hanging, never a measure

// report is what a child says about itself.
type report struct {
	Name, Parent           string
	PID, ParentPID         int
	OSParent               int
	Alive, ParentAlive     bool
	Descriptors            int
	Env                    string
	Args                   mixed
	Children               []report
	MadeName               string
	GOMAXPROCS, Goroutines int
}

type mixed struct {
	Int   int
	Str   string
	List  []any
	Bytes []byte
	Conn  *pipe.Conn[string]
	None  *int
}

var inspect = process.DefineResult("inspect", func(ctx context.Context, a mixed) (report, error) {
	me, parent := process.Current(), process.Parent()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return report{}, err
	}
	a.Conn = nil
	return report{
		Name: me.Name(), PID: me.PID(), Alive: me.Alive(), OSParent: os.Getppid(),
		Parent: parent.Name(), ParentPID: parent.PID(), ParentAlive: parent.Alive(),
		Descriptors: len(fds), Env: os.Getenv(shm.EnvSpace), Args: a,
		MadeName: inspectNested.New(mixed{}).Name(),
	}, nil
})

var inspectNested = process.DefineResult("inspect nested", func(ctx context.Context, depth mixed) ([]string, error) {
	if depth.Int == 0 {
		return []string{process.Current().Name()}, nil
	}
	t, err := inspectNestedFrom(ctx, depth.Int-1)
	if err != nil {
		return nil, err
	}
	names, err := t.Wait(ctx)
	return append(names, process.Current().Name()), err
})

// inspectNestedFrom breaks the cycle between the variable and its function.
func inspectNestedFrom(ctx context.Context, depth int) (*process.Task[[]string], error) {
	return nested.Start(ctx, mixed{Int: depth})
}

var nested = process.DefineResult("nested", func(ctx context.Context, depth mixed) ([]string, error) {
	return []string{process.Current().Name()}, nil
})

// echo sends back what it gets, in capitals.
var echo = process.Define("echo", func(ctx context.Context, a mixed) error {
	for v, err := range a.Conn.All(ctx) {
		if err != nil {
			return err
		}
		if err := a.Conn.Send(ctx, strings.ToUpper(v)); err != nil {
			return err
		}
	}
	return nil
})

// sleep waits for its end, and says when it has begun.
var sleep = process.Define("sleep", func(ctx context.Context, a mixed) error {
	if a.Conn != nil {
		if err := a.Conn.Send(ctx, strconv.Itoa(os.Getpid())); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return context.Cause(ctx)
})

var end = process.Define("end", func(ctx context.Context, how string) error {
	switch how {
	case "error":
		return errors.New("it did not work")
	case "panic":
		panic("at the disco")
	case "nil map":
		noMap()["x"] = 1
	case "exit 3":
		os.Exit(3)
	case "exit 0":
		os.Exit(0)
	case "goexit":
		runtime.Goexit()
	case "error that panics":
		return (*detailed)(nil)
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return nil
})

var exits = process.DefineResult("exits", func(ctx context.Context, code int) (string, error) {
	os.Exit(code)
	return "", nil
})

var dies = process.Define("dies", func(ctx context.Context, a mixed) error {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
})

type detailed struct{ text string }

func (d *detailed) Error() string { return d.text }

func noMap() map[string]int { return nil }

var large = process.DefineResult("large", func(ctx context.Context, n int) ([]byte, error) {
	return bytes.Repeat([]byte{'x'}, n), nil
})

var unencodable = process.DefineResult("unencodable", func(ctx context.Context, _ int) (any, error) {
	return make(chan int), nil
})

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pair(t *testing.T) (a, b *pipe.Conn[string]) {
	t.Helper()
	a, b, err := pipe.New[string]()
	must(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// sleeper starts a child that sleeps, and waits until it does.
func sleeper(t *testing.T) *process.Process {
	t.Helper()
	a, b := pair(t)
	p, err := sleep.Start(t.Context(), mixed{Conn: b})
	must(t, err)
	t.Cleanup(func() { p.Kill(); p.Wait(context.Background()) })
	if pid, err := a.Recv(t.Context()); err != nil || pid != strconv.Itoa(p.PID()) {
		t.Fatalf("child says %q, %v; its pid is %d", pid, err, p.PID())
	}
	return p
}

func mustEnd(t *testing.T, p *process.Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(hang):
		t.Fatalf("%v does not end", p)
	}
}

func TestScenario1MainProcess(t *testing.T) {
	p := process.Current()
	if _, ended := p.ExitCode(); !p.Alive() || p.PID() != os.Getpid() || ended || p.Name() != "MainProcess" {
		t.Fatal(p)
	}
	if err := p.Wait(t.Context()); err == nil {
		t.Fatal("a process waited for itself")
	}
	if err := p.Start(t.Context()); !errors.Is(err, process.ErrStarted) {
		t.Fatal(err)
	}
}

func TestScenario2Arguments(t *testing.T) {
	want := mixed{Int: 1, Str: "str", List: []any{int64(1), nil, "x"}, Bytes: []byte{0, 1}}
	task, err := inspect.Start(t.Context(), want)
	must(t, err)
	r, err := task.Wait(t.Context())
	must(t, err)
	if got := fmt.Sprintf("%+v", r.Args); got != fmt.Sprintf("%+v", want) {
		t.Fatalf("sent %+v, the child got %s", want, got)
	}
}

func TestScenario4Parent(t *testing.T) {
	if p := process.Parent(); p != nil {
		t.Fatalf("the main process has a parent: %v", p)
	}
	task, err := inspect.Start(t.Context(), mixed{})
	must(t, err)
	r, err := task.Wait(t.Context())
	must(t, err)
	if r.Parent != "MainProcess" || r.ParentPID != os.Getpid() || r.OSParent != os.Getpid() || !r.ParentAlive {
		t.Fatalf("%+v", r)
	}
}

func TestScenario6BeforeWhileAndAfter(t *testing.T) {
	a, b := pair(t)
	p := echo.New(mixed{Conn: b}, process.Name("my echo"))
	if _, ended := p.ExitCode(); p.Alive() || ended || p.PID() != 0 || slices.Contains(process.Children(), p) {
		t.Fatalf("before: %v", p)
	}
	must(t, p.Start(t.Context()))
	if _, ended := p.ExitCode(); !p.Alive() || ended || p.PID() == 0 || !slices.Contains(process.Children(), p) {
		t.Fatalf("while: %v", p)
	}
	must(t, a.Send(t.Context(), "hello"))
	if v, err := a.Recv(t.Context()); v != "HELLO" {
		t.Fatal(v, err)
	}
	must(t, a.Close())
	must(t, p.Wait(t.Context()))
	if code, ended := p.ExitCode(); p.Alive() || !ended || code != 0 || slices.Contains(process.Children(), p) {
		t.Fatalf("after: %v", p)
	}
	must(t, p.Wait(t.Context()))

	task, err := inspect.Start(t.Context(), mixed{}, process.Name("some name"))
	must(t, err)
	r, err := task.Wait(t.Context())
	if err != nil || r.Name != "some name" || r.PID != task.PID() || !r.Alive {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestScenario7WaitingForNoTime(t *testing.T) {
	p := sleeper(t)
	for _, d := range []time.Duration{0, -1} {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		if err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || !p.Alive() {
			t.Fatal(err, p)
		}
		cancel()
	}
}

func TestScenario8TerminateAndKill(t *testing.T) {
	for _, c := range []struct {
		end  func(*process.Process) error
		sig  syscall.Signal
		text string
	}{
		{(*process.Process).Terminate, syscall.SIGTERM, "exitcode=-SIGTERM"},
		{(*process.Process).Kill, syscall.SIGKILL, "exitcode=-SIGKILL"},
	} {
		p := sleeper(t)
		must(t, c.end(p))
		mustEnd(t, p)
		var ee *process.ExitError
		if err := p.Wait(t.Context()); !errors.As(err, &ee) || ee.Code != -int(c.sig) || ee.PID != p.PID() {
			t.Fatal(err)
		}
		if code, ok := p.ExitCode(); code != -int(c.sig) || !ok || !strings.Contains(p.String(), c.text) {
			t.Fatal(code, p)
		}
		must(t, c.end(p)) // on what has ended: nothing
		if err := p.Wait(t.Context()); !errors.As(err, &ee) {
			t.Fatal(err)
		}
	}
}

func TestScenario9CPUCountAndChildren(t *testing.T) {
	if process.CPUCount() < 1 {
		t.Fatal(process.CPUCount())
	}
	if n := len(process.Children()); n != 0 {
		t.Fatalf("%d children", n)
	}
	p, q := sleeper(t), sleeper(t)
	if n := len(process.Children()); n != 2 {
		t.Fatalf("%d children", n)
	}
	must(t, errors.Join(p.Kill(), q.Kill()))
	if err := process.WaitAll(t.Context()); err == nil {
		t.Fatal("two killed children are no error")
	}
	if n := len(process.Children()); n != 0 {
		t.Fatalf("%d children", n)
	}
}

func TestScenario13ManyAtOnce(t *testing.T) {
	const n = 50
	var tasks [n]*process.Task[report]
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var err error
			if tasks[i], err = inspect.Start(t.Context(), mixed{Int: i}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, task := range tasks {
		if r, err := task.Wait(t.Context()); err != nil || r.Args.Int != i {
			t.Fatal(r, err)
		}
	}
	var ps [n]*process.Process
	for i := range n {
		var err error
		ps[i], err = sleep.Start(t.Context(), mixed{})
		must(t, err)
		must(t, ps[i].Kill()) // right after the start
	}
	for _, p := range ps {
		mustEnd(t, p)
		if code, _ := p.ExitCode(); code != -int(syscall.SIGKILL) {
			t.Fatal(p)
		}
	}
}

func TestScenario15DescriptorsDoNotGrow(t *testing.T) {
	var seen []int
	for range 5 {
		s := sleeper(t)
		task, err := inspect.Start(t.Context(), mixed{})
		must(t, err)
		r, err := task.Wait(t.Context())
		must(t, err)
		seen = append(seen, r.Descriptors)
		_ = s
	}
	if slices.Min(seen) != slices.Max(seen) {
		t.Fatalf("descriptors in the children: %v", seen)
	}
}

func TestScenario20AndHowFunctionsEnd(t *testing.T) {
	for _, c := range []struct {
		how, text string
		code      int
		remote    bool
	}{
		{"fine", "", 0, false},
		{"error", "it did not work", 1, true},
		{"panic", "panic: at the disco", 2, true},
		{"nil map", "panic: assignment to entry in nil map", 2, true},
		{"exit 3", "ended with code 3", 3, false},
		{"exit 0", "", 0, false},
		{"kill", "killed by SIGKILL", -9, false},
		{"goexit", "runtime.Goexit", 1, true},
		{"error that panics", "panic: ", 2, true},
	} {
		t.Run(c.how, func(t *testing.T) {
			p, err := end.Start(t.Context(), c.how)
			must(t, err)
			mustEnd(t, p)
			err = p.Wait(t.Context())
			if code, _ := p.ExitCode(); code != c.code {
				t.Errorf("exit code %d", code)
			}
			if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v", err)
			}
			var re *process.RemoteError
			if errors.As(err, &re) != c.remote {
				t.Errorf("error %#v", err)
			}
			if re != nil && re.Panic && !strings.Contains(re.Stack, "process_linux_test.go") {
				t.Errorf("the stack does not lead to the function:\n%s", re.Stack)
			}
		})
	}
}

func TestWhatAChildPrintsIsSeen(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "TANDEM_TEST_ROLE=panicker")
	out, err := cmd.CombinedOutput()
	must(t, err)
	for _, want := range []string{"Process Process-1:", "panic: at the disco", "goroutine", "process_linux_test.go"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
}

func init() {
	parts["panicker"] = func(p *roles.Peer, _ []string) {
		c, err := end.Start(context.Background(), "panic")
		p.Must(err)
		c.Wait(context.Background())
		p.Must(shm.Exit())
	}
}

func TestResults(t *testing.T) {
	for _, n := range []int{0, 1, 5 << 20} {
		task, err := large.Start(t.Context(), n)
		must(t, err)
		r, err := task.Wait(t.Context())
		if err != nil || bytes.Count(r, []byte{'x'}) != n {
			t.Fatal(len(r), err)
		}
		if again, err := task.Wait(t.Context()); len(again) != n {
			t.Fatal(err)
		}
	}
	task, err := unencodable.Start(t.Context(), 1)
	must(t, err)
	if _, err := task.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "chan int") {
		t.Fatal(err)
	}
}

func TestNamesAreNumberedByNew(t *testing.T) {
	first := nested.New(mixed{})
	second := nested.New(mixed{})
	number := func(p *process.Task[[]string]) int {
		n, err := strconv.Atoi(strings.TrimPrefix(p.Name(), "Process-"))
		must(t, err)
		return n
	}
	if number(second) != number(first)+1 {
		t.Fatal(first, second)
	}
	task, err := inspectNested.Start(t.Context(), mixed{Int: 1})
	must(t, err)
	names, err := task.Wait(t.Context())
	must(t, err)
	if names[1] != task.Name() || names[0] != task.Name()+":1" {
		t.Fatal(names)
	}
}

func TestTheEnvironmentOfAChildSaysNothingOfItsWork(t *testing.T) {
	task, err := inspect.Start(t.Context(), mixed{})
	must(t, err)
	r, err := task.Wait(t.Context())
	if err != nil || r.Env != "" {
		t.Fatalf("%q, %v", r.Env, err)
	}
	if os.Getenv(shm.EnvSpace) != "" {
		t.Fatal("it is set in the parent")
	}
}

func TestAnEndThatIsPassedOnIsGivenUpByTheParent(t *testing.T) {
	a, b := pair(t)
	p, err := echo.Start(t.Context(), mixed{Conn: b})
	must(t, err)
	must(t, a.Send(t.Context(), "x"))
	if v, err := a.Recv(t.Context()); v != "X" {
		t.Fatal(v, err)
	}
	// The child has taken it, and soon the parent knows: what it does with b is an error that says so.
	eventually(t, "b is given up", func() bool {
		_, err := b.TryRecv()
		return errors.Is(err, pipe.ErrClosed) && strings.Contains(err.Error(), "passed on")
	})
	// So the child's death is the end of it.
	must(t, p.Kill())
	var died *pipe.PeerDied
	if _, err := a.Recv(t.Context()); !errors.As(err, &died) || died.PID != p.PID() {
		t.Fatal(err)
	}

	a, b = pair(t)
	p, err = echo.Start(t.Context(), mixed{Conn: b}, process.KeepEnds())
	must(t, err)
	must(t, a.Send(t.Context(), "x"))
	if v, err := a.Recv(t.Context()); v != "X" {
		t.Fatal(v, err)
	}
	must(t, p.Kill())
	mustEnd(t, p)
	if _, err := a.TryRecv(); err != pipe.ErrEmpty {
		t.Fatalf("the parent has kept the other end: %v", err)
	}
	must(t, b.Send(t.Context(), "mine again"))
	if v, err := a.Recv(t.Context()); v != "mine again" {
		t.Fatal(v, err)
	}
}

// As everyone writes it in Python: start, then close one's own end.
func TestAnEndMayBeClosedRightAfterStart(t *testing.T) {
	for range 20 {
		a, b := pair(t)
		p, err := echo.Start(t.Context(), mixed{Conn: b})
		must(t, err)
		must(t, b.Close())
		must(t, a.Send(t.Context(), "x"))
		if v, err := a.Recv(t.Context()); v != "X" {
			t.Fatal(v, err)
		}
		must(t, a.Close())
		mustEnd(t, p)
	}
	// Dies the child first, then nobody holds it.
	a, b := pair(t)
	t.Setenv(envForget, "quit")
	p, err := echo.Start(t.Context(), mixed{Conn: b})
	must(t, err)
	must(t, b.Close())
	mustEnd(t, p)
	if _, err := a.Recv(t.Context()); err != io.EOF {
		t.Fatal(err)
	}
}

// The parent may notice that the child has taken the end only when it is dead already: its giving up is no end.
func TestADeathIsNotHiddenByTheParentsGivingUp(t *testing.T) {
	for range 30 {
		a, b := pair(t)
		p, err := dies.Start(t.Context(), mixed{Conn: b})
		must(t, err)
		var died *pipe.PeerDied
		if _, err := a.Recv(t.Context()); !errors.As(err, &died) {
			t.Fatal(err)
		}
		mustEnd(t, p)
	}
}

func TestAnEndIsPassedOnOnce(t *testing.T) {
	a, b := pair(t)
	p, err := echo.Start(t.Context(), mixed{Conn: b})
	must(t, err)
	for range 2 { // on the way, and taken
		if _, err := echo.Start(t.Context(), mixed{Conn: b}); !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), "passed on") {
			t.Fatal(err)
		}
		must(t, a.Send(t.Context(), "x"))
		if v, err := a.Recv(t.Context()); v != "X" {
			t.Fatal(v, err)
		}
	}
	must(t, a.Close())
	mustEnd(t, p)
}

func TestAFailureIsNotLostBecauseItCameBeforeWaitAll(t *testing.T) {
	_ = process.WaitAll(t.Context()) // what other tests have left
	p, err := end.Start(t.Context(), "error")
	must(t, err)
	q, err := end.Start(t.Context(), "nil")
	must(t, err)
	<-p.Done()
	<-q.Done()
	var ended *process.ExitError
	if err := process.WaitAll(t.Context()); !errors.As(err, &ended) || ended.PID != p.PID() {
		t.Fatal(err)
	}
	if err := process.WaitAll(t.Context()); err != nil {
		t.Fatalf("told twice: %v", err)
	}
}

func TestAResultThatNobodyReturnedIsNoResult(t *testing.T) {
	r, err := exits.Start(t.Context(), 0)
	must(t, err)
	if s, err := r.Wait(t.Context()); !errors.Is(err, process.ErrNoResult) {
		t.Fatalf("%q, %v", s, err)
	}
}

func TestAChildThatDiesBeforeItsHelloLeavesTheEndToTheParent(t *testing.T) {
	a, b := pair(t)
	t.Setenv(envForget, "quit")
	p, err := echo.Start(t.Context(), mixed{Conn: b})
	must(t, err)
	if err := p.Wait(t.Context()); !errors.Is(err, process.ErrNoHello) {
		t.Fatal(err)
	}
	must(t, b.Send(t.Context(), "still mine"))
	if v, err := a.Recv(t.Context()); v != "still mine" {
		t.Fatal(v, err)
	}
}

func TestTwoSiblingsTalk(t *testing.T) {
	a, b := pair(t)
	p, err := echo.Start(t.Context(), mixed{Conn: b})
	must(t, err)
	q, err := asker.Start(t.Context(), a)
	must(t, err)
	r, err := q.Wait(t.Context())
	if err != nil || r != "SIBLING" {
		t.Fatal(r, err)
	}
	must(t, p.Wait(t.Context())) // its peer has ended, which closes the end
}

var asker = process.DefineResult("asker", func(ctx context.Context, c *pipe.Conn[string]) (string, error) {
	if err := c.Send(ctx, "sibling"); err != nil {
		return "", err
	}
	return c.Recv(ctx)
})

func TestAProgramThatForgotTheHookExplainsItself(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "TANDEM_TEST_ROLE=forgetful", envForget+"=use")
	out, err := cmd.CombinedOutput()
	must(t, err)
	for _, want := range []string{"process.Main(run)", "process.Init()", "says: true", "code 70"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "not reached") {
		t.Errorf("it went on:\n%s", out)
	}
}

func init() {
	parts["forgetful"] = func(p *roles.Peer, _ []string) {
		c, err := end.Start(context.Background(), "fine")
		p.Must(err)
		err = c.Wait(context.Background())
		p.Say("says: %v: %v", errors.Is(err, process.ErrNoHello), err)
		p.Must(shm.Exit())
	}
}

func TestWhatCannotBeStartedIsAnErrorOfStart(t *testing.T) {
	type bad struct{ C chan int }
	for name, start := range map[string]func() error{
		"arguments": func() error {
			_, err := process.Define("bad arguments", func(context.Context, bad) error { return nil }).Start(t.Context(), bad{})
			return err
		},
		"value": func() error {
			_, err := process.Define("bad value", func(context.Context, any) error { return nil }).Start(t.Context(), make(chan int))
			return err
		},
		"twice": func() error {
			process.Define("twice", func(context.Context, int) error { return nil })
			_, err := process.Define("twice", func(context.Context, int) error { return nil }).Start(t.Context(), 1)
			return err
		},
		"nameless": func() error {
			_, err := process.Define("", func(context.Context, int) error { return nil }).Start(t.Context(), 1)
			return err
		},
		"context": func() error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := end.Start(ctx, "fine")
			return err
		},
	} {
		if err := start(); err == nil {
			t.Errorf("%s: started", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
	p := end.New("fine")
	if err := p.Wait(t.Context()); !errors.Is(err, process.ErrNotStarted) {
		t.Error(err)
	}
	if err := p.Kill(); !errors.Is(err, process.ErrNotStarted) {
		t.Error(err)
	}
	must(t, p.Start(t.Context()))
	if err := p.Start(t.Context()); !errors.Is(err, process.ErrStarted) {
		t.Error(err)
	}
	must(t, p.Wait(t.Context()))
	if err := p.Start(t.Context()); !errors.Is(err, process.ErrStarted) {
		t.Error(err)
	}
}

func TestAFunctionThatTheChildDoesNotKnow(t *testing.T) {
	name := fmt.Sprint("defined too late, at ", time.Now()) // a name is given once
	p, err := process.Define(name, func(context.Context, int) error { return nil }).Start(t.Context(), 1)
	must(t, err)
	if err := p.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "package variable") {
		t.Fatal(err)
	}
}

func TestWithoutDescriptorsNothingStartsAndNothingLeaks(t *testing.T) {
	sp, err := shm.Private()
	must(t, err)
	defer sp.Close()
	before, err := sp.Stats()
	must(t, err)
	var was syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was))
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	failed := 0
	for n := uint64(4); n < 20; n++ {
		must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: was.Max}))
		p, err := end.Start(t.Context(), "exit 0")
		if err != nil {
			failed++
			if !errors.Is(err, syscall.EMFILE) {
				t.Errorf("with %d descriptors: %v", n, err)
			}
			continue
		}
		must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was))
		p.Kill()
		mustEnd(t, p)
	}
	if failed == 0 {
		t.Fatal("nothing failed")
	}
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was))
	eventually(t, "all members are settled", func() bool {
		st, err := sp.Stats()
		must(t, err)
		return len(st.Members) == 1 && st.Objects == before.Objects
	})
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(hang); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func init() {
	// family starts a child that has a child, and waits to be killed.
	parts["family"] = func(p *roles.Peer, args []string) {
		ctx := context.Background()
		var c pipe.Conn[string]
		p.Must(c.UnmarshalText([]byte(args[0])))
		child, err := withChild.Start(ctx, mixed{Conn: &c})
		p.Must(err)
		p.Say("%d", child.PID())
		p.Hear()
	}
}

// withChild has a child of its own that tells of it.
var withChild = process.Define("with a child", func(ctx context.Context, a mixed) error {
	p, err := grandchild.Start(ctx, a)
	if err != nil {
		return err
	}
	return p.Wait(context.WithoutCancel(ctx))
})

var grandchild = process.Define("grandchild", func(ctx context.Context, a mixed) error {
	parent := process.Parent()
	if err := a.Conn.Send(ctx, fmt.Sprintf("%d %v", os.Getpid(), parent.Alive())); err != nil {
		return err
	}
	<-parent.Done()
	// Half a second is left to say so.
	if err := a.Conn.Send(context.WithoutCancel(ctx), fmt.Sprint(parent.Alive())); err != nil {
		return err
	}
	select {} // and then to end, come what may
})

func TestScenario5AGrandchildSeesItsParentEnd(t *testing.T) {
	a, b := pair(t)
	p, err := withChild.Start(t.Context(), mixed{Conn: b})
	must(t, err)
	var pid int
	var alive bool
	text, err := a.Recv(t.Context())
	must(t, err)
	fmt.Sscan(text, &pid, &alive)
	if !alive {
		t.Fatal(text)
	}
	must(t, p.Terminate())
	if v, err := a.Recv(t.Context()); v != "false" {
		t.Fatal(v, err)
	}
	gone(t, pid)
}

// gone waits until a process that is not our child has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d is gone", pid), func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || b[bytes.LastIndexByte(b, ')')+2] == 'Z'
	})
}

// D6: when the main process is killed nothing of it stays: its descendants end, and its tracker removes its memory.
func TestScenarioD6NobodyOutlivesTheMainProcess(t *testing.T) {
	a, b := pair(t)
	text, err := b.MarshalText()
	must(t, err)
	p := roles.Start(t, "family", string(text))
	child, err := strconv.Atoi(p.Hear())
	must(t, err)
	must(t, b.Close())
	var grandchild int
	first, err := a.Recv(t.Context())
	must(t, err)
	fmt.Sscan(first, &grandchild)
	start := time.Now()
	p.Kill()
	if v, err := a.Recv(t.Context()); v != "false" {
		t.Fatal(v, err)
	}
	gone(t, child)
	gone(t, grandchild)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("descendants lived on for %v", took)
	}
	var died *pipe.PeerDied
	if _, err := a.Recv(t.Context()); err != io.EOF && !errors.As(err, &died) {
		t.Fatal(err)
	}
	eventually(t, "the files are gone", func() bool { return len(othersFiles(t)) == 0 })
}

// othersFiles lists the files that are not of our private Space.
func othersFiles(t *testing.T) []string {
	t.Helper()
	all, err := os.ReadDir(os.Getenv(shm.EnvDir))
	must(t, err)
	var others []string
	for _, f := range all {
		if !strings.Contains(f.Name(), privateID(t)) {
			others = append(others, f.Name())
		}
	}
	return others
}

func privateID(t *testing.T) string {
	sp, err := shm.Private()
	must(t, err)
	defer sp.Close()
	return sp.Name()
}

func TestMainWaitsForChildrenAndReportsErrors(t *testing.T) {
	for _, c := range []struct {
		how  string
		code int
		want []string
	}{
		{"fine", 0, []string{"run has returned", "child is done"}},
		{"error", 1, []string{"run has returned", "child is done", "no luck"}},
		{"signal", 1, []string{"run has returned", "asked to end"}},
	} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "TANDEM_TEST_ROLE=main\x1f"+c.how)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != c.code {
			t.Errorf("%s: exit code %d\n%s", c.how, code, out)
		}
		at := 0
		for _, want := range c.want[:2] {
			i := strings.Index(string(out), want)
			if i < at {
				t.Errorf("%s: %q is missing or too early in:\n%s", c.how, want, out)
			}
			at = i
		}
		if !strings.Contains(string(out), c.want[len(c.want)-1]) {
			t.Errorf("%s:\n%s", c.how, out)
		}
	}
	left, err := os.ReadDir(os.Getenv(shm.EnvDir))
	must(t, err)
	for _, f := range left {
		if !strings.Contains(f.Name(), privateID(t)) {
			t.Errorf("left: %s", f.Name())
		}
	}
}

var slow = process.Define("slow", func(ctx context.Context, a mixed) error {
	// Ends when the other end is closed, which is when run has returned.
	for range a.Conn.All(ctx) {
	}
	fmt.Println("child is done")
	return nil
})

func init() {
	parts["main"] = func(p *roles.Peer, args []string) {
		process.Main(func(ctx context.Context) error {
			a, b, err := pipe.New[string]()
			if err != nil {
				return err
			}
			if _, err := slow.Start(ctx, mixed{Conn: b}); err != nil {
				return err
			}
			// a stays open: Main closes it, so that the child sees the end.
			defer fmt.Println("run has returned")
			switch args[0] {
			case "error":
				return errors.New("no luck")
			case "signal": // this one waits for nothing that we could close
				if _, err := sleep.Start(ctx, mixed{}); err != nil {
					return err
				}
				if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
					return err
				}
				<-ctx.Done()
				return errors.New("asked to end")
			}
			_ = a
			return nil
		})
	}
}

func TestNoZombiesAndNoThreadPerChild(t *testing.T) {
	var ps []*process.Process
	for range 60 {
		ps = append(ps, sleeper(t))
	}
	tasks, err := os.ReadDir("/proc/self/task")
	must(t, err)
	if len(tasks) >= 50 && !feature.PidFD.Off() {
		t.Errorf("%d threads with 60 children", len(tasks))
	}
	for _, p := range ps {
		must(t, p.Kill())
	}
	for _, p := range ps {
		mustEnd(t, p)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID())); err == nil {
			t.Errorf("%v is still in the process table", p)
		}
	}
}
