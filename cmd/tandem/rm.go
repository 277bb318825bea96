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
		Description: `Removes each named Space of this user, also a mailbox (kept) or a damaged file. One that is in use is refused, and its
members are named; with --force it loses its name: its members go on, whoever opens the name makes a new one, and the
memory goes with the last member.

Examples:
   tandem rm prices
   tandem rm --force prices quotes`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "take the name of one that is in use"}},
		Action: func(_ context.Context, c *cli.Command) error {
			names := c.Args().Slice()
			if len(names) == 0 {
				return errors.New("rm: which Space? NAME is missing")
			}
			remove := shm.Remove
			if c.Bool("force") {
				remove = shm.Unlink
			}
			var failed problem
			for _, name := range names {
				err := remove(name)
				if errors.Is(err, shm.ErrName) {
					return err
				}
				if err != nil {
					failed = append(failed, err)
				} else if _, err := fmt.Fprintf(c.Root().Writer, "removed space %q\n", name); err != nil {
					return problem{err}
				}
			}
			if failed != nil {
				return failed
			}
			return nil
		},
	}
}
