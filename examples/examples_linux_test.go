// Package examples holds programs that are run, and compared with what they say they print, by its tests.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tandem-ipc/tandem/shm"
)

// golden is what the programs print, as their texts say.
var golden = map[string]string{
	"first": `0 squared is 0
1 squared is 1
2 squared is 4
3 squared is 9
the worker died: true
and we know how: true Process-1
`,
}

func TestExamplesPrintWhatTheySay(t *testing.T) {
	dir := t.TempDir()
	for name, want := range golden {
		t.Run(name, func(t *testing.T) {
			bin := filepath.Join(dir, name)
			if out, err := exec.Command("go", "build", "-o", bin, "./"+name).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			segments, err := os.MkdirTemp("/dev/shm", "tandemexample.")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(segments)
			cmd := exec.Command(bin)
			cmd.Env = append(os.Environ(), shm.EnvDir+"="+segments)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil || string(out) != want {
				t.Errorf("%v\n%s\nwant\n%s", err, out, want)
			}
			if left, _ := os.ReadDir(segments); len(left) != 0 {
				t.Errorf("left in shared memory: %v", left)
			}
		})
	}
}

var goBlock = regexp.MustCompile("(?s)```go\n(package main.*?)```")

// The program in the README is the first example, to the letter but for its first line.
func TestTheProgramInTheReadmeIsAnExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("first/main.go")
	if err != nil {
		t.Fatal(err)
	}
	m := goBlock.FindSubmatch(readme)
	if m == nil {
		t.Fatal("the README has no complete program")
	}
	_, program, _ := strings.Cut(string(code), "\n")
	if string(m[1]) != program {
		t.Error("the program in the README differs from examples/first/main.go")
	}
}
