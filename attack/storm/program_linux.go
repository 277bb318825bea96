package storm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/process"
	"github.com/tandem-ipc/tandem/shm"
)

// The programs under attack: ordinary ones, that use what any user has. A tree is a root, producers and consumers below it,
// and a branch that has producers and consumers of its own. The root and the branches supervise: who dies is replaced.
//
// They tell the controller what happens by lines on standard output, a pipe that the whole tree inherits:
//
//	space FILE NONCE      the tree uses this Space
//	begun ID PID          a process has attached, and begins its work
//	ended ID CODE         its parent has seen it end
//	error TEXT            something that must not happen
//	drained CHANNEL       nothing is left in it, and nobody sends
//	whole                 all that was held has come back
//
// A line is one write, so lines do not mix.

// roleVariable makes a process of this binary a root; what it says is a treeBrief.
const roleVariable = "TANDEM_STORM_TREE"

type treeBrief struct {
	Tree int
	Dir  string // of journals
	Seed uint64
}

func tell(format string, args ...any) {
	b := fmt.Appendf(nil, format+"\n", args...)
	os.Stdout.Write(b) // a controller that is gone has closed our standard input, too
}

var worker = process.Define("storm.worker", func(ctx context.Context, w work) error {
	j, err := newJournal(w.Dir, w.id())
	if err != nil {
		return err
	}
	tell("begun %s %d", w.id(), os.Getpid())
	if w.Side == "p" {
		return produce(ctx, j, w)
	}
	return consume(ctx, j, w)
})

type branchArgs struct {
	treeBrief
	Slot string
	Life int
}

var branch = process.Define("storm.branch", func(ctx context.Context, a branchArgs) error {
	sp, err := shm.Private()
	if err != nil {
		return err
	}
	defer sp.Close()
	id := processID(a.Slot, a.Life)
	r := rand.New(rand.NewPCG(a.Seed, uint64(a.Life)))
	c, err := newChannel(id+".0", style(r.IntN(int(styles))), sp, r)
	if err != nil {
		return err
	}
	tell("begun %s %d", id, os.Getpid())
	supervise(ctx, a.treeBrief, places(a.treeBrief, []*channel{c}))
	return c.close()
})

// A place in a tree is filled again and again.
type placeInTree struct {
	slot  string
	start func(ctx context.Context, life int) (*process.Process, error)
}

// places are those of some channels: one that sends and one that receives for each.
func places(b treeBrief, all []*channel) (ps []placeInTree) {
	for _, c := range all {
		for side, end := range map[string]wire{"p": c.tx, "c": c.rx} {
			w := work{Tree: b.Tree, Dir: b.Dir, Channel: c.name, Side: side, Style: int(c.style), Seed: b.Seed, End: end}
			ps = append(ps, placeInTree{w.slot(), func(ctx context.Context, life int) (*process.Process, error) {
				w.Life = life
				return worker.Start(ctx, w, process.KeepEnds(), process.Name(w.id()))
			}})
		}
	}
	return ps
}

// supervise keeps every place filled until ctx ends; then it kills who is left. lives are how many each place has had.
func supervise(ctx context.Context, b treeBrief, all []placeInTree) (lives map[string]int) {
	lives = map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range all {
		wg.Go(func() {
			life := 1
			for ; ctx.Err() == nil; life++ {
				if err := fill(ctx, p, life); err != nil && ctx.Err() == nil {
					tell("error %s: %v", processID(p.slot, life), err)
					break
				}
			}
			mu.Lock()
			lives[p.slot] = life
			mu.Unlock()
		})
	}
	wg.Wait()
	return lives
}

// fill starts a process in a place and waits for its end: it retires, or is killed.
func fill(ctx context.Context, p placeInTree, life int) error {
	child, err := p.start(ctx, life)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { child.Kill() })()
	err = child.Wait(context.Background())
	code, _ := child.ExitCode()
	tell("ended %s %d", processID(p.slot, life), code)
	var exit *process.ExitError
	if errors.As(err, &exit) && exit.Code == -int(syscall.SIGKILL) && exit.Err == nil {
		return nil
	}
	return err
}

// root is the program of a tree. It runs until a line comes on its standard input: then it ends the others, drains its
// channels, sees whether everything came back, and leaves. If its standard input ends instead, it just leaves.
func root(ctx context.Context) error {
	var b treeBrief
	if err := json.Unmarshal([]byte(os.Getenv(roleVariable)), &b); err != nil {
		return err
	}
	os.Unsetenv(roleVariable)
	private, err := shm.Private()
	if err != nil {
		return err
	}
	defer private.Close()
	named, err := shm.OpenSpace(fmt.Sprintf("storm-%d", b.Tree), shm.Create())
	if err != nil {
		return err
	}
	defer named.Close()
	channels, err := makeChannels(b, private, named)
	if err != nil {
		return err
	}
	j, err := newJournal(b.Dir, "root")
	if err != nil {
		return err
	}
	j.doing.Store(uint32(supervising))
	tell("begun root %d", os.Getpid())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	asked := make(chan bool, 1)
	go func() {
		_, err := bufio.NewReader(os.Stdin).ReadString('\n')
		asked <- err == nil
		stop()
	}()
	all := append(places(b, channels), placeInTree{"b", func(ctx context.Context, life int) (*process.Process, error) {
		return branch.Start(ctx, branchArgs{b, "b", life}, process.Name(processID("b", life)))
	}})
	lives := supervise(ctx, b, all)
	<-ctx.Done() // also if every place was given up
	if !<-asked {
		return nil
	}
	j.doing.Store(uint32(draining))
	for _, c := range channels {
		if err := drain(b, c, lives[c.name+"c"]); err != nil {
			tell("error drain %s: %v", c.name, err)
		}
	}
	for _, sp := range []*shm.Space{private, named} {
		if err := whole(sp); err != nil {
			tell("error after the drain: %v: %v", sp, err)
		}
	}
	tell("whole")
	return nil
}

// makeChannels makes the channels of a root: one of each style, the first two in the named Space, the others in the private one.
func makeChannels(b treeBrief, private, named *shm.Space) (all []*channel, err error) {
	r := rand.New(rand.NewPCG(b.Seed, 0))
	nonces := map[*shm.Space]uint64{}
	first := r.IntN(int(styles))
	for i := range int(styles) {
		sp := private
		if i < 2 {
			sp = named
		}
		c, err := newChannel(fmt.Sprint(i), style((first+i)%int(styles)), sp, r)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		nonces[sp] = c.tx.handle().Nonce
	}
	tell("space p.%016x %016x", nonces[private], nonces[private])
	tell("space n.%s %016x", named.Name(), nonces[named])
	return all, nil
}

// drain receives what is left in a channel whose producers are all dead, and closes it.
func drain(b treeBrief, c *channel, life int) error {
	w := work{Tree: b.Tree, Dir: b.Dir, Channel: c.name, Side: "c", Life: life, Style: int(c.style), End: c.rx}
	for more := false; ; {
		j, err := newJournal(w.Dir, w.id())
		if err != nil {
			return err
		}
		for more = true; more; {
			if more, err = receive(context.Background(), j, w, nil, false); err != nil {
				break
			}
		}
		if errors.Is(err, pipe.ErrEmpty) {
			tell("drained %s", c.name)
			return c.close()
		}
		if err != nil {
			return err
		}
		w.Life++ // the journal is full
	}
}

// whole checks a Space in which nothing is open, and nobody but this process is left: once the orphans of a branch have
// noticed that they are.
func whole(sp *shm.Space) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // who leaves does so without an event
		if _, err := sp.Settle(); err != nil {
			return err
		}
		st, err := sp.Stats()
		if err != nil {
			return err
		}
		if len(st.Members) > 1 && time.Now().Before(deadline) {
			continue
		}
		bad := []error{sp.Check()}
		if st.Used != 0 || st.Objects != 0 || len(st.Members) != 1 {
			bad = append(bad, fmt.Errorf("%d bytes in use, %d objects, members %+v; want nothing but ourselves", st.Used, st.Objects, st.Members))
		}
		return errors.Join(bad...)
	}
}
