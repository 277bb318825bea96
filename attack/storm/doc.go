// Package storm lets whole trees of processes work, kills them at random, and balances the books afterwards.
//
// A tree is an ordinary program of Tandem's: a root that starts producers and consumers, and a branch that has some of its
// own, in two Spaces, with every way to send and to receive. Roots and branches are supervisors: who dies is replaced. The
// controller has nothing of it open. It kills single processes with SIGKILL, a few milliseconds after they have begun their
// work, stops some and lets them go on, or kills them while they are stopped; and when a tree has lost enough of them, it
// looks whether everybody who is left makes progress, and ends it in one of four ways: asked to drain its channels and to
// leave, killed at one blow, one by one in random order, or only its root killed. Several trees live side by side in one
// directory, each with a life of its own.
//
// # What must hold
//
//   - Conservation. Every process keeps a journal, a mapped file of its own outside of the memory under test: what it means
//     to send, what it has committed, what it has received. When the tree is gone, each channel's books are balanced: what was
//     committed was received or, if the tree was killed, may still have been queued; nothing was received that was never
//     meant; nothing came twice without the Redelivered mark, or out of order, or torn. A process that was killed in a plain
//     receive may have taken what it asked for with it; in a Receive, nothing.
//   - Nothing leaks. A Space that was drained holds no block, object or member but its root's. A tree that left has no file;
//     one that was killed has none a second later, and no process.
//   - Nothing is wrongly removed: the files of trees that live stay, whoever cleans up beside them.
//   - Progress. What hangs is reported with who waits for what, and everybody's stacks.
//
// A kill counts if the process had begun its work. All choices come from the seed, the number of the tree and the name of the
// process; what the kernel does with them does not.
//
// Mutants are changes to the code that a storm must find in a few seconds.
//
// # Concurrency
//
// [Main] runs one scenario after the other; a scenario runs several trees at a time.
//
// # Crash behaviour
//
// A tree ends by itself when its controller does, however that ends. Directories that a killed storm leaves are removed by
// the next.
package storm
