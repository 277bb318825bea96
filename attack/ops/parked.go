package ops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/tandem-ipc/tandem/attack/sweep"
	"github.com/tandem-ipc/tandem/pipe"
)

// Sends that have to ring for a goroutine of another process, which is parked: a helper, the dozer, receives all the time and
// notes what it got. Its poller runs.

func parkedOps() []sweep.Op {
	return []sweep.Op{{
		Name:    "conn/send-parked",
		World:   connWorld(0, little, "dozer"),
		Helpers: parkedHelpers(),
		Victim: func(v *sweep.VictimEnv) (func() error, error) {
			a, err := openEnd(v.Env, 0)
			v.Defer(exit)
			return func() error { return a.Send(context.Background(), message(1, little)) }, err
		},
		Others: func(s *sweep.SurvivorEnv) error {
			o, err := openTally(s.Env)
			if err != nil {
				return err
			}
			return errors.Join(settleBeside(s, o), o.Close(), connBeside(s))
		},
		Recover: dozerGetsAll,
		After:   tidyConn,
	}}
}

func parkedHelpers() map[string]func(*sweep.HelperEnv) error {
	all := map[string]func(*sweep.HelperEnv) error{"dozer": doze}
	for name, f := range connHelpers {
		all[name] = f
	}
	return all
}

// logAt is where the dozer's log lies in the tally, behind what others put there: a count, then the messages' numbers.
const logAt = 400

// directWaiters is how many goroutines of a process sleep on a thread of their own; the next one parks.
const directWaiters = 4

func doze(h *sweep.HelperEnv) error {
	os.Unsetenv("TANDEM_DISABLE") // which it has from World
	b, err := openAwake(h.Env, 1)
	if err != nil {
		return err
	}
	o, err := openTally(h.Env)
	if err != nil {
		return err
	}
	sp, err := attach()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	for range directWaiters {
		_, other, err := pipe.New[[]byte](pipe.In(sp), pipe.Capacity(capacity))
		if err != nil {
			return err
		}
		go func() {
			_, err := other.Recv(context.Background())
			ended <- err
		}()
	}
	if err := await(func() bool { return asleep("block(") == directWaiters }, "the others sleep"); err != nil {
		return err
	}
	go func() {
		for {
			m, err := b.Receive(context.Background())
			if err != nil {
				ended <- err
				return
			}
			n, err := numberOf(m.Data)
			if err == nil {
				o.Data[logAt+1+int(o.Data[logAt])] = byte(n)
				o.Data[logAt]++
				err = b.Ack()
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := await(func() bool { return asleep("park(") == 1 }, "the dozer is parked"); err != nil {
		return err
	}
	h.Ready()
	return <-ended
}

// openAwake opens an end in a process that has a poller.
func openAwake(env sweep.Env, end int) (*conn, error) {
	n, err := read(env)
	if err != nil {
		return nil, err
	}
	h, err := handle(n, end)
	if err != nil {
		return nil, err
	}
	return pipe.Open[[]byte](h)
}

// asleep counts the goroutines of this process in that method of a Waiter.
func asleep(method string) int {
	var stacks bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
		return 0
	}
	return bytes.Count(stacks.Bytes(), []byte("futex.(*Waiter)."+method))
}

// await waits for what another goroutine or process does without telling.
func await(done func() bool, what string) error {
	for end := time.Now().Add(hang); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("not yet: %s", what)
		}
	}
	return nil
}

// dozerGetsAll: the dozer gets what a successor sends, and before that what the victim has committed.
func dozerGetsAll(s *sweep.SurvivorEnv) error {
	a, err := openEnd(s.Env, 0)
	if err != nil {
		return err
	}
	o, err := openTally(s.Env)
	if err != nil {
		return err
	}
	if err := a.TrySend(message(final, little)); err != nil {
		return fmt.Errorf("the successor: %w", err)
	}
	log := func() []byte { return o.Data[logAt+1:][:o.Data[logAt]] }
	if err := await(func() bool { return bytes.Contains(log(), []byte{final}) }, "the dozer gets the successor's message"); err != nil {
		return fmt.Errorf("%w: %v", err, log())
	}
	got := log()
	if !bytes.Equal(got, []byte{1, final}) && (s.Journal.Returned() || !bytes.Equal(got, []byte{final})) {
		return fmt.Errorf("the dozer got %v (returned: %v)", got, s.Journal.Returned())
	}
	more, err := undisturbed(o)
	return afterConn(s, more, errors.Join(err, a.Close(), o.Close()))
}
