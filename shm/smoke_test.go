package shm_test

import (
	"testing"
	"time"
	"fmt"
	"os"
	"os/exec"
	"bufio"

	"github.com/tandem-ipc/tandem/shm"
	"github.com/tandem-ipc/tandem/shm/shmtest"
)

func TestMain(m *testing.M) {
	if os.Getenv("ROLE") == "attach" {
		sp, err := shm.OpenSpace("x", shm.Attach())
		fmt.Println("attached", sp, err)
		select {}
	}
	shmtest.Main(m)
}

func TestSmoke(t *testing.T) {
	t0 := time.Now()
	sp, err := shm.OpenSpace("x")
	if err != nil { t.Fatal(err) }
	t.Log(sp, time.Since(t0))
	t0 = time.Now()
	p, err := shm.Private()
	if err != nil { t.Fatal(err) }
	t.Log(p, time.Since(t0))
	died := make(chan *shm.MemberDied, 1)
	sp.OnDeath(func(d *shm.MemberDied) { died <- d })
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROLE=attach")
	out, _ := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	cmd.Start()
	l, _ := bufio.NewReader(out).ReadString('\n')
	t.Log(l)
	st, _ := sp.Stats()
	t.Logf("%+v", st)
	t0 = time.Now()
	cmd.Process.Kill()
	d := <-died
	t.Log(d, time.Since(t0))
	cmd.Wait()
	st, _ = sp.Stats()
	t.Logf("%+v", st)
	sp.Close()
	p.Close()
	time.Sleep(time.Second)
}
