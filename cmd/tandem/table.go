package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tandem-ipc/tandem/internal/terminal"
)

// A table is aligned for people. Its last column may be empty; cells are made fit for a terminal.
type table struct {
	users bool // has a first column that says whose it is
	rows  [][]string
}

func (t *table) head(users bool, names ...string) {
	t.users = users
	t.add("USER", names)
}

func (t *table) row(uid int, cells ...string) { t.add(strconv.Itoa(uid), cells) }

func (t *table) add(first string, cells []string) {
	if t.users {
		cells = append([]string{first}, cells...)
	}
	for i, c := range cells {
		cells[i] = terminal.Printable(c)
	}
	t.rows = append(t.rows, cells)
}

func (t *table) empty() bool { return len(t.rows) < 2 }

// printTables prints those that have rows, with a blank line between them.
func printTables(w io.Writer, tables ...table) error {
	var text strings.Builder
	for _, t := range tables {
		if t.empty() {
			continue
		}
		if text.Len() > 0 {
			text.WriteByte('\n')
		}
		aligned := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		for _, r := range t.rows {
			fmt.Fprintln(aligned, strings.Join(r, "\t"))
		}
		aligned.Flush()
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return problem{err}
		}
	}
	return nil
}

// bytes prints a size in units that fit.
func bytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if f /= 1024; f < 999.5 {
			break
		}
	}
	return fmt.Sprintf("%.3g %s", f, unit)
}

// age prints how long ago something was, in its largest unit or two.
func age(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	d := max(now.Sub(then), 0)
	switch s := int64(d / time.Second); {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%dm", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%dd%dh", s/86400, s/3600%24)
	}
}
