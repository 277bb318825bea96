package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// writeJSON writes one object a line, and the machine aside.
func writeJSON(out, aside io.Writer, m *Machine, groups []*Group, rec *record) error {
	for _, l := range m.lines() {
		fmt.Fprintln(aside, l)
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	for _, r := range allResults(m, groups, rec) {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}
