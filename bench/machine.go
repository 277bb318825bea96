package main

import (
	"fmt"
	"strings"
)

// Machine is what the figures were taken on.
type Machine struct {
	CPU       string  // model
	Virtual   string  // hypervisor, "no", or "unknown"
	CPUs      []int   // this process may run on
	Quota     float64 // of CPUs, by cgroup; 0 is none
	Caches    string
	Kernel    string
	Go        string
	Compiler  string
	Python    string
	Pair      []int  // the CPUs of a row on two
	PairPlace string // how those two lie to each other
}

// Usable is how many CPUs this process can keep busy: affinity ∩ quota.
func (m *Machine) Usable() int {
	n := len(m.CPUs)
	if m.Quota > 0 {
		n = min(n, max(int(m.Quota), 1))
	}
	return n
}

func (m *Machine) lines() []string {
	quota := "no quota"
	if m.Quota > 0 {
		quota = fmt.Sprintf("quota %.2g CPUs", m.Quota)
	}
	lines := []string{
		fmt.Sprintf("machine    %s, %d usable (affinity %d, %s), virtual: %s", m.CPU, m.Usable(), len(m.CPUs), quota, m.Virtual),
		fmt.Sprintf("caches     %s", m.Caches),
		fmt.Sprintf("software   %s, %s, C: %s, Python: %s", m.Kernel, m.Go, m.Compiler, m.Python),
	}
	if len(m.CPUs) > 0 {
		lines = append(lines, fmt.Sprintf("placement  1 core: both on cpu%d; 2 cores: %s", m.CPUs[0], m.PairPlace))
	}
	return lines
}

// short is the machine in a few words, for one line of JSON.
func (m *Machine) short() string {
	return strings.Join([]string{m.CPU, fmt.Sprintf("%d usable", m.Usable()), "virtual: " + m.Virtual, m.Kernel, m.Go}, ", ")
}

// cpusFor are the CPUs of a row's processes, A's first and B's last; nil when there are not enough.
func (m *Machine) cpusFor(cores int) []int {
	switch {
	case cores > m.Usable():
		return nil
	case cores == 1:
		return m.CPUs[:1]
	case cores == 2:
		return m.Pair
	}
	return m.CPUs[:cores]
}

// placement says where a row ran.
func (m *Machine) placement(row *Row) string {
	switch {
	case row.Cores == 1:
		return fmt.Sprintf("cpu%d", m.CPUs[0])
	case row.Cores == 2 && row.Free:
		return "free within " + m.PairPlace
	case row.Cores == 2:
		return m.PairPlace
	}
	return fmt.Sprintf("%d CPUs", row.Cores)
}
