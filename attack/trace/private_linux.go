package trace

// privateCall says whether the arguments of a system call show that it can concern nobody outside the process. These are
// the calls that the Go runtime makes behind an operation's back, in a different number every time.
func (mm *memoryMap) privateCall(name string, args [6]uint64) bool {
	const (
		mapShared    = 0x01
		mapAnonymous = 0x20
		mapFixed     = 0x10
	)
	switch name {
	case "futex":
		return !mm.intersectsFile(args[0], 4) && !mm.intersectsFile(args[4], 4)
	case "sched_yield", "nanosleep", "clock_nanosleep", "clock_gettime", "gettimeofday", "time",
		"getpid", "gettid", "getcpu", "sched_getaffinity", "getrandom", "brk",
		"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack":
		return true
	case "mmap":
		return args[3]&mapAnonymous != 0 && args[3]&mapShared == 0 &&
			(args[3]&mapFixed == 0 || !mm.intersectsFile(args[0], args[1]))
	case "munmap", "madvise", "mprotect":
		return !mm.intersectsFile(args[0], args[1])
	}
	return false
}

// changesMaps lists the system calls after which mappings or names may be others.
var changesMaps = map[string]bool{
	"mmap": true, "munmap": true, "mremap": true, "brk": true, "shmat": true, "shmdt": true, "remap_file_pages": true,
	"open": true, "openat": true, "openat2": true, "creat": true, "link": true, "linkat": true, "unlink": true,
	"unlinkat": true, "rename": true, "renameat": true, "renameat2": true, "ftruncate": true, "fallocate": true,
}
