// Package shm is the ground that Tandem stands on: Spaces of shared memory, the processes attached to them, and who of
// them is alive.
//
// A Space is a region of POSIX shared memory that grows: a root file in /dev/shm and the segments it grew. The private
// Space of a process tree is made on first use and inherited by children; named Spaces are where unrelated programs of
// the same user meet. Other packages put shared objects into a Space; their Handles travel through anything that carries
// bytes.
//
//	sp, err := shm.OpenSpace("prices")          // attach, or create
//	h, err := sp.Lookup("ticks")                // what another program has bound
//
// A named Space made with Keep is a mailbox: it outlives its users, and names in its directory hold what they are bound to.
//
// # Who is alive
//
// The kernel says so, never a pid, a timeout or a heartbeat. Each member of a Space holds a lock that lives as long as
// its mapping of the memory: until after its last instruction, across PID namespaces, through SIGSTOP, and not longer. A
// read lock granted on a member's byte is proof that it is dead. Long before proof the kernel gives notice: a thread of
// ours owns words that it marks when the process dies, and somebody always sleeps on them.
//
// # The tracker
//
// A process tree that uses a Space has a tracker: a small process that the tree's first process starts, that is nobody's
// child, and that waits for the death of the last process of the tree to remove what they leave. It needs about a
// megabyte, 3.5 MB in programs built without cgo, holds nothing of the tree's, not even its standard output, and ignores what
// a terminal sends. A program that leaves in order (process.Main, Exit) lets it go. Without it everything works, and the
// next process that uses a Space cleans up; TrackerError tells why there is none. It is the program itself, executed anew, and
// ends before main; initialisation of packages that do not import this one may run in it when the tree was killed, as it does
// in every child: what must not happen twice belongs into main.
//
// # Limits
//
// 1,000 members and 4,096 segments a Space, 63 holders of an object or of one end of it. Half of the file system's size, or
// of the control group's memory limit if that is less, unless Limit says otherwise. Memory is reserved before it is used: a
// full file system is ErrNoSpace, never a fault. Memory that has not been used for a second or two goes back to the system;
// Trim does it at once.
//
// # What is for whom
//
// Programs use Space, OpenSpace, Private, Bind, Lookup, Handle, Sweep, TrackerError, Exit and the errors. Inspect, Clean, Remove, Unlink
// and Features are for tools such as the command tandem: they need no Space. Object, Block, Spec, Local and what has to do with them
// is what the other packages of Tandem are made of: it may change with any version.
//
// # Environment
//
// TANDEM_SHM_DIR names another directory than /dev/shm, the same for all who meet. TANDEM_SWEEP=off turns off the sweep
// on first use, TANDEM_TRACKER=off the tracker. TANDEM_HUGEPAGES=on and TANDEM_PREFAULT=on are HugePages and Prefault for
// all Spaces of the process. TANDEM_DISABLE=maplock,otmpfile,robustlist,waitv,membarrier,pidfd,populate forces kernel
// features off. Another value of one of these, or of a variable of the policy, is an error of the first use of a Space:
// CheckEnvironment.
//
// # Concurrency
//
// Everything may be called from any goroutine. Importing the package does nothing: the first use of a Space sweeps
// leaked files of this user, starts the tracker, one goroutine per Space that sleeps for all that wait and on the deaths of
// others, one parked thread per process that the kernel uses to give notice of ours, and one timer (a descriptor), which
// wakes an idle process once a second.
//
// # Crash behaviour
//
// A process may be killed at any instruction. What it had not published returns to the Space; what it had published
// stays; the sets of holders lose it; survivors that wait for it are woken within about a millisecond of the kernel's
// proof. Any survivor settles it, several at once if need be, and one that is stopped in the middle delays nobody. A
// Space whose last member was killed is removed by the tracker, within milliseconds; if that was killed too, by the next
// process of the same user that uses any Space, or by Sweep; one made with Keep stays, and the next who attaches settles
// the dead. A stopped process is alive: it keeps what it holds, and delays nobody else, with one exception: stopped in the few
// system calls of removing or renaming a Space it makes OpenSpace and Unlink of that one name fail with ErrBusy.
//
// Do not fork without exec: a forked child of a C library keeps no mapping (MADV_DONTFORK), but a fork between mmap and
// that advice would keep the parent alive. Do not let the kernel write into shared memory asynchronously (io_uring,
// O_DIRECT, RDMA): such a write may land after its owner's death.
//
// What lies in shared memory is not trusted: damage gives ErrCorrupt, or another error, or wrong data; not a hang or memory
// without bound, and not a fault, with two exceptions that kill who touches what is gone (SIGBUS), as no library can make an
// error of that: a file is shortened while it is mapped; or the file system is full, and a block has lost its memory, because
// a process of the same user has punched a hole there, or a damaged word presents what was given back as a block. Whoever opens
// a shortened file gets ErrCorrupt, and it is cleaned up like any other.
package shm
