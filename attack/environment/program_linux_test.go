package environment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/process"
	"github.com/tandem-ipc/tandem/shm"
)

var parts = map[string]roles.Role{}

type talk struct{ End *pipe.Conn[string] }

// echo answers until its peer is gone.
var echo = process.Define("echo", func(ctx context.Context, a talk) error {
	for s, err := range a.End.All(ctx) {
		if err != nil {
			return err
		}
		if err := a.End.Send(ctx, s+s); err != nil {
			return err
		}
	}
	return nil
})

var programs = map[string]func(context.Context) error{
	"all": func(ctx context.Context) error {
		for range 3 {
			if err := workAndDie(ctx); err != nil {
				return err
			}
		}
		if err := named(ctx); err != nil {
			return err
		}
		return end(ctx)
	},
	"fill": func(ctx context.Context) error {
		if err := fill(ctx); err != nil {
			return err
		}
		return end(ctx)
	},
	"threads": func(ctx context.Context) error {
		const many = 1000
		up, stop := make(chan bool), make(chan bool)
		for range many {
			go func() {
				runtime.LockOSThread()
				up <- true
				<-stop
			}()
			<-up
		}
		defer close(stop)
		if err := workAndDie(ctx); err != nil {
			return err
		}
		return end(ctx)
	},
	// Everything is unlinked underneath, and everybody who is there goes on.
	"unlinked": func(ctx context.Context) error {
		ours, worker, err := startEcho(ctx)
		if err != nil {
			return err
		}
		if err := ask(ctx, ours, "before"); err != nil { // it is there
			return err
		}
		left, err := filepath.Glob(filepath.Join(shm.Dir(), prefix()+"*"))
		if err != nil || len(left) == 0 {
			return fmt.Errorf("no files in %s: %w", shm.Dir(), err)
		}
		for _, f := range left {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
		if err := ask(ctx, ours, "still"); err != nil {
			return err
		}
		if err := killed(ctx, ours, worker); err != nil {
			return err
		}
		a, b, err := pipe.New[[]byte]()
		if err != nil {
			return err
		}
		big := make([]byte, 8<<20) // more than there is: the Space grows
		go a.Send(ctx, big)
		if got, err := b.Recv(ctx); err != nil || len(got) != len(big) {
			return fmt.Errorf("%d bytes: %w", len(got), err)
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			return err
		}
		ours, worker, err = startEcho(ctx) // a new process would find the Space by its name
		if err != nil {
			return err
		}
		fmt.Println("a new process ends with an error:", worker.Wait(ctx) != nil)
		if err := errors.Join(ours.Close(), process.WaitAll(ctx), shm.Exit()); err != nil {
			return err
		}
		if _, err := shm.Sweep(); err != nil { // a segment whose root has no name any more is for the sweep
			return err
		}
		return end(ctx)
	},
	// A first process that waits for every child there is takes the exit codes, and nothing else.
	"init": func(ctx context.Context) error {
		if pid := os.Getpid(); pid != 1 {
			return fmt.Errorf("process %d", pid)
		}
		reaped := make(chan int)
		ours, worker, err := startEcho(ctx)
		if err != nil {
			return err
		}
		if err := errors.Join(ask(ctx, ours, "hello"), worker.Kill()); err != nil {
			return err
		}
		go func() {
			for n := 0; ; n++ {
				if _, err := syscall.Wait4(-1, nil, 0, nil); err == syscall.ECHILD {
					reaped <- n
					return
				}
			}
		}()
		<-reaped
		var died *pipe.PeerDied
		if _, err := ours.Recv(ctx); !errors.As(err, &died) {
			return fmt.Errorf("the peer's death: %w", err)
		}
		if err := worker.Wait(ctx); err == nil {
			return errors.New("a killed process ended well")
		}
		if err := errors.Join(ours.Close(), workAndDie(ctx)); err != nil {
			return err
		}
		return end(ctx)
	},
}

func startEcho(ctx context.Context) (*pipe.Conn[string], *process.Process, error) {
	ours, theirs, err := pipe.New[string]()
	if err != nil {
		return nil, nil, err
	}
	worker, err := echo.Start(ctx, talk{theirs})
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close(), theirs.Close())
	}
	return ours, worker, nil
}

func ask(ctx context.Context, c *pipe.Conn[string], s string) error {
	if err := c.Send(ctx, s); err != nil {
		return err
	}
	if got, err := c.Recv(ctx); err != nil || got != s+s {
		return fmt.Errorf("asked %q, got %q: %w", s, got, err)
	}
	return nil
}

// killed kills the worker while somebody waits for it.
func killed(ctx context.Context, ours *pipe.Conn[string], worker *process.Process) error {
	told := make(chan error, 1)
	go func() {
		_, err := ours.Recv(ctx)
		told <- err
	}()
	if err := worker.Kill(); err != nil {
		return err
	}
	var died *pipe.PeerDied
	if err := <-told; !errors.As(err, &died) {
		return fmt.Errorf("the peer's death: %w", err)
	}
	err := worker.Wait(ctx)
	if code, _ := worker.ExitCode(); err == nil || code != -int(syscall.SIGKILL) {
		return fmt.Errorf("killed, and ended with %d: %w", code, err)
	}
	return ours.Close()
}

func workAndDie(ctx context.Context) error {
	ours, worker, err := startEcho(ctx)
	if err != nil {
		return err
	}
	for _, s := range []string{"a", "tandem", strings.Repeat("long", 50_000)} {
		if err := ask(ctx, ours, s); err != nil {
			return err
		}
	}
	return killed(ctx, ours, worker)
}

// named meets itself in a Space of a name.
func named(ctx context.Context) error {
	sp, err := shm.OpenSpace("environment")
	if err != nil {
		return err
	}
	a, b, err := pipe.New[int](pipe.In(sp))
	if err != nil {
		return err
	}
	if err := sp.Bind("end", b.Handle()); err != nil {
		return err
	}
	h, err := sp.Lookup("end")
	if err != nil {
		return err
	}
	again, err := pipe.Open[int](h)
	if err != nil {
		return err
	}
	if err := a.Send(ctx, 42); err != nil {
		return err
	}
	if n, err := again.Recv(ctx); n != 42 || err != nil {
		return fmt.Errorf("%d: %w", n, err)
	}
	return errors.Join(sp.Unbind("end"), a.Close(), b.Close(), again.Close(), sp.Check(), sp.Close())
}

// fill takes connections until there is no memory, and uses every byte of them.
func fill(ctx context.Context) error {
	const most = 1000 // 128 MiB
	var all []*pipe.Conn[[]byte]
	for len(all) < 2*most {
		a, b, err := pipe.New[[]byte](pipe.Capacity(64 << 10))
		if errors.Is(err, shm.ErrNoSpace) {
			fmt.Println("full:", err)
			break
		}
		if err != nil {
			return err
		}
		for a.TrySend(make([]byte, 4000)) == nil {
		}
		all = append(all, a, b)
	}
	if len(all) == 0 {
		return nil
	}
	for {
		if _, err := all[1].TryRecv(); err != nil {
			break
		}
	}
	if err := all[0].Send(ctx, []byte("there is room")); err != nil {
		return err
	}
	for _, c := range all {
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

func prefix() string { return fmt.Sprintf("tandem.%d.", os.Geteuid()) }

// end leaves every Space and looks for what is left.
func end(ctx context.Context) error {
	if err := errors.Join(process.WaitAll(ctx), shm.Exit()); err != nil {
		return err
	}
	var left []string
	if os.Getenv(envForeign) != "" { // the test counts
		fmt.Println("fine")
		return nil
	}
	for limit := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) { // who was killed is still leaving
		left, _ = filepath.Glob(filepath.Join(shm.Dir(), prefix()+"*"))
		if len(left) == 0 || time.Now().After(limit) {
			break
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("left behind: %q", left)
	}
	fmt.Println("fine")
	return nil
}
