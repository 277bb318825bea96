package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/shm"
	"github.com/tandem-ipc/tandem/shm/shmtest"
)

func TestMain(m *testing.M) {
	roles.Run(map[string]roles.Role{"member": member, "tandem": tandem, "called": called, "mailbox": mailbox})
	shmtest.Main(m)
}

// member attaches to the named Space, or to a private one, grows it on demand, and leaves when told.
func member(p *roles.Peer, args []string) {
	open := shm.Private
	if args[0] != "" {
		open = func() (*shm.Space, error) { return shm.OpenSpace(args[0]) }
	}
	sp, err := open()
	p.Must(err)
	p.Say("%s", sp.Name())
	for {
		switch p.Hear() {
		case "grow":
			o, err := sp.NewObject(shm.Spec{Kind: 2, Header: 712, Sets: 1, Data: 3 << 20})
			p.Must(err)
			p.Say("%v", o.Handle())
		case "toil": // until told to stop
			p.Say("toiling")
			stop := make(chan string)
			go func() { stop <- p.Hear() }()
			rounds := 0
			for going := true; going; rounds++ {
				o, err := sp.NewObject(shm.Spec{Kind: 2, Header: 712, Sets: 1, Data: 2 << 20})
				p.Must(err)
				o.Data[rounds]++
				p.Must(o.Close())
				select {
				case <-stop:
					going = false
				default:
				}
			}
			p.Must(sp.Check())
			p.Say("%d rounds", rounds)
		case "work":
			o, err := sp.NewObject(shm.Spec{Kind: 2, Header: 712, Sets: 1, Data: 5000})
			p.Must(err)
			p.Must(o.Close())
			p.Must(sp.Check())
			p.Say("worked")
		case "exit":
			p.Must(shm.Exit())
			p.Say("left")
		}
	}
}

// tandem is the command in a process of its own; a first argument of the form dir:size=…[,ro] mounts a file system there first,
// and "adopting" makes orphans its children.
func tandem(p *roles.Peer, args []string) {
	if args[0] == "adopting" {
		p.Must(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		args = args[1:]
	}
	if dir, options, mounts := strings.Cut(args[0], ":"); mounts {
		p.Must(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")) // what follows is ours alone
		size, ro := strings.CutSuffix(options, ",ro")
		p.Must(unix.Mount("tmpfs", dir, "tmpfs", uintptr(map[bool]int{true: unix.MS_RDONLY}[ro]), size))
		p.Must(os.Setenv(shm.EnvDir, dir))
		args = args[1:]
	}
	os.Exit(run(append([]string{"tandem"}, args...), os.Stdout, os.Stderr))
}

// start starts a member, without a tracker: what it leaves stays.
func start(t *testing.T, space string) (*roles.Proc, string) {
	t.Helper()
	p := roles.StartAs(t, []string{"TANDEM_TRACKER=off", "TANDEM_SWEEP=off"}, nil, "member", space)
	t.Cleanup(func() {
		p.Kill()
		if _, err := shm.Sweep(); err != nil {
			t.Error(err)
		}
	})
	return p, p.Hear()
}

// command runs the command and returns what it prints.
func command(args ...string) (status int, out, errs string) {
	var o, e strings.Builder
	status = run(append([]string{"tandem"}, args...), &o, &e)
	return status, o.String(), e.String()
}

// ok runs a command that must be done, without an error.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	status, out, errs := command(args...)
	if status != exitDone || errs != "" {
		t.Fatalf("tandem %v: %d %s\n%s", args, status, errs, out)
	}
	return out
}

// refused runs a command that must end with status and one line that says each of what.
func refused(t *testing.T, want int, args []string, what ...string) {
	t.Helper()
	status, _, errs := command(args...)
	if status != want || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "tandem: ") {
		t.Errorf("tandem %v: %d, want %d: %q", args, status, want, errs)
	}
	for _, w := range what {
		if !strings.Contains(errs, w) {
			t.Errorf("tandem %v: %q does not say %q", args, errs, w)
		}
	}
}

// listed decodes ls --json, in which nothing may be that is not in our structs.
func listed(t *testing.T) jsonInventory {
	t.Helper()
	var inv jsonInventory
	decode(t, ok(t, "ls", "--json"), &inv)
	return inv
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

func left(t *testing.T) []string {
	t.Helper()
	all, err := os.ReadDir(os.Getenv(shm.EnvDir))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

func TestLsShowsALivingTree(t *testing.T) {
	a, _ := start(t, "living")
	b, _ := start(t, "living")
	block := filepath.Join(os.Getenv(shm.EnvDir), "psm_\x1b[31m")
	if err := os.WriteFile(block, make([]byte, 9000), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(block)
	out := ok(t, "ls")
	for _, want := range []string{
		`(?m)^SPACE +ID +STATE +MEMORY +USED +LIMIT +AGE +MEMBERS +NOTE$`,
		`(?m)^living +[0-9a-f]{16} +alive +1\.[0-9]+ MiB +0 B +[0-9.]+ .iB +[0-9]+s +2$`,
		`(?m)^1\.1 +living +` + strconv.Itoa(a.Cmd.Process.Pid) + ` +exe +alive +[0-9]+s$`,
		`(?m)^2\.1 +living +` + strconv.Itoa(b.Cmd.Process.Pid) + ` +exe +alive +[0-9]+s$`,
		`(?m)^psm_\?\[31m +12 KiB +[0-9]+s$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%s does not match\n%s", want, out)
		}
	}
	if all := ok(t, "ls", "--all"); !strings.HasPrefix(all, "USER ") || !strings.Contains(all, "\n"+strconv.Itoa(os.Geteuid())+" ") {
		t.Error(all)
	}
	inv := listed(t)
	if len(inv.Spaces) != 1 || inv.Dir != os.Getenv(shm.EnvDir) || len(inv.Blocks) != 1 || inv.Blocks[0].Size != 9000 {
		t.Fatalf("%+v", inv)
	}
	s := inv.Spaces[0]
	if s.Name != "living" || s.State != "alive" || s.Kind != "space" || len(s.Members) != 2 || s.Members[1].PID != b.Cmd.Process.Pid ||
		s.Members[0].Slot != 1 || s.Members[0].Dead || s.Created == nil || s.Error != "" || len(s.Files) != 1 {
		t.Errorf("%+v", s)
	}
	if out := ok(t, "clean"); out != "nothing to clean\n" {
		t.Error(out)
	}
}

func TestLsOfNothingSaysSo(t *testing.T) {
	if out := ok(t, "ls"); out != "nothing in "+os.Getenv(shm.EnvDir)+"\n" {
		t.Error(out)
	}
	inv := ok(t, "ls", "--json")
	if !strings.Contains(inv, `"spaces": []`) || !strings.Contains(inv, `"blocks": []`) {
		t.Error(inv)
	}
}

// A tree is killed, another one works on: exactly the first one's files go, whatever is running meanwhile.
func TestCleanTakesTheLeakedAndNothingElse(t *testing.T) {
	alive, _ := start(t, "alive")
	alive.Ask("grow")
	stopped, _ := start(t, "")
	stopped.Stop()
	stays := left(t)
	for _, space := range []string{"", "crashed"} {
		p, _ := start(t, space)
		p.Ask("grow")
		p.Kill()
	}
	all := left(t)
	if len(all) != len(stays)+4 {
		t.Fatalf("%v", all)
	}
	out := ok(t, "ls")
	if n := strings.Count(out, " leaked "); n != 2 || strings.Count(out, " dead ") != 2 {
		t.Error(out)
	}
	dry := ok(t, "clean", "--dry-run")
	if got := left(t); !slices.Equal(got, all) {
		t.Fatalf("a dry run left %v of %v", got, all)
	}
	var plan jsonClean
	decode(t, ok(t, "clean", "--json", "--dry-run"), &plan)
	if !plan.DryRun || len(plan.Removed) != 2 || plan.Memory < 8<<20 || len(plan.Removed[0].Files) != 2 {
		t.Errorf("%+v", plan)
	}
	done := ok(t, "clean")
	if strings.ReplaceAll(strings.ReplaceAll(dry, "would remove", "removed"), "would come", "came") != done {
		t.Errorf("planned:\n%sdone:\n%s", dry, done)
	}
	want := regexp.MustCompile(`^removed private space [0-9a-f]{16}: [0-9.]+ MiB
removed space "crashed": [0-9.]+ MiB
[0-9.]+ MiB of memory came back
$`)
	if !want.MatchString(done) {
		t.Error(done)
	}
	if got := left(t); !slices.Equal(got, stays) {
		t.Fatalf("left %v, want %v", got, stays)
	}
	if got := alive.Ask("work"); got != "worked" {
		t.Error(got)
	}
}

// One tree toils, grows and allocates, while others are killed and cleaned up behind.
func TestCleanIsInNobodysWay(t *testing.T) {
	private, _ := start(t, "")
	named, _ := start(t, "toil")
	for _, p := range []*roles.Proc{private, named} {
		if got := p.Ask("toil"); got != "toiling" {
			t.Fatal(got)
		}
	}
	for range 10 {
		p, _ := start(t, "")
		q, _ := start(t, "crashed")
		p.Ask("grow")
		p.Kill()
		q.Kill()
		var done jsonClean
		decode(t, ok(t, "clean", "--json"), &done)
		if len(done.Removed) != 2 || done.Removed[0].Name != "" || done.Removed[1].Name != "crashed" {
			t.Fatalf("%+v", done)
		}
	}
	for _, p := range []*roles.Proc{private, named} {
		if got := p.Ask("stop"); !strings.HasSuffix(got, " rounds") {
			t.Error(got)
		}
	}
	for _, s := range listed(t).Spaces {
		if s.State != "alive" || s.Error != "" || s.Segments < 2 {
			t.Errorf("%+v", s)
		}
	}
}

// Root sees and cleans everyone's files if told so, but for mailboxes.
func TestCleanOfAllUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to become another user")
	}
	dir := os.Getenv(shm.EnvDir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}}
	environ := []string{"TANDEM_TRACKER=off", "TANDEM_SWEEP=off"}
	for _, space := range []string{"", "theirs"} {
		p := roles.StartAs(t, environ, attr, "member", space)
		p.Hear()
		p.Ask("grow")
		p.Kill()
	}
	box := roles.StartAs(t, environ, attr, "mailbox")
	box.Expect("made")
	mine, _ := start(t, "mine")
	mine.Kill()

	theirs := roles.StartAs(t, environ, attr, "tandem", "ls", "--all")
	var seen []string
	for line := range theirs.Lines() {
		if strings.HasPrefix(line, "0 ") {
			seen = append(seen, line)
		}
	}
	if theirs.Wait() != exitDone || len(seen) != 1 || !strings.Contains(seen[0], " unknown ") ||
		!strings.Contains(seen[0], "permission denied") {
		t.Errorf("another user sees %q", seen)
	}
	if inv := listed(t); len(inv.Spaces) != 1 {
		t.Errorf("%+v", inv)
	}
	if out := ok(t, "ls", "--all"); strings.Count(out, "\n65534 ") != 3 {
		t.Error(out)
	}
	var done jsonClean
	decode(t, ok(t, "clean", "--json"), &done)
	if len(done.Removed) != 1 || done.Removed[0].Name != "mine" {
		t.Errorf("%+v", done)
	}
	decode(t, ok(t, "clean", "--all", "--json"), &done)
	if len(done.Removed) != 2 || done.Removed[0].UID != 65534 || done.Removed[1].Name != "theirs" || len(done.Removed[1].Files) != 2 {
		t.Errorf("%+v", done)
	}
	if got := left(t); len(got) != 1 || got[0] != "tandem.65534.n.box" {
		t.Errorf("left: %v", got)
	}
	gone := roles.StartAs(t, environ, attr, "tandem", "rm", "box")
	gone.Expect(`removed space "box"`)
	if gone.Wait() != exitDone || len(left(t)) != 0 {
		t.Errorf("left: %v", left(t))
	}
}

func mailbox(p *roles.Peer, _ []string) {
	sp, err := shm.OpenSpace("box", shm.Keep())
	p.Must(err)
	p.Must(sp.Close())
	p.Say("made")
}

func TestCleanSaysWhatItCannotRemove(t *testing.T) {
	trap := filepath.Join(os.Getenv(shm.EnvDir), "tandem."+strconv.Itoa(os.Geteuid())+".n.trap")
	if err := os.Mkdir(trap, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(trap)
	refused(t, exitProblem, []string{"clean"}, trap)
	status, out, _ := command("clean", "--json")
	var got jsonClean
	decode(t, out, &got)
	if status != exitProblem || len(got.Errors) != 1 || !strings.Contains(got.Errors[0], trap) {
		t.Errorf("%d %+v", status, got)
	}
}

func TestRmRemovesWhatIsNotInUse(t *testing.T) {
	sp, err := shm.OpenSpace("box", shm.Keep())
	if err != nil {
		t.Fatal(err)
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	if out := ok(t, "ls"); !regexp.MustCompile(`(?m)^box .* kept .* mailbox$`).MatchString(out) {
		t.Error(out)
	}
	if out := ok(t, "clean"); out != "nothing to clean\n" {
		t.Error(out)
	}
	used, _ := start(t, "used")
	refused(t, exitProblem, []string{"rm", "used", "box"}, `"used"`, strconv.Itoa(used.Cmd.Process.Pid)+" (exe)")
	refused(t, exitProblem, []string{"rm", "box"}, `"box"`, "no such file") // the other one was removed
	if out := ok(t, "rm", "--force", "used"); out != "took the name of space \"used\", members that go on without it: 1\n" {
		t.Error(out)
	}
	box, err := shm.OpenSpace("box", shm.Keep())
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	if out := ok(t, "rm", "-f", "box"); out != "removed space \"box\"\n" {
		t.Error(out)
	}
	inv := listed(t)
	if len(inv.Spaces) != 1 || inv.Spaces[0].Name != "" || inv.Spaces[0].OldName != "used" || inv.Spaces[0].State != "alive" {
		t.Errorf("%+v", inv)
	}
	if got := used.Ask("work"); got != "worked" {
		t.Error(got)
	}
	other, err := shm.OpenSpace("used", shm.Create())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if got := used.Ask("exit"); got != "left" {
		t.Error(got)
	}
	if got := left(t); len(got) != 0 {
		t.Error(got)
	}
}

func TestRmOfSeveralRemovesWhatItCanAndNamesTheRest(t *testing.T) {
	for _, name := range []string{"one", "two"} {
		sp, err := shm.OpenSpace(name, shm.Keep())
		if err != nil {
			t.Fatal(err)
		}
		if err := sp.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Wrong names are found before anything is removed.
	refused(t, exitUsage, []string{"rm", "one", "a/b", "missing", "c d"}, `"a/b"`, `"c d"`, "nothing was removed")
	if inv := listed(t); len(inv.Spaces) != 2 {
		t.Fatalf("%+v", inv)
	}
	status, out, errs := command("rm", "missing", "one", "gone", "two")
	if status != exitProblem || out != "removed space \"one\"\nremoved space \"two\"\n" || strings.Count(errs, "\n") != 2 ||
		!strings.Contains(errs, `"missing"`) || !strings.Contains(errs, `"gone"`) {
		t.Errorf("%d\n%s%s", status, out, errs)
	}
	if got := left(t); len(got) != 0 {
		t.Error(got)
	}
}

func TestWrongUseIsTwo(t *testing.T) {
	for _, args := range [][]string{{}, {"frob"}, {"ls", "x"}, {"ls", "--frob"}, {"clean", "x"}, {"rm"}, {"rm", "a/b"},
		{"version", "x"}, {"doctor", "x"}, {"--json", "ls"}} {
		refused(t, exitUsage, args, "see tandem --help")
	}
	t.Setenv(shm.EnvDir, "/nonexistent")
	refused(t, exitProblem, []string{"ls"}, "/nonexistent")
	refused(t, exitProblem, []string{"clean"}, "/nonexistent")
	refused(t, exitProblem, []string{"clean", "-n"}, "/nonexistent")
}

func TestHelpHasExamples(t *testing.T) {
	for _, c := range root(nil).Commands {
		if out := ok(t, c.Name, "--help"); !strings.Contains(out, "Example") || strings.Contains(out, "\t") {
			t.Error(out)
		}
	}
	if out := ok(t, "--help"); !strings.Contains(out, "tandem clean") {
		t.Error(out)
	}
}

func TestVersionNamesTheLayout(t *testing.T) {
	var v jsonVersion
	decode(t, ok(t, "version", "--json"), &v)
	if v.Layout == 0 || v.Version == "" || !strings.Contains(ok(t, "version"), "layout "+strconv.Itoa(v.Layout)) {
		t.Errorf("%+v", v)
	}
}

var field = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|")

// docs/command.md describes each field, and nothing that is not there.
func TestEveryFieldIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/command.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(text), "\n### ")
	for name, v := range documented {
		i := slices.IndexFunc(sections, func(s string) bool { return strings.HasPrefix(s, name+"\n") })
		if i < 0 {
			t.Errorf("no section %q", name)
			continue
		}
		var got []string
		for _, m := range field.FindAllStringSubmatch(sections[i], -1) {
			got = append(got, m[1])
		}
		if want := fields(reflect.TypeOf(v)); !slices.Equal(got, want) {
			t.Errorf("%s documents %v\nwant %v", name, got, want)
		}
	}
}

var documented = map[string]any{
	"tandem ls --json": jsonInventory{}, "A space": jsonSpace{}, "A member": jsonMember{}, "A block": jsonBlock{},
	"tandem clean --json": jsonClean{}, "tandem version --json": jsonVersion{}, "tandem doctor --json": jsonDoctor{},
	"A problem": jsonProblem{}, "directory": jsonDirectory{}, "spaces": jsonCounts{}, "memory": jsonMemory{}, "cpus": jsonCPUs{},
	"costs": jsonCosts{}, "A feature": jsonFeature{}, "A setting": jsonSetting{},
}

func fields(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func TestErrorsAreOneLine(t *testing.T) {
	if got := oneLine(errors.Join(errors.New("a"), errors.New("b\x1b[2J"))); got != "a; b?[2J" {
		t.Error(got)
	}
}

func TestSizesAndAgesFit(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1 << 20: "1 MiB", 1<<20 - 1: "1 MiB", 1536: "1.5 KiB",
		1023 << 10: "0.999 MiB", 999 << 10: "999 KiB", 123 << 30: "123 GiB", 1<<63 - 1: "8 EiB"} {
		if got := bytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
