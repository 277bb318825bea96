package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tandem-ipc/tandem/shm"
)

func lsCommand() *cli.Command {
	return &cli.Command{
		Name:      "ls",
		Usage:     "list Spaces, their members, and other programs' blocks",
		UsageText: "tandem ls [--all] [--json]",
		Description: `Lists what lies in /dev/shm, or where TANDEM_SHM_DIR says. Looking takes no part: it never counts as
being attached.

STATE is alive (a process is attached), kept (nobody is, and it is a mailbox that only rm removes), leaked (nobody is,
clean removes it), or unknown (another user's). MEMORY is what its files occupy, USED what is in blocks.
Blocks are shared memory of other programs: nobody but they can know whether it is in use, so nothing here removes it.

Examples:
   tandem ls
   tandem ls --json | jq '.spaces[] | select(.state == "leaked") | .files[]'`,
		Flags: []cli.Flag{
			jsonFlag(),
			&cli.BoolFlag{Name: "all", Usage: "of all users, as far as permitted"},
		},
		Action: withoutArguments(func(c *cli.Command) error {
			inv, err := inspect(c.Bool("all"))
			if err != nil {
				return problem{err}
			}
			if c.Bool("json") {
				return writeJSON(c.Root().Writer, inventoryJSON(inv))
			}
			return printInventory(c.Root().Writer, inv, c.Bool("all"), time.Now())
		}),
	}
}

// inspect looks at what belongs to this user, or to everyone.
func inspect(everyone bool) (*shm.Inventory, error) {
	inv, err := shm.Inspect()
	if err != nil || everyone {
		return inv, err
	}
	mine := &shm.Inventory{Dir: inv.Dir}
	for _, e := range inv.Spaces {
		if e.UID == os.Geteuid() {
			mine.Spaces = append(mine.Spaces, e)
		}
	}
	for _, b := range inv.Blocks {
		if b.UID == os.Geteuid() {
			mine.Blocks = append(mine.Blocks, b)
		}
	}
	return mine, nil
}

func printInventory(w io.Writer, inv *shm.Inventory, all bool, now time.Time) error {
	var spaces, members, blocks table
	spaces.head(all, "SPACE", "ID", "STATE", "MEMORY", "USED", "LIMIT", "AGE", "MEMBERS", "NOTE")
	members.head(false, "MEMBER", "SPACE", "PID", "COMMAND", "STATE", "AGE")
	blocks.head(all, "BLOCK", "MEMORY", "CHANGED")
	for i := range inv.Spaces {
		e := &inv.Spaces[i]
		spaces.row(e.UID, label(e), id(e), string(e.State), bytes(e.Memory), bytes(e.Used), bytes(e.Limit), age(now, e.Created),
			strconv.Itoa(len(e.Members)), note(e))
		for _, m := range e.Members {
			state := "alive"
			if m.Dead {
				state = "dead"
			}
			members.row(0, m.Member.String(), cmp.Or(e.Name, e.ID), strconv.Itoa(m.PID), m.Command, state, age(now, m.Started))
		}
	}
	for _, b := range inv.Blocks {
		blocks.row(b.UID, b.Name, bytes(b.Memory), age(now, b.Modified))
	}
	if spaces.empty() && blocks.empty() {
		_, err := fmt.Fprintf(w, "nothing in %s\n", inv.Dir)
		return err
	}
	return printTables(w, spaces, members, blocks)
}

// label is how the table calls an entry: by its name, if it has one.
func label(e *shm.SpaceInfo) string {
	switch {
	case e.Name != "":
		return e.Name
	case e.Kind == shm.KindSpace && e.ID != "":
		return "(private)"
	}
	return e.Files[0]
}

func id(e *shm.SpaceInfo) string {
	if e.ID == "" {
		return "-"
	}
	return e.ID
}

func note(e *shm.SpaceInfo) string {
	switch {
	case e.Err != nil:
		return oneLine(e.Err)
	case e.Kind == shm.KindSegment:
		return "a segment whose Space is gone"
	case e.Kind == shm.KindUnborn:
		return "was being made"
	case e.OldName != "":
		return fmt.Sprintf("was %q", e.OldName)
	case e.Keep:
		return "mailbox"
	}
	return ""
}
