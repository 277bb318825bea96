package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v3"

	"github.com/tandem-ipc/tandem/internal/layout"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version, and that of the layout of shared memory",
		UsageText: "tandem version [--json]",
		Description: `Programs that share a Space must have the same layout version.

Example:
   tandem version`,
		Flags: []cli.Flag{jsonFlag()},
		Action: withoutArguments(func(c *cli.Command) error {
			v := version()
			if c.Bool("json") {
				return writeJSON(c.Root().Writer, v)
			}
			_, err := fmt.Fprintf(c.Root().Writer, "tandem %s, layout %d, %s, %s\n", v.Version, v.Layout, v.Go, v.Platform)
			return err
		}),
	}
}

func version() jsonVersion {
	v := jsonVersion{Version: "(devel)", Layout: layout.Version, Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if b, ok := debug.ReadBuildInfo(); ok {
		v.Version = b.Main.Version
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	return v
}
