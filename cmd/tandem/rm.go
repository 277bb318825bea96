package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tandem-ipc/tandem/shm"
)

func rmCommand() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove named Spaces, also kept or damaged ones",
		UsageText: "tandem rm [--force] NAME...",
		ArgsUsage: "NAME...",
		Description: `Removes each named Space of this user, also a mailbox (kept) or a damaged file. One that is in use is refused, and
its members are named; with --force it loses its name: its members go on, whoever opens the name makes a new one, and
the memory goes with the last member.

Examples:
   tandem rm prices
   tandem rm --force prices quotes`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "take the name of one that is in use"}},
		Action: func(_ context.Context, c *cli.Command) error {
			names := c.Args().Slice()
			if len(names) == 0 {
				return errors.New("rm: which Space? NAME is missing")
			}
			var wrong []error
			for _, name := range names {
				if err := shm.CheckName(name); err != nil {
					wrong = append(wrong, err)
				}
			}
			if wrong != nil {
				return fmt.Errorf("rm: nothing was removed: %w", errors.Join(wrong...))
			}
			var failed problem
			for _, name := range names {
				done, err := remove(name, c.Bool("force"))
				if err != nil {
					failed = append(failed, err)
				} else if _, err := fmt.Fprintln(c.Root().Writer, done); err != nil {
					return append(failed, err)
				}
			}
			if failed != nil {
				return failed
			}
			return nil
		},
	}
}

// remove removes a Space, or takes its name if it is in use, and says which.
func remove(name string, force bool) (done string, err error) {
	err = shm.Remove(name)
	var used *shm.InUseError
	if !force || !errors.As(err, &used) {
		return fmt.Sprintf("removed space %q", name), err
	}
	return fmt.Sprintf("took the name of space %q, members that go on without it: %d", name, len(used.Members)), shm.Unlink(name)
}
