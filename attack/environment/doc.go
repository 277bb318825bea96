// Package environment runs a small program that uses Tandem in environments that are hard on it: namespaces, filters of
// system calls, limits, file systems, and what is missing in containers. In each of them it works, or says in one error
// what is in its way.
//
// # Concurrency
//
// The package is its tests. Each environment is made in a process of its own, and gone with it.
//
// # Crash behaviour
//
// Mounts lie in namespaces of the processes that make them; control groups and directories are removed by the tests.
package environment
