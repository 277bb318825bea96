// Package policy decides everything that depends on the machine and that nobody should have to set: how long to poll before
// sleeping, how many of a process may do so at once, how large rings are, how often a consumer says how far it is, and how
// large blocks are copied. It is the only place that does. For is the decision, a function of a Machine alone; environment
// variables override each part of it, and each part knows where it comes from.
//
// The figures behind it are in docs/decisions/008-policy.md.
//
// # Concurrency
//
// Everything may be called from any goroutine.
//
// # Crash behaviour
//
// Nothing here outlives the process. Two processes of different policies understand each other: sizes of rings are in the
// rings, and the rest concerns one side only.
package policy
