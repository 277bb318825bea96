package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPolicyByMachine(t *testing.T) {
	const us = time.Microsecond
	amd := Machine{Amd64: true, ERMS: true, CLib: true, L1: 48 << 10, L2: 2 << 20, L3: 32 << 20, Wake: 20 * us, Threads: 1}
	with := func(change func(*Machine)) Machine {
		m := amd
		change(&m)
		return m
	}
	cores := func(n, threads int) Machine {
		return with(func(m *Machine) { m.Cores, m.Affinity, m.Threads = n, n, threads })
	}
	for _, c := range []struct {
		name     string
		machine  Machine
		spin     time.Duration
		spinners int
		copies   Method
	}{
		{"nothing known", Machine{}, 0, 0, CopyGo},
		{"1 core", cores(1, 1), 0, 0, CopyC},
		{"2 cores", cores(2, 1), 50 * us, 2, CopyC},
		{"2 threads of a core", cores(2, 2), 50 * us, 2, CopyC},
		{"4 cores", cores(4, 1), 50 * us, 4, CopyC},
		{"4 threads of 2 cores", cores(4, 2), 50 * us, 4, CopyC},
		{"16 cores", cores(16, 1), 50 * us, 16, CopyC},
		{"16 threads of 8 cores", cores(16, 2), 50 * us, 16, CopyC},
		{"64 cores", cores(64, 1), 50 * us, 64, CopyC},
		{"64 threads of 32 cores", cores(64, 2), 50 * us, 64, CopyC},
		{"256 cores", cores(256, 1), 50 * us, 256, CopyC},
		{"256 threads of 128 cores", cores(256, 2), 50 * us, 256, CopyC},
		{"quota of 1 on 64 cores", with(func(m *Machine) { m.Cores, m.Affinity, m.Quota = 1, 64, 1 }), 0, 0, CopyC},
		{"quota of 1.5 on 64 cores", with(func(m *Machine) { m.Cores, m.Affinity, m.Quota = 2, 64, 1.5 }), 50 * us, 2, CopyC},
		{"caches unknown", with(func(m *Machine) { m.Cores, m.L1, m.L2, m.L3 = 4, 0, 0, 0 }), 50 * us, 4, CopyC},
		{"threads unknown", cores(8, 0), 50 * us, 8, CopyC},
		{"wake-up not measured yet", with(func(m *Machine) { m.Cores, m.Wake = 4, 0 }), 25 * us, 4, CopyC},
		{"wake-up too short to be true", with(func(m *Machine) { m.Cores, m.Wake = 4, 1 }), 2500 * time.Nanosecond, 4, CopyC},
		{"wake-up measured while the machine was busy", with(func(m *Machine) { m.Cores, m.Wake = 4, time.Second }), 125 * us, 4, CopyC},
		{"no fast string copies", with(func(m *Machine) { m.Cores, m.ERMS = 4, false }), 50 * us, 4, CopyC},
		{"no fast string copies, no C", with(func(m *Machine) { m.Cores, m.ERMS, m.CLib = 4, false, false }), 50 * us, 4, CopyGo},
		{"no C", with(func(m *Machine) { m.Cores, m.CLib = 4, false }), 50 * us, 4, CopyMovsb},
		{"arm64", Machine{Cores: 4, CLib: true, Wake: 4 * us}, 10 * us, 4, CopyC},
		{"arm64 without C", Machine{Cores: 4, Wake: 4 * us}, 10 * us, 4, CopyGo},
	} {
		p := For(c.machine)
		if p.Spin.Value != c.spin || p.Spinners.Value != c.spinners || p.Copy.Value != c.copies {
			t.Errorf("%s: spin %v, %d spinners, copy by %s; want %v, %d, %s", c.name, p.Spin.Value, p.Spinners.Value, p.Copy.Value,
				c.spin, c.spinners, c.copies)
		}
		if p.Wait.Value != "auto" || p.Ring.Value != 256<<10 || p.Publish.Value != 8 {
			t.Errorf("%s: wait %s, ring of %d, published every 1/%d", c.name, p.Wait.Value, p.Ring.Value, p.Publish.Value)
		}
		if !slices.Contains(c.machine.Methods(), p.Copy.Value) {
			t.Errorf("%s: it has no %s", c.name, p.Copy.Value)
		}
		for _, s := range p.Settings() {
			if s.Source != Computed {
				t.Errorf("%s: %s comes from %s", c.name, s.Variable, s.Source)
			}
		}
	}
}

func TestRingsByCacheAndSpace(t *testing.T) {
	for _, c := range []struct {
		l2    int
		limit int64
		want  int
	}{
		{0, 8 << 30, 256 << 10},
		{128 << 10, 8 << 30, 64 << 10},
		{512 << 10, 8 << 30, 128 << 10},
		{768 << 10, 8 << 30, 128 << 10},
		{2 << 20, 8 << 30, 256 << 10},
		{64 << 20, 8 << 30, 256 << 10},
		{2 << 20, 128 << 20, 256 << 10},
		{2 << 20, 100 << 20, 128 << 10},
		{2 << 20, 32 << 20, 64 << 10},
		{2 << 20, 1 << 20, 4 << 10},
	} {
		p := For(Machine{L2: c.l2})
		if got := p.RingIn(c.limit); got != c.want {
			t.Errorf("L2 of %d, Space of %d: a ring of %d, want %d", c.l2, c.limit, got, c.want)
		}
	}
	asked := mustOverride(t, For(Machine{}), only(EnvRing, "1048576"))
	if got := asked.RingIn(1 << 20); got != 1<<20 {
		t.Errorf("asked for 1 MiB: a ring of %d", got)
	}
}

func TestTheEnvironmentOverridesEachPart(t *testing.T) {
	m := Machine{Cores: 4, Amd64: true}
	for _, c := range []struct{ variable, text, want string }{
		{EnvWait, "block", "block"}, {EnvWait, "spin", "spin"},
		{EnvSpin, "7us", "7µs"}, {EnvSpin, "off", "0s"}, {EnvSpin, "1s", "1s"},
		{EnvSpinners, "0", "0"}, {EnvSpinners, "3", "3"},
		{EnvRing, "4096", "4096"}, {EnvRing, "1048576", "1048576"},
		{EnvPublish, "2", "2"}, {EnvPublish, "64", "64"},
		{EnvCopy, "go", "go"}, {EnvCopy, "movsb", "movsb"},
	} {
		p, err := Override(For(m), only(c.variable, c.text))
		if err != nil {
			t.Errorf("%s=%s: %v", c.variable, c.text, err)
		}
		for _, s := range p.Settings() {
			switch want := Source(Computed); {
			case s.Variable == c.variable:
				if s.Value != c.want || s.Source != Environment {
					t.Errorf("%s=%s: %q by %s, want %q", c.variable, c.text, s.Value, s.Source, c.want)
				}
			case s.Source != want:
				t.Errorf("%s=%s: %s comes from %s", c.variable, c.text, s.Variable, s.Source)
			}
		}
	}
	for _, s := range mustOverride(t, For(m), func(string) string { return "auto" }).Settings() {
		if s.Source != Computed {
			t.Errorf("%s=auto comes from %s", s.Variable, s.Source)
		}
	}
}

func TestABadValueNamesTheVariableTheValueAndWhatIsAllowed(t *testing.T) {
	m := Machine{Cores: 4, Amd64: true}
	for _, c := range []struct{ variable, text, allowed string }{
		{EnvWait, "sleep", "auto, block, spin"},
		{EnvSpin, "20", "duration"}, {EnvSpin, "-1us", "duration"}, {EnvSpin, "2s", "up to 1s"}, {EnvSpin, "on", "off"},
		{EnvSpinners, "-1", "0 to"}, {EnvSpinners, "many", "count"},
		{EnvRing, "5000", "power of two"}, {EnvRing, "2048", "from 4096"}, {EnvRing, "2147483648", "1073741824"}, {EnvRing, "64K", "bytes"},
		{EnvPublish, "1", "from 2"}, {EnvPublish, "128", "to 64"}, {EnvPublish, "6", "power of two"},
		{EnvCopy, "c", "go, movsb"}, {EnvCopy, "memcpy", "go, movsb"},
	} {
		p, err := Override(For(m), only(c.variable, c.text))
		if err == nil || !strings.Contains(err.Error(), c.variable+"="+c.text+":") || !strings.Contains(err.Error(), c.allowed) {
			t.Errorf("%s=%s: %v, want one that says %q", c.variable, c.text, err, c.allowed)
		}
		if p != For(m) {
			t.Errorf("%s=%s changes the policy", c.variable, c.text)
		}
	}
	_, err := Override(For(m), func(string) string { return "?" })
	for _, s := range For(m).Settings() {
		if err == nil || !strings.Contains(err.Error(), s.Variable) {
			t.Errorf("all variables are bad, and the error does not name %s: %v", s.Variable, err)
		}
	}
}

func only(variable, text string) func(string) string {
	return func(v string) string {
		if v == variable {
			return text
		}
		return ""
	}
}

func mustOverride(t *testing.T, p Policy, getenv func(string) string) Policy {
	t.Helper()
	p, err := Override(p, getenv)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheCurrentPolicyFollowsTheMeasuredWakeUp(t *testing.T) {
	defer Calibrated(0, 0)
	before := Current()
	Calibrated(4*time.Microsecond, 10)
	after := Current()
	if before.Machine.Wake != 0 || after.Machine.Wake != 4*time.Microsecond || after.Machine.Poll != 10 {
		t.Fatalf("wake-up %v, then %v", before.Machine.Wake, after.Machine.Wake)
	}
	if want := For(after.Machine).Spin; after.Spin != want {
		t.Fatalf("spin %v, want %v", after.Spin, want)
	}
}
