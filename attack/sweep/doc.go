// Package sweep kills a process at every kill point of an operation and looks at what is left.
//
// An [Op] says how to build a world, what the victim does in it, what everybody else must still be able to do while the
// victim is stopped, and what must hold after it was killed. The sweep records the operation with package trace, and
// then, for every point and every [Mode], builds a fresh world, brings a fresh victim to the point, and strikes:
//
//   - Kill: the victim dies there. A fresh process runs Recover.
//   - Stop: the whole victim is stopped there for good. A fresh process runs Others, which must finish in bounded time;
//     then the victim dies and another fresh process runs Recover.
//   - Resume: like Stop, but then the victim runs on, must finish its operation, and Recover judges the result. This is
//     the slow process, the one that somebody may have taken for dead.
//
// Before the operation's first instruction and after its return are points too. Before all that, the operation runs
// without any of it, and must succeed.
//
// A [Pair] does this with two operations: A is killed at each point while B stands stopped at each of its own, or B is
// killed at each of its points when A was killed before it began, which is how a recovery is attacked in depth two. When
// the product is large it is sampled, and the report says how many of how many.
//
// A [Mutant] is a change to the source that must be caught: the binary is built again with it (go build -overlay), and
// a sweep of the named operations must find a violation.
//
// # Writing an operation
//
//	sweep.Op{
//		Name: "toy/publish",
//		World: func(w *sweep.World) error {
//			w.Scratch, err = create()            // a name, passed to all other roles
//			return err
//		},
//		Victim: func(v *sweep.VictimEnv) (func() error, error) {
//			toy, err := open(v.Scratch)          // not attacked
//			return func() error {                // attacked
//				err := toy.Publish(42)
//				v.Journal.Set(0, 42)             // committed: a survivor may insist on it
//				return err
//			}, err
//		},
//		Recover: func(s *sweep.SurvivorEnv) error {
//			toy, err := open(s.Scratch)
//			...
//			if s.Journal.Get(0) == 42 && toy.Value() != 42 {
//				return errors.New("committed, then lost")
//			}
//			return nil
//		},
//		After: func(w *sweep.World) error { return remove(w.Scratch) },
//	}
//
// All roles run in this same binary, executed again. Only the function that Victim returns is traced, on one thread. The
// [Journal] is private memory of the trial: writing it is no system call and no kill point, and what a victim wrote
// before it died is there. It says by itself whether the operation has returned.
//
// World and After run in the orchestrator, several at once (one per lane), or, with Apart, in a fresh process per trial
// that lives until After. What an operation needs of dead, stopped or living bystanders are Helpers, processes that
// World starts and may kill.
//
// A project that can be told by an environment variable where its shared files lie should have that in
// [Suite.DirVariable]: then every trial has a directory of its own, trials and other programs do not see each other's
// files, and what a trial leaves is known exactly.
//
// # Concurrency
//
// [Run] may be called once at a time. World and After of an operation run in several goroutines at once, each with its
// own [World]. Everything else runs alone in its process.
//
// # Crash behaviour
//
// Every process that a sweep starts is killed when its orchestrator ends, however that ends; what such a process had
// started itself is killed, and reported, after each operation, but outlives an orchestrator that is killed. Directories
// of trials that a killed sweep left are removed by the next; other files are for the project's own cleaner to find. A role that hangs is asked for its stacks (SIGQUIT) and
// killed, and its hanging is the verdict.
package sweep
