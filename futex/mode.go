package futex

import (
	"fmt"

	"github.com/tandem-ipc/tandem/internal/policy"
)

// A Mode says what a waiter does before it sleeps.
type Mode int

const (
	Auto  Mode = iota // poll as long as it is worth it on this machine, then sleep
	Block             // sleep at once
	Spin              // never sleep: burns a processor; for pinned pairs, and to measure
)

func (m Mode) String() string {
	switch m {
	case Auto:
		return "auto"
	case Block:
		return "block"
	case Spin:
		return "spin"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}

// ParseMode reads what String prints.
func ParseMode(s string) (Mode, error) {
	for _, m := range []Mode{Auto, Block, Spin} {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("futex: waiting mode %q: want auto, block or spin", s)
}

// DefaultMode is Auto, unless TANDEM_WAIT says otherwise.
func DefaultMode() Mode {
	m, err := ParseMode(policy.Current().Wait.Value)
	if err != nil {
		panic("futex: the policy says: " + err.Error()) // it takes no other word
	}
	return m
}
