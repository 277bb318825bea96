// Command tandem shows what lies in shared memory, who uses it, and removes what a crash left there.
//
//	tandem ls                 what there is: Spaces, their members, other programs' blocks
//	tandem clean              remove what killed processes of this user left
//	tandem rm NAME            remove a named Space, also a mailbox
//	tandem doctor             is this machine fit, and what is in force
//	tandem version
//
// Exit status: 0 done, 1 a problem was found or something could not be removed, 2 wrong use. Errors go to standard error, one
// line each. docs/command.md describes the JSON that --json prints.
//
// # Concurrency
//
// Any number of these commands may run at once, beside any programs.
//
// # Crash behaviour
//
// ls takes no part in any Space: it never counts as being attached, and killed or stopped it is in nobody's way. doctor makes
// a Space of its own and removes it; killed, it leaves that to the next cleaner. clean and rm may be killed at any
// instruction: what they had begun to remove is removed by the next cleaner.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tandem-ipc/tandem/internal/terminal"
)

// Exit status.
const (
	exitDone    = 0
	exitProblem = 1
	exitUsage   = 2
)

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

// problem is an error of the thing that was asked for, not of how it was asked. Each part is a line.
type problem []error

func (p problem) Error() string { return errors.Join(p...).Error() }

func run(args []string, out, errw io.Writer) int {
	err := root(out).Run(context.Background(), args)
	var found problem
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &found):
		for _, e := range found {
			fmt.Fprintf(errw, "tandem: %s\n", oneLine(e))
		}
		return exitProblem
	default:
		fmt.Fprintf(errw, "tandem: %s; see tandem --help\n", oneLine(err))
		return exitUsage
	}
}

func oneLine(err error) string {
	return terminal.Printable(strings.ReplaceAll(err.Error(), "\n", "; "))
}

func root(out io.Writer) *cli.Command {
	c := &cli.Command{
		Name:      "tandem",
		Usage:     "what is in shared memory, who uses it, and clean up after a crash",
		UsageText: "tandem COMMAND [OPTIONS] [NAME...]",
		Description: `Spaces lie in /dev/shm, or where TANDEM_SHM_DIR says.

tandem ls              what there is now, and who is attached
tandem clean           remove what killed processes left behind
tandem rm prices       remove the Space "prices", also if it is kept
tandem doctor          look for problems on this machine, and print what is in force

Exit status: 0 done; 1 a problem was found, or something could not be removed; 2 wrong use.`,
		Commands: []*cli.Command{lsCommand(), cleanCommand(), rmCommand(), doctorCommand(), versionCommand()},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("no command %q", c.Args().First())
			}
			return errors.New("no command")
		},
		Writer:          out,
		ErrWriter:       io.Discard, // errors are printed once, by run
		HideVersion:     true,
		HideHelpCommand: true,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {},
	}
	for _, sub := range append(c.Commands, c) {
		sub.OnUsageError = func(_ context.Context, _ *cli.Command, err error, _ bool) error { return err }
		sub.HideHelpCommand = true
	}
	return c
}

// withoutArguments refuses what a command would ignore.
func withoutArguments(do func(*cli.Command) error) cli.ActionFunc {
	return func(_ context.Context, c *cli.Command) error {
		if c.Args().Present() {
			return fmt.Errorf("%s takes no argument, got %q", c.Name, c.Args().First())
		}
		return do(c)
	}
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON, as docs/command.md describes it"}
}
