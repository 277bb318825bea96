package scribble

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/tandem-ipc/tandem/attack/internal/scratch"
	"github.com/tandem-ipc/tandem/attack/storm"
	"github.com/tandem-ipc/tandem/shm"
)

// Truncation. Who may write a file may shorten it, and the kernel kills who touches what is gone (SIGBUS): no library can
// make an error of that. What is promised, and attacked here: such a process dies of nothing else and does not hang; the
// users of other Spaces notice nothing; what was shortened cannot be opened; and it is cleaned up like anything else.

// shorten is a round in which the file of a Space loses its end under its users, beside users of another Space.
func shorten(ctx context.Context, s *storm.Storm, n int, t *tally) (verdict string, err error) {
	r := storm.Choices(s.Seed, n, "truncate")
	dir, err := scratch.New("/dev/shm", dirPrefix)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	var users []*proc
	defer func() {
		for _, p := range users {
			p.end()
		}
	}()
	for i := range 4 {
		b := userBrief{Space: []string{"shortened", "beside"}[i/2], Side: i % 2, Seed: r.Uint64(), Strict: i >= 2}
		p, err := ready(dir, fmt.Sprint(i), b)
		if p != nil {
			users = append(users, p)
		}
		if err != nil {
			return "", err
		}
	}
	for _, p := range users {
		io.WriteString(p.in, "go\n")
	}
	span, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	early, cut := context.WithTimeout(span, time.Duration(r.Int64N(int64(roundTime/2))))
	defer cut()
	<-early.Done()
	roots, err := filepath.Glob(filepath.Join(dir, "tandem.*.n.shortened"))
	if err != nil || len(roots) != 1 {
		return "", fmt.Errorf("no root to shorten: %v", err)
	}
	root := roots[0]
	info, err := os.Stat(root)
	if err != nil {
		return "", err
	}
	size := []int64{0, 1000, 4096, r.Int64N(info.Size())}[r.IntN(4)]
	if err := os.Truncate(root, size); err != nil {
		return "", err
	}
	what := fmt.Sprintf("%s was cut to %d bytes", filepath.Base(root), size)
	t.wrote(1)
	<-span.Done()
	for i, p := range users {
		io.WriteString(p.in, "stop\n") // one that is dead does not hear it
		verdict, err := p.outcome(t)
		if i < 2 && bus.MatchString(p.printed()) {
			continue
		}
		if verdict != "" || err != nil {
			return fmt.Sprintf("user %d: %s; %s", i, verdict, what), err
		}
	}
	for _, p := range users { // and their children
		p.end()
	}
	users = nil
	if err := os.Setenv(shm.EnvDir, dir); err != nil {
		return "", err
	}
	defer os.Unsetenv(shm.EnvDir)
	_, name, _ := strings.Cut(filepath.Base(root), ".n.")
	if sp, err := shm.OpenSpace(name, shm.Attach()); err == nil {
		return fmt.Sprintf("%v was opened; %s", sp, what), sp.Close()
	}
	if _, err := shm.Sweep(); err != nil {
		return fmt.Sprintf("sweep: %v; %s", err, what), nil
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "tandem.*")); len(left) > 0 {
		return fmt.Sprintf("leaked: %v; %s", left, what), nil
	}
	return "", nil
}

var bus = regexp.MustCompile(`SIGBUS`)
