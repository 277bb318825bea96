package environment

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/feature"
)

// makeEnvironment takes the steps, each a name and an argument, and executes this binary again: what it has found out
// about the system until then counts no more, and what was set for one thread is so for all.
func makeEnvironment(list string) error {
	runtime.LockOSThread()
	self, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0) // there may be no /proc soon
	if err != nil {
		return err
	}
	for step := range strings.SplitSeq(list, ";") {
		name, arg, _ := strings.Cut(step, " ")
		if name == "" {
			continue
		}
		if err := steps[name](arg); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	return execveat(self)
}

var steps = map[string]func(arg string) error{
	// mount puts a file system on a directory: "type directory options".
	"mount": func(arg string) error {
		f := strings.SplitN(arg, " ", 3)
		return unix.Mount(f[0], f[1], f[0], 0, f[2])
	},
	"readonly": func(dir string) error {
		if dir != "/" {
			if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
				return err
			}
		}
		return unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	},
	// noshm leaves /dev with nothing in it but null.
	"noshm": func(dir string) error {
		null := filepath.Join(dir, "null")
		return errors.Join(
			unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"),
			os.WriteFile(null, nil, 0o600),
			unix.Mount("/dev/null", null, "", unix.MS_BIND, ""),
			unix.Mount(dir, "/dev", "", unix.MS_BIND|unix.MS_REC, ""))
	},
	"proc": func(string) error { return unix.Mount("proc", "/proc", "proc", 0, "") },
	"limit": func(arg string) error { // of open files
		n, err := strconv.ParseUint(arg, 10, 64)
		if err != nil {
			return err
		}
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n})
	},
	"processor": func(string) error {
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(0, &set); err != nil {
			return err
		}
		for i := 0; ; i++ {
			if set.IsSet(i) {
				set.Zero()
				set.Set(i)
				return unix.SchedSetaffinity(0, &set)
			}
		}
	},
	"group": func(procs string) error { return os.WriteFile(procs, []byte("0"), 0) },
	// pids makes the next processes of the namespace have numbers as large as there are.
	"pids": func(string) error {
		return errors.Join(os.WriteFile("/proc/sys/kernel/pid_max", []byte("4194304"), 0),
			os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte("4194000"), 0))
	},
	"refuse": refuse,
}

// call is what a feature asks of the kernel: a system call, and what its third argument has.
type call struct {
	number uint32
	code   uint16 // of the comparison with argument; 0: whatever it is
	third  uint32
}

const (
	equals = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	hasBit = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
)

var calls = map[string]call{
	string(feature.WaitV):      {number: unix.SYS_FUTEX_WAITV},
	string(feature.TmpFile):    {unix.SYS_OPENAT, hasBit, unix.O_TMPFILE &^ unix.O_DIRECTORY},
	string(feature.Membarrier): {number: unix.SYS_MEMBARRIER},
	string(feature.RobustList): {number: unix.SYS_SET_ROBUST_LIST},
	string(feature.PidFD):      {number: unix.SYS_PIDFD_OPEN},
	string(feature.Populate):   {unix.SYS_MADVISE, equals, unix.MADV_POPULATE_WRITE},
	"timer":                    {number: unix.SYS_TIMERFD_CREATE},
	"fallocate":                {number: unix.SYS_FALLOCATE},
}

// refuse makes the kernel answer EPERM, as old filters of containers do, to the calls of some features: "waitv,pidfd".
func refuse(list string) error {
	const (
		load, give    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_RET | unix.BPF_K
		number, third = 0, 16 + 2*8 // in struct seccomp_data
		no            = 0x00050000 | uint32(unix.EPERM)
		yes           = 0x7fff0000
	)
	program := []unix.SockFilter{{Code: load, K: number}}
	for what := range strings.SplitSeq(list, ",") {
		c, ok := calls[what]
		switch {
		case !ok:
			panic("no call for the feature " + what)
		case c.code == 0:
			program = append(program, unix.SockFilter{Code: equals, K: c.number, Jf: 1}, unix.SockFilter{Code: give, K: no})
		default:
			program = append(program,
				unix.SockFilter{Code: equals, K: c.number, Jf: 4},
				unix.SockFilter{Code: load, K: third},
				unix.SockFilter{Code: c.code, K: c.third, Jf: 1},
				unix.SockFilter{Code: give, K: no},
				unix.SockFilter{Code: load, K: number})
		}
	}
	return setFilter(append(program, unix.SockFilter{Code: give, K: yes}))
}
