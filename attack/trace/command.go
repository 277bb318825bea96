package trace

import "os"

// Command is a program to start.
type Command struct {
	Path  string
	Args  []string   // behind the program's name
	Env   []string   // nil: this process's
	Files []*os.File // descriptors 3, 4, …

	Stdout, Stderr *os.File // nil: /dev/null
}
