package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/cgroup"
	"github.com/tandem-ipc/tandem/internal/detach"
	"github.com/tandem-ipc/tandem/internal/policy"
	"github.com/tandem-ipc/tandem/internal/terminal"
	"github.com/tandem-ipc/tandem/shm"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "look whether this machine is fit, and what is in force on it",
		UsageText: "tandem doctor [--json]",
		Description: `Looks at the directory for shared memory, makes a Space there and removes it again, asks the kernel for each feature
that Tandem can do without, measures what a wake-up costs, and prints the policy that follows, with the source of each
value. Problems come first, each with what to do about it; then the exit status is 1.

Examples:
   tandem doctor
   tandem doctor --json | jq '.problems'`,
		Flags: []cli.Flag{jsonFlag()},
		Action: withoutArguments(func(c *cli.Command) error {
			d := diagnose()
			var err error
			if c.Bool("json") {
				err = writeJSON(c.Root().Writer, d)
			} else {
				err = printDiagnosis(c.Root().Writer, d)
			}
			if err == nil && !d.OK {
				return problem{} // they are what was printed
			}
			return err
		}),
	}
}

// Sizes below which somebody will run out of memory soon.
const (
	leastDirectory = 16 << 20
	leastFree      = 4 << 20
)

// doctor collects what is found.
type doctor struct{ jsonDoctor }

// diagnose looks at everything. What was left behind is not removed by its own first use of a Space, for it is to be told.
func diagnose() jsonDoctor {
	d := &doctor{jsonDoctor{Problems: []jsonProblem{}, Tracker: "off"}}
	right := d.variables()
	os.Setenv(shm.EnvSweep, "off")
	if d.directory(); d.Directory.Exists {
		if right {
			d.makeSpace()
		}
		d.spaces()
	}
	d.Memory.CgroupLimit, d.Memory.CgroupFile = cgroup.Memory()
	d.Features = features()
	d.machine()
	d.OK = len(d.Problems) == 0
	return d.jsonDoctor
}

func (d *doctor) problem(do, format string, args ...any) {
	d.Problems = append(d.Problems, jsonProblem{What: terminal.Printable(fmt.Sprintf(format, args...)), Do: do})
}

// variables looks for those that say what is not allowed. Then no program can make a Space.
func (d *doctor) variables() (right bool) {
	err := shm.CheckEnvironment()
	if err == nil {
		return true
	}
	for _, e := range parts(err) {
		d.problem("correct or unset the variable", "%s", oneLine(e))
	}
	return false
}

// directory looks where segments lie.
func (d *doctor) directory() {
	d.Directory.Path = shm.Dir()
	fs, err := lookAtDirectory(d.Directory.Path)
	if err != nil {
		d.problem("mount a tmpfs there, or name another directory by "+shm.EnvDir, "%s", oneLine(err))
		return
	}
	d.Directory.Exists, d.Directory.Type, d.Directory.Options = true, fs.kind, fs.options
	d.Directory.Size, d.Directory.Free = fs.size, fs.free
	dir, another := d.Directory.Path, "name another directory by "+shm.EnvDir
	larger := fmt.Sprintf("mount -o remount,size=1G %s, or docker run --shm-size=1g, or %s", dir, another)
	switch {
	case fs.kind == "tmpfs" && fs.size > 0 && fs.size < leastDirectory: // 0: a tmpfs without a limit
		d.problem(larger, "%s has only %s in all", dir, bytes(fs.size))
	case fs.size > 0 && fs.free < leastFree:
		d.problem("remove what is not needed (tandem ls, tandem clean), or "+larger, "%s has only %s of %s free", dir,
			bytes(fs.free), bytes(fs.size))
	}
	if slices.Contains(fs.options, "ro") {
		d.problem("mount it for writing, or "+another, "%s is read-only", dir)
	}
}

// makeSpace makes a Space as a program would, and leaves it.
func (d *doctor) makeSpace() {
	asked := os.Getenv(shm.EnvHugePages) == "on"
	os.Setenv(shm.EnvHugePages, "on") // so that it tells whether there are any
	sp, err := shm.Private()
	var tracked error
	if err == nil {
		tracked = shm.TrackerError() // while there is a Space
		var st shm.Stats
		st, err = sp.Stats()
		d.Memory.Limit = st.Limit
		d.Directory.HugePages = cmp.Or(st.NoHuge, "available")
		err = errors.Join(err, sp.Close(), shm.Exit())
	}
	if err != nil {
		d.problem("see what the system says", "no Space can be made: %s", oneLine(err))
		return
	}
	d.Directory.SpaceMade = true
	if asked && d.Directory.HugePages != "available" {
		d.problem("mount -o remount,huge=advise "+d.Directory.Path+", or unset the variable", "%s=on, but %s", shm.EnvHugePages,
			d.Directory.HugePages)
	}
	switch {
	case tracked == nil:
		d.Tracker = "on"
	case errors.Is(tracked, detach.ErrAdopts):
		d.Tracker = "none"
	case os.Getenv(shm.EnvTracker) != "off":
		d.problem("see what the system says; until then tandem clean removes what killed processes leave", "%s", oneLine(tracked))
	}
}

// spaces counts what lies there.
func (d *doctor) spaces() {
	inv, err := inspect(false)
	if err != nil {
		d.problem("see what the system says", "%s", oneLine(err))
		return
	}
	memory := int64(0)
	for i := range inv.Spaces {
		e := &inv.Spaces[i]
		switch e.State {
		case shm.StateAlive:
			d.Spaces.Alive++
		case shm.StateKept:
			d.Spaces.Kept++
		case shm.StateLeaked:
			d.Spaces.Leaked++
			memory += e.Memory
			continue
		}
		if e.Err != nil {
			d.Spaces.Damaged++
			do := "remove " + filepath.Join(inv.Dir, e.Files[0])
			if e.Name != "" && e.State != shm.StateUnknown { // what rm can open
				do = "tandem rm --force " + e.Name
			}
			if other := (*shm.VersionError)(nil); errors.As(e.Err, &other) {
				do = fmt.Sprintf("use it with programs of layout version %d, or %s", other.Have, do)
			}
			d.problem(do, "%s: %s", e.Title(), oneLine(e.Err))
		}
	}
	if d.Spaces.Leaked > 0 {
		d.problem("tandem clean", "killed processes left %d Spaces or files behind, %s of memory", d.Spaces.Leaked, bytes(memory))
	}
}

func features() (all []jsonFeature) {
	for _, f := range shm.Features() {
		j := jsonFeature{Name: f.Name, Since: f.Since, Without: f.Without, State: "missing"}
		switch {
		case f.Off:
			j.State = "off"
		case f.InUse:
			j.State = "in use"
		}
		all = append(all, j)
	}
	return all
}

// machine describes the processors, and the policy that follows.
func (d *doctor) machine() {
	futex.Calibrate()
	p := policy.Current()
	m := p.Machine
	d.CPUs = jsonCPUs{Usable: m.Cores, Affinity: m.Affinity, Quota: m.Quota, GOMAXPROCS: runtime.GOMAXPROCS(0), Threads: m.Threads,
		L1: m.L1, L2: m.L2, L3: m.L3, Model: m.Model, Virtual: m.Virtual}
	d.Costs = jsonCosts{Wake: m.Wake.Nanoseconds(), Spin: m.Poll.Nanoseconds()}
	for _, l := range p.Settings() {
		d.Policy = append(d.Policy, jsonSetting{Name: l.Name, Value: l.Value, Source: string(l.Source), Variable: l.Variable})
	}
}

func printDiagnosis(w io.Writer, d jsonDoctor) error {
	var problems, facts, features, settings table
	problems.head(false, "PROBLEM", "WHAT TO DO")
	for _, p := range d.Problems {
		problems.row(0, p.What, p.Do)
	}
	facts.head(false, "HERE", "")
	fact := func(name, format string, args ...any) { facts.row(0, name, fmt.Sprintf(format, args...)) }
	if d.Directory.Exists {
		fact("directory", "%s: %s (%s), %s, %s free", d.Directory.Path, d.Directory.Type, strings.Join(d.Directory.Options, ","),
			bytes(d.Directory.Size), bytes(d.Directory.Free))
	} else {
		fact("directory", "%s: none", d.Directory.Path)
	}
	fact("huge pages", "%s", cmp.Or(d.Directory.HugePages, "unknown"))
	fact("Spaces", "%d alive, %d kept, %d leaked, %d damaged", d.Spaces.Alive, d.Spaces.Kept, d.Spaces.Leaked, d.Spaces.Damaged)
	fact("limit of a Space", "%s", orUnknown(d.Memory.Limit > 0, bytes(d.Memory.Limit)))
	fact("memory of the control group", "%s", either(d.Memory.CgroupLimit > 0,
		bytes(d.Memory.CgroupLimit)+" ("+d.Memory.CgroupFile+")", "no limit"))
	fact("tracker", "%s", d.Tracker+either(d.Tracker == "none", ": this is the first process of its PID namespace, or a subreaper", ""))
	fact("processors", "%d usable: affinity %d, quota %s, GOMAXPROCS %d; threads of a core: %s", d.CPUs.Usable, d.CPUs.Affinity,
		either(d.CPUs.Quota > 0, strconv.FormatFloat(d.CPUs.Quota, 'g', 3, 64), "none"), d.CPUs.GOMAXPROCS,
		orUnknown(d.CPUs.Threads > 0, strconv.Itoa(d.CPUs.Threads)))
	fact("model", "%s%s", cmp.Or(d.CPUs.Model, "unknown"), either(d.CPUs.Virtual, ", virtual", ""))
	fact("caches", "L1 %s, L2 %s, L3 %s", cache(d.CPUs.L1), cache(d.CPUs.L2), cache(d.CPUs.L3))
	fact("a wake-up costs", "%v", time.Duration(d.Costs.Wake))
	fact("a spin-wait hint costs", "%v", time.Duration(d.Costs.Spin))
	features.head(false, "FEATURE", "STATE", "SINCE KERNEL", "WITHOUT IT")
	for _, f := range d.Features {
		features.row(0, f.Name, f.State, f.Since, f.Without)
	}
	settings.head(false, "POLICY", "VALUE", "SOURCE", "VARIABLE")
	for _, s := range d.Policy {
		settings.row(0, s.Name, s.Value, s.Source, s.Variable)
	}
	return printTables(w, problems, facts, features, settings)
}

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

func orUnknown(known bool, text string) string { return either(known, text, "unknown") }

func cache(n int) string { return orUnknown(n > 0, bytes(int64(n))) }
