package storm

import (
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"
)

// Choices makes choices: all come from the seed, the round, and the name of what they are about, in whatever order things
// happen.
func Choices(seed uint64, round int, about string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(about))
	return rand.New(rand.NewPCG(seed, h.Sum64()^uint64(round)*0x9e3779b97f4a7c15))
}

// ending is what becomes of a tree.
type ending int

const (
	drained  ending = iota // asked to leave: all that was sent must be there
	at1blow                // all its processes are killed at once
	onebyone               // in random order
	headless               // only the root is killed; the others have to notice
)

func (e ending) String() string {
	return [...]string{"drained", "killed at one blow", "killed one by one", "its root killed"}[e]
}

// plan is the fate of a tree.
type plan struct {
	kills   int // of single processes, before the end
	ending  ending
	tracker tracking
}

// tracking is what becomes of a tree's tracker.
type tracking int

const (
	tracked   tracking = iota // it is left alone: it has to clean up
	untracked                 // it is killed just before the tree is
	neglected                 // it is killed while the tree works
)

func planOf(seed uint64, round int) plan {
	r := Choices(seed, round, "tree")
	p := plan{kills: 20 + r.IntN(200)}
	if r.IntN(3) > 0 {
		p.ending = ending(1 + r.IntN(3))
	}
	if r.IntN(2) == 1 {
		p.tracker = tracking(1 + r.IntN(2))
	}
	return p
}

// fate is what the controller does to a process after it has begun its work.
type fate struct {
	life time.Duration
	stop time.Duration // then it is stopped for so long; 0: not
	goOn time.Duration // then it continues for so long; 0: it is killed while it is stopped
}

func fateOf(seed uint64, round int, id string) fate {
	r := Choices(seed, round, id)
	up := func(to time.Duration) time.Duration { return 1 + time.Duration(r.Int64N(int64(to))) }
	var f fate
	switch k := r.IntN(20); {
	case k < 12:
		f.life = up(4 * time.Millisecond)
	case k < 19:
		f.life = up(40 * time.Millisecond)
	default:
		f.life = up(400 * time.Millisecond)
	}
	if strings.HasPrefix(id, "b#") && !strings.Contains(id, ".") {
		f.life *= 5 // it has a tree of its own to start
	}
	if r.IntN(10) == 0 {
		f.stop = up(30 * time.Millisecond)
		if r.IntN(2) == 0 {
			f.goOn = up(10 * time.Millisecond)
		}
	}
	return f
}
