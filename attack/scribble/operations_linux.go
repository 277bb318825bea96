package scribble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"

	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/process"
	"github.com/tandem-ipc/tandem/shm"
)

// op is a public operation, or a few that belong together.
type op struct {
	name   string
	weight int
	run    func(ctx context.Context, u *user, r *rand.Rand) error
}

var operations = []op{
	{"space/stats", 4, func(_ context.Context, u *user, _ *rand.Rand) error { _, err := u.sp.Stats(); return err }},
	{"space/members", 4, func(_ context.Context, u *user, _ *rand.Rand) error { _, err := u.sp.Members(); return err }},
	{"space/names", 4, func(_ context.Context, u *user, _ *rand.Rand) error { _, err := u.sp.Names(); return err }},
	{"space/settle", 4, func(_ context.Context, u *user, _ *rand.Rand) error { _, err := u.sp.Settle(); return err }},
	{"space/check", 4, func(_ context.Context, u *user, _ *rand.Rand) error {
		_ = u.sp.Check() // beside others at work it may report what is passing
		return nil
	}},
	{"space/bind", 6, func(_ context.Context, u *user, r *rand.Rand) error {
		name := fmt.Sprintf("name-%d-%d", u.Side, r.IntN(100))
		err := u.sp.Bind(name, u.ends().ticks.Handle())
		if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrInvalid) {
			err = nil
		}
		return ignore(errors.Join(err, ignore(u.sp.Unbind(name), fs.ErrNotExist)), shm.ErrGone)
	}},
	{"space/lookup", 6, func(_ context.Context, u *user, r *rand.Rand) error {
		_, err := u.sp.Lookup(fmt.Sprintf("name-%d-%d", r.IntN(2), r.IntN(100)))
		return ignore(err, fs.ErrNotExist)
	}},
	{"space/on-death", 2, func(_ context.Context, u *user, _ *rand.Rand) error {
		stop, err := u.sp.OnDeath(func(*shm.MemberDied) {})
		if err == nil {
			stop()
		}
		return err
	}},
	{"space/open", 4, func(_ context.Context, u *user, _ *rand.Rand) error {
		sp, err := shm.OpenSpace(u.Space, shm.Attach())
		if err != nil {
			return err
		}
		return sp.Close()
	}},
	{"space/again", 2, func(_ context.Context, u *user, _ *rand.Rand) error {
		u.mu.Lock()
		defer u.mu.Unlock()
		err := u.second.Close()
		sp, oerr := shm.OpenSpace(fmt.Sprintf("%s-%d", u.Space, u.Side))
		if oerr == nil {
			u.second = sp
		}
		return errors.Join(err, oerr)
	}},
	{"space/unlink", 1, func(_ context.Context, u *user, _ *rand.Rand) error {
		u.mu.Lock()
		defer u.mu.Unlock()
		return ignore(u.second.Unlink(), shm.ErrClosed)
	}},
	{"sweep", 2, func(context.Context, *user, *rand.Rand) error { _, err := shm.Sweep(); return err }},
	{"inspect", 2, func(context.Context, *user, *rand.Rand) error { _, err := shm.Inspect(); return err }},
	{"conn/new", 8, newAndUse},
	{"conn/again", 2, func(_ context.Context, u *user, _ *rand.Rand) error {
		u.mu.Lock()
		defer u.mu.Unlock()
		var err error
		for _, c := range []interface{ Close() error }{u.end.ticks, u.end.texts} {
			err = errors.Join(err, c.Close())
		}
		e, oerr := u.open()
		if e.ticks == nil {
			e.ticks = new(pipe.Conn[tick])
		}
		if e.texts == nil {
			e.texts = new(pipe.Conn[[]byte])
		}
		u.end = e
		// The other one may have been the last to hold it, and may have let go.
		return ignore(ignore(errors.Join(err, oerr), shm.ErrGone), fs.ErrNotExist)
	}},
	{"ticks/send", 10, func(ctx context.Context, u *user, r *rand.Rand) error {
		return peer(u.ends().ticks.Send(ctx, tick{Seq: r.Uint64()}))
	}},
	{"ticks/try", 10, func(_ context.Context, u *user, r *rand.Rand) error {
		e := u.ends()
		_, err := e.ticks.TryRecv()
		return peer(errors.Join(err, e.ticks.TrySend(tick{Seq: r.Uint64()})))
	}},
	{"ticks/recv", 10, func(ctx context.Context, u *user, _ *rand.Rand) error {
		_, err := u.ends().ticks.Recv(ctx)
		return peer(err)
	}},
	{"ticks/many", 10, func(ctx context.Context, u *user, r *rand.Rand) error {
		all := make([]tick, 1+r.IntN(60))
		e := u.ends()
		_, err := e.ticks.SendMany(ctx, all)
		_, rerr := e.ticks.RecvMany(ctx, all)
		return peer(errors.Join(err, rerr))
	}},
	{"texts/send", 10, func(ctx context.Context, u *user, r *rand.Rand) error { return peer(u.ends().texts.Send(ctx, text(r))) }},
	{"texts/recv", 10, func(ctx context.Context, u *user, _ *rand.Rand) error {
		_, err := u.ends().texts.Recv(ctx)
		return peer(err)
	}},
	{"texts/receive", 10, func(ctx context.Context, u *user, _ *rand.Rand) error {
		e := u.ends()
		m, err := e.texts.Receive(ctx)
		if err != nil {
			return peer(err)
		}
		m.CopyTo(make([]byte, 64<<10))
		return e.texts.Ack()
	}},
	{"texts/reserve", 10, func(ctx context.Context, u *user, r *rand.Rand) error {
		e := u.ends()
		mem, err := e.texts.Reserve(ctx, len(text(r)))
		if err != nil {
			return peer(err)
		}
		clear(mem)
		if r.IntN(4) == 0 {
			return e.texts.Abort()
		}
		return e.texts.Commit(len(mem))
	}},
	{"process", 1, child},
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// peer leaves out how the other user may have ended a connection.
func peer(err error) error {
	return ignore(ignore(err, pipe.ErrPeerClosed), io.EOF)
}

// text is a message: small, too large for the ring, or large.
func text(r *rand.Rand) []byte { return make([]byte, []int{0, 40, 3000, 6000, 60_000}[r.IntN(5)]) }

// newAndUse makes a connection, uses both ends, opens one by its Handle, and closes them.
func newAndUse(ctx context.Context, u *user, r *rand.Rand) error {
	a, b, err := pipe.New[[]byte](pipe.In(u.sp), pipe.Capacity(4096<<r.IntN(4)))
	if err != nil {
		return err
	}
	c, err := pipe.Open[[]byte](b.Handle())
	for range 3 {
		if err != nil {
			break
		}
		if err = a.Send(ctx, text(r)); err == nil {
			_, err = c.Recv(ctx)
		}
	}
	return errors.Join(err, a.Close(), b.Close())
}

// child starts a process in the private Space, and hears from it. What is damaged may keep it from ever saying anything.
func child(ctx context.Context, u *user, r *rand.Rand) error {
	a, b, err := pipe.New[tick]()
	if err != nil {
		return err
	}
	defer a.Close()
	defer b.Close()
	seq := r.Uint64()
	task, err := echo.Start(ctx, b, process.KeepEnds())
	if err != nil {
		return err
	}
	serr := a.Send(ctx, tick{Seq: seq})
	if serr != nil {
		_ = task.Kill() // it has nothing to wait for
	}
	limit := 10 * opTime
	if u.Strict {
		limit = hang / 2
	}
	patient, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	got, err := task.Wait(patient)
	if errors.Is(err, context.DeadlineExceeded) {
		_ = task.Kill()
		got, err = task.Wait(context.Background())
	}
	if err == nil && serr == nil && got != seq && u.Strict {
		violation("the child has received %d, not %d", got, seq)
	}
	if serr != nil {
		return serr
	}
	return err
}
