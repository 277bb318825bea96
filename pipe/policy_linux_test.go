package pipe_test

import (
	"strings"
	"testing"

	"github.com/tandem-ipc/tandem/internal/policy"
	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/ring"
	"github.com/tandem-ipc/tandem/shm"
)

func init() {
	// "uses" makes one thing of each kind, and tells how that went.
	parts["uses"] = func(p *roles.Peer, args []string) {
		_, err := ring.New(make([]byte, ring.Size(4096)), 4096)
		p.Say("%v", err)
		_, err = shm.OpenSpace("policy")
		p.Say("%v", err)
		a, _, err := pipe.New[[1016]byte]() // 1 KiB in the ring
		p.Say("%v", err)
		sent := 0
		for ; err == nil && a.TrySend([1016]byte{}) == nil; sent++ {
		}
		p.Must(shm.Exit())
		p.Say("sent %d KiB", sent)
	}
}

func TestABadVariableIsAnErrorOfTheFirstThingMade(t *testing.T) {
	p := roles.StartAs(t, []string{policy.EnvSpin + "=fast", policy.EnvRing + "=1"}, nil, "uses")
	for _, op := range []string{"ring: ", "shm: open space \"policy\": ", "pipe: new connection: shm: private space: "} {
		got := p.Hear()
		if !strings.HasPrefix(got, op+"TANDEM_SPIN=fast: want auto, off, a duration") || !strings.Contains(got, "TANDEM_RING=1: want auto, a power of two") {
			t.Errorf("%s", got)
		}
	}
	p.Hear()
}

func TestTheEnvironmentSizesTheRings(t *testing.T) {
	p := roles.StartAs(t, []string{policy.EnvRing + "=131072"}, nil, "uses")
	for range 3 {
		if got := p.Hear(); got != "<nil>" {
			t.Fatal(got)
		}
	}
	if got := p.Hear(); got != "sent 127 KiB" { // the next header needs a place
		t.Fatal(got)
	}
}
