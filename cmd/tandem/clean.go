package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/tandem-ipc/tandem/internal/terminal"
	"github.com/tandem-ipc/tandem/shm"
)

func cleanCommand() *cli.Command {
	return &cli.Command{
		Name:      "clean",
		Usage:     "remove what killed processes left behind",
		UsageText: "tandem clean [--dry-run] [--all] [--json]",
		Description: `Removes the Spaces that nobody is attached to, with all their segments, and says how much memory came back. What a
living process uses, even a stopped one, mailboxes, and other programs' blocks stay.

Examples:
   tandem clean --dry-run     say what would go, and change nothing
   sudo tandem clean --all    of all users`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "remove nothing"},
			&cli.BoolFlag{Name: "all", Usage: "of all users, as far as permitted"},
			jsonFlag(),
		},
		Action: withoutArguments(func(c *cli.Command) error {
			out, dry := c.Root().Writer, c.Bool("dry-run")
			gone, failed, err := clean(dry, c.Bool("all"))
			if err != nil {
				return problem{err}
			}
			if c.Bool("json") {
				err = writeJSON(out, cleanJSON(gone, failed, dry))
			} else {
				err = printGone(out, gone, dry)
			}
			if err != nil || len(failed) == 0 {
				return err
			}
			return failed
		}),
	}
}

// clean removes what is leaked, or only finds it.
func clean(dry, everyone bool) (gone []shm.SpaceInfo, failed problem, err error) {
	if !dry {
		gone, err := shm.Clean(everyone)
		if err != nil {
			failed = parts(err)
		}
		return gone, failed, nil
	}
	inv, err := inspect(everyone)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range inv.Spaces {
		if e.State == shm.StateLeaked {
			gone = append(gone, e)
		}
	}
	return gone, nil, nil
}

// parts takes a joined error apart.
func parts(err error) problem {
	for e := err; e != nil; {
		switch u := e.(type) {
		case interface{ Unwrap() []error }:
			return u.Unwrap()
		case interface{ Unwrap() error }:
			e = u.Unwrap()
		default:
			e = nil
		}
	}
	return problem{err}
}

func printGone(w io.Writer, gone []shm.SpaceInfo, dry bool) error {
	did, came := "removed", "came"
	if dry {
		did, came = "would remove", "would come"
	}
	if len(gone) == 0 {
		_, err := fmt.Fprintln(w, "nothing to clean")
		return err
	}
	total := int64(0)
	for i := range gone {
		total += gone[i].Memory
		if _, err := fmt.Fprintf(w, "%s %s: %s\n", did, terminal.Printable(gone[i].Title()), bytes(gone[i].Memory)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s of memory %s back\n", bytes(total), came)
	return err
}

func cleanJSON(gone []shm.SpaceInfo, failed problem, dry bool) jsonClean {
	j := jsonClean{DryRun: dry, Removed: []jsonSpace{}, Errors: []string{}}
	for i := range gone {
		j.Memory += gone[i].Memory
		j.Removed = append(j.Removed, spaceJSON(&gone[i]))
	}
	for _, e := range failed {
		j.Errors = append(j.Errors, oneLine(e))
	}
	return j
}
