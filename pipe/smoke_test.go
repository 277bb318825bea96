package pipe_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/shm/shmtest"
)

type msg struct{ A [8]uint64 }

func TestMain(m *testing.M) {
	if h := os.Getenv("PEER"); h != "" {
		var c pipe.Conn[msg]
		if err := c.UnmarshalText([]byte(h)); err != nil {
			panic(err)
		}
		fmt.Println("ready")
		ctx := context.Background()
		for {
			v, err := c.Recv(ctx)
			if err != nil {
				fmt.Fprintln(os.Stderr, "child:", err)
				os.Exit(0)
			}
			if err := c.Send(ctx, v); err != nil {
				panic(err)
			}
		}
	}
	shmtest.Main(m)
}

func TestSmoke(t *testing.T) {
	a, b, err := pipe.New[msg]()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	h, _ := b.MarshalText()
	cmd.Env = append(os.Environ(), "PEER="+string(h))
	cmd.Stderr = os.Stderr
	out, _ := cmd.StdoutPipe()
	cmd.Start()
	bufio.NewReader(out).ReadString('\n')
	b.Close()
	ctx := context.Background()
	for r := 0; r < 3; r++ {
		t0 := time.Now()
		const n = 200000
		for i := range n {
			if err := a.Send(ctx, msg{[8]uint64{uint64(i)}}); err != nil {
				t.Fatal(err)
			}
			v, err := a.Recv(ctx)
			if err != nil || v.A[0] != uint64(i) {
				t.Fatal(err, v)
			}
		}
		t.Log("rtt", time.Since(t0)/n)
	}
	if os.Getenv("KILL") != "" {
		t0 := time.Now()
		cmd.Process.Kill()
		_, err := a.Recv(ctx)
		t.Log(err, time.Since(t0))
	}
	a.Close()
	cmd.Wait()
	_, err = a.Recv(ctx)
	t.Log(err, err == io.EOF)
}
