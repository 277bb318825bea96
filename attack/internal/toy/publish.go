//go:build unix

package toy

import (
	"errors"
	"fmt"

	"github.com/tandem-ipc/tandem/attack/sweep"
)

// The two-word protocol: data, then the flag that says it is there.
const (
	wordData = 0
	wordFlag = 1
)

// publish is right.
func publish(r *Region, _ *sweep.VictimEnv) error {
	r.Words[wordData].Store(42)
	r.Words[wordFlag].Store(1)
	return nil
}

// publishWrong is wrong after its first store, and nowhere else.
func publishWrong(r *Region, _ *sweep.VictimEnv) error {
	r.Words[wordFlag].Store(1)
	r.Words[wordData].Store(42)
	return nil
}

// published is the oracle of both.
func published(r *Region, s *sweep.SurvivorEnv) error {
	flag, data := r.Words[wordFlag].Load(), r.Words[wordData].Load()
	switch {
	case flag == 1 && data != 42:
		return fmt.Errorf("flag is set but data is %d", data)
	case s.Journal.Returned() && flag != 1:
		return errors.New("returned, but the flag is not set")
	}
	return nil
}

// publishNoisily does much between its stores that nobody outside can see, and prints.
func publishNoisily(r *Region, _ *sweep.VictimEnv) error {
	r.Words[wordData].Store(42)
	m := make(map[string][]byte)
	for i := range 50 {
		m[fmt.Sprint("key", i)] = make([]byte, 100*i)
	}
	sum := 0
	for _, b := range m {
		sum += len(b)
	}
	fmt.Println("noise", sum)
	r.Words[wordFlag].Store(1)
	return nil
}

func publishers() []sweep.Op {
	op := func(name string, f func(*Region, *sweep.VictimEnv) error) sweep.Op {
		return sweep.Op{
			Name: name, World: world, After: after,
			Victim: on(f), Others: with(published), Recover: with(published),
		}
	}
	apart := op("toy/apart", publish)
	apart.Apart = true
	return []sweep.Op{
		op("toy/right", publish),
		op("toy/wrong", publishWrong),
		op("toy/noise", publishNoisily),
		apart,
	}
}
