// Package pipe is multiprocessing.Pipe: a connection between two processes, or two goroutines, that carries typed values
// at memory speed.
//
//	a, b, err := pipe.New[Tick]()        // two ends, both send and receive
//	err = a.Send(ctx, Tick{...})         // committed in shared memory when it returns
//	tick, err := b.Recv(ctx)             // io.EOF after close, *pipe.PeerDied after a death
//
// A Conn is an ordinary value to pass on: put it into the arguments of a process, send it through another Conn, print it
// into an environment variable. What arrives is the same end.
//
// # Values
//
// A T without pointers travels as its own memory: no codec, no allocation. []byte, string and slices of such elements
// travel as their bytes; everything else as package codec says: by its own MarshalBinary, or as CBOR. Messages never
// merge, split or interleave; an empty one is a message. A message larger than a quarter of the ring travels in a block of
// its own, up to the limit of the Space; a direction keeps up to eight such blocks (about 8 MiB) for the next ones, until
// the connection is freed.
//
// # Ends
//
// An end is open while a living process holds it: the one that made it, and every one that has opened its Handle. Close
// gives up this process's hold. Passing an end as an argument to a child gives up the sender's hold once the child has
// taken it (process.KeepEnds keeps it); messages, flags and environment variables never give one up. When nobody holds an
// end any more, the other side receives what was committed and then io.EOF, or *PeerDied if the last holder died; sends
// fail at once. It is the last one that counts: as long as another process holds the end, a death changes nothing. All Conns
// of an end in one process are one hold: closing one closes all.
//
// For now one process at a time sends at an end, and one receives; another gets ErrBusy until that one closes the end or
// dies.
//
// # Zero-copy
//
// Reserve returns shared memory to build a message in, Receive shows one where it lies. The time is independent of the
// size. Both hold their direction until Commit or Ack; while one is out after Close, the end stays held, and cannot be
// opened again here. TryReserve and TryReceive never wait. Message.CopyTo is the fast way to copy a large one out.
//
// # Concurrency
//
// All methods may be called from several goroutines: one at a time sends, one receives, the others wait their turn. Each
// call ends with its context, with Close, and with the end of the other side. Ten thousand goroutines may wait, each at its
// own Conn: four of a process sleep on a thread, and none does that has waited for two seconds.
//
// # Crash behaviour
//
// A message is committed when Send returns: nothing that happens to the sender takes it back. A message is received when
// Recv returns, or at Ack; of what a killed receiver had taken out of the ring nothing is lost before that, and what it
// was shown (Receive without Ack) comes again to its successor, marked Redelivered. Memory that a killed process had
// prepared returns. A stopped process is alive: its peer waits, as long as its context allows.
package pipe
