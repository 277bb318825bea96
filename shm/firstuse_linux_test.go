package shm

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/tandem-ipc/tandem/internal/roles"
)

func init() {
	// opener says what opening a Space says.
	parts["opener"] = func(p *roles.Peer, args []string) {
		_, err := OpenSpace("opened")
		p.Say("%v, invalid: %v", err, errors.Is(err, fs.ErrInvalid))
	}
}

func TestAVariableThatSaysWhatIsNotAllowedIsAnError(t *testing.T) {
	for variable, c := range map[string]struct{ value, want string }{
		EnvTracker:       {"perhaps", "want on, off"},
		EnvSweep:         {"no", "want on, off"},
		EnvHugePages:     {"1", "want on, off"},
		EnvPrefault:      {"yes", "want on, off"},
		"TANDEM_DISABLE": {"waitv,sleep", `"sleep" is no feature, want some of [poller waitv `},
	} {
		p := roles.StartAs(t, []string{variable + "=" + c.value}, nil, "opener")
		got := p.Hear()
		p.Wait()
		if want := `shm: open space "opened": ` + variable + "=" + c.value + ": " + c.want; !strings.HasPrefix(got, want) ||
			!strings.HasSuffix(got, "invalid: true") {
			t.Errorf("%q, want %q", got, want)
		}
		for _, value := range []string{"", "on", "off"} {
			if variable != "TANDEM_DISABLE" {
				t.Setenv(variable, value)
				if err := CheckEnvironment(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
