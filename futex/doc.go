// Package futex lets processes sleep on a 32-bit word of shared memory and wake each other, and decides how long to poll
// before sleeping.
//
// Wait, WaitAny and Wake are the system calls: always the shared kind (never FUTEX_PRIVATE), always bounded, and a
// spurious return is always possible, as the kernel's are. Await is what Tandem's objects wait with: it polls for a
// while, announces itself in the wait word, looks once more, sleeps at most 20 ms doubling to 1 s (in a crowd longer: see
// Parked), and looks again, until its condition holds, its context ends, or its owner says stop. A wake-up that is lost, because whoever owed it was
// killed before it paid, therefore costs time and never an answer.
//
// The protocol of a wait word is the flag of Dekker's algorithm: the sleeper raises WaitSleeps and then looks at its
// condition; the waker changes the condition and then looks at the flag. Between the two each side needs a full fence;
// package fence moves it to the sleeper where that is cheaper.
//
// # Parked
//
// A sleep in the kernel costs a thread. Four waiters of a process may have one, for a second each; all others, and who has
// slept for a second, park in their Lot: as goroutines, with WaitParked in the wait word. The waker rings the doorbell of the
// process that waits, and one poller of that process, which sleeps for all of them, wakes them. That takes twice as long. The
// lot looks for them, too: up to 512 each second, in a crowd the less often the larger it is, at least every 32 s, and at once
// after a death.
//
// # Polling
//
// Auto polls as long as the policy says (package policy): with one processor never; with more up to about the cost of a
// wake-up, measured once in the background, by so many waiters of a process at once, and less or not at all where polling
// has not helped lately (an idle waiter ends up polling once in 64 waits). A sleeping waiter uses no processor time but a
// look now and then. TANDEM_SPIN, TANDEM_SPINNERS and TANDEM_WAIT say otherwise.
//
// # Concurrency
//
// Wait, WaitAny, Wake and Rouse may be called by anyone at any time. A Waiter serves one goroutine at a time.
//
// # Crash behaviour
//
// A killed sleeper leaves its flag raised: the next waker makes one system call in vain. A killed waker may leave a
// sleeper asleep until its next look, or until whoever settles the dead process wakes everyone it might have owed.
package futex
