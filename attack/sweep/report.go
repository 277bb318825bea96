package sweep

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tandem-ipc/tandem/attack/internal/mutant"
)

// Violation is what the sweep is looking for.
type Violation struct {
	Op      string
	Mode    Mode
	Point   string // what -point takes
	Detail  string // the point for people
	Verdict string
	Repeat  string // command line
}

func (v Violation) write(w io.Writer) {
	fmt.Fprintf(w, "\nVIOLATION %s, %s at %s\n", v.Op, v.Mode, v.Point)
	fmt.Fprintf(w, "  point:   %s\n", v.Detail)
	fmt.Fprintf(w, mutant.VerdictPrefix+"%s\n", strings.ReplaceAll(v.Verdict, "\n", "\n    "))
	fmt.Fprintf(w, "  repeat:  %s\n", v.Repeat)
}

// OpReport is a line of the table.
type OpReport struct {
	Name         string
	Instructions int // of the first recording
	Stores       int
	SystemCalls  int
	Found        int // points, of all recordings; in a pair: of the product
	Tried        int // points that at least one trial reached
	Trials       int
	Missed       []string // points that no trial reached, or that a mode did not
	Violations   []Violation
	Unexplained  int
	Time         time.Duration // all
	TrialTime    time.Duration // of one trial on average, in its lane
	TrialMax     time.Duration

	Err error // the attack itself failed; the rest is incomplete
}

// Report is a whole sweep.
type Report struct {
	Ops []OpReport
}

// Violations of all operations.
func (r *Report) Violations() int {
	n := 0
	for _, op := range r.Ops {
		n += len(op.Violations)
	}
	return n
}

// Err is the first error of the attack itself.
func (r *Report) Err() error {
	for _, op := range r.Ops {
		if op.Err != nil {
			return fmt.Errorf("%s: %w", op.Name, op.Err)
		}
	}
	return nil
}

// Write prints the table.
func (r *Report) Write(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "operation\tinstructions\tstores\tcalls\tpoints\ttried\tmissed\ttrials\tms each\tmax\tviolations\ttime\t")
	for _, op := range r.Ops {
		state := fmt.Sprint(len(op.Violations))
		if op.Err != nil {
			state = "BROKEN"
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t%s\t%v\t\n", op.Name, op.Instructions, op.Stores,
			op.SystemCalls, op.Found, op.Tried, len(op.Missed), op.Trials, op.TrialTime.Seconds()*1e3, op.TrialMax.Seconds()*1e3, state,
			op.Time.Round(10*time.Millisecond))
	}
	tw.Flush()
	for _, op := range r.Ops {
		for i, m := range op.Missed {
			if i == 2 {
				fmt.Fprintf(w, "missed in %s: … and %d more\n", op.Name, len(op.Missed)-i)
				break
			}
			fmt.Fprintf(w, "missed in %s: %s\n", op.Name, m)
		}
		if op.Err != nil {
			fmt.Fprintf(w, "broken: %s: %v\n", op.Name, op.Err)
		}
	}
}
