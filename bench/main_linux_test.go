package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// harnessVariable makes the test binary be the command: its value is the arguments.
const harnessVariable = "TANDEM_BENCH_TEST_HARNESS"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" || os.Getenv(waitVariable) != "" {
		main()
		return
	}
	if args := os.Getenv(harnessVariable); args != "" {
		os.Args = append(os.Args[:1], strings.Fields(args)...)
		main()
		return
	}
	before := descriptors()
	code := m.Run()
	if after := descriptors(); code == 0 && len(after) > len(before) {
		fmt.Fprintf(os.Stderr, "descriptors are left: %v before, %v after\n", before, after)
		code = 1
	}
	if code == 0 && childLeft() {
		fmt.Fprintln(os.Stderr, "a child process is left")
		code = 1
	}
	os.Exit(code)
}

func descriptors() []string {
	var all []string
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(to, "anon_inode:") { // the runtime's own, made when first needed
			all = append(all, e.Name()+" "+to)
		}
	}
	return all
}

// runHarness runs the harness in this process; its roles are processes of the test binary.
func runHarness(t testing.TB, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, aside bytes.Buffer
	err = harness(context.Background(), append([]string{"-format=json", "-only="}, args...), &out, &aside)
	return out.String(), aside.String(), err
}

var vocabulary = map[string]*regexp.Regexp{
	"bench":  regexp.MustCompile(`^(floor|spsc|conn|rtt|waiters|idle|recovery|policy)$`),
	"impl":   regexp.MustCompile(`^(tandem|tandem-free|c|c-index|pipe|unix|chan|python|go|auto|(spin|spinners|ring|publish|copy)-[0-9a-z]+)$`),
	"case":   regexp.MustCompile(`^(single|batch|zerocopy|cacheline|oneline|futex|futex-free|memcpy|copy2|one|all|threads|kill|(receiver|sender|crowd|peer)-(switches|cpu)|trips|pairs|crowd|stream)$`),
	"wait":   regexp.MustCompile(`^(spin|block|auto)$`),
	"metric": regexp.MustCompile(`^(throughput|bandwidth|roundtrip|latency|first-message|start-wait|cpu|memory|threads|switches)$`),
	"unit":   regexp.MustCompile(`^(msg/s|op/s|B/s|ns|B|count|/s)$`),
}

func TestEveryRowRunsAndItsLineKeepsToTheVocabulary(t *testing.T) {
	stdout, stderr, err := runHarness(t, "-quick")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	m, err := readMachine()
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := groups()
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, g := range all {
		for _, r := range g.Rows {
			if m.cpusFor(g.cores()) != nil {
				missing[r.Name()] = true
			}
		}
	}
	for line := range strings.Lines(stdout) {
		var words map[string]any
		if err := json.Unmarshal([]byte(line), &words); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for key, allowed := range vocabulary {
			if s, ok := words[key].(string); !ok || !allowed.MatchString(s) {
				t.Errorf("%s is %v: %s", key, words[key], line)
			}
		}
		for _, key := range []string{"size", "batch", "procs", "producers", "consumers", "cores", "value", "min", "max", "runs"} {
			v, ok := words[key].(float64)
			none := v == 0 && words["bench"] == "idle" // the best there is
			if !ok || v <= 0 && !none || math.IsInf(v, 0) {
				t.Errorf("%s is %v: %s", key, words[key], line)
			}
		}
		for _, key := range []string{"p50", "p99", "p999"} {
			v, there := words[key]
			if _, number := v.(float64); !there || v != nil && !number {
				t.Errorf("%s is %v: %s", key, v, line)
			}
			if (words["metric"] == "roundtrip" || words["metric"] == "latency") != (v != nil) {
				t.Errorf("%s is %v in a row of %v: %s", key, v, words["metric"], line)
			}
		}
		var r Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Min > r.Value || r.Value > r.Max {
			t.Errorf("min, median and max are out of order: %s", line)
		}
		row := Row{Bench: r.Bench, Impl: r.Impl, Case: r.Case, Size: r.Size, Wait: r.Wait, Cores: r.Cores}
		delete(missing, row.Name())
	}
	for name := range missing {
		t.Errorf("%s has no line", name)
	}
}

func TestGobenchLinesParse(t *testing.T) {
	stdout, stderr, err := runHarness(t, "-quick", "-format=gobench", "-only=^(rtt|floor|spsc)/.*/(64|65536)/")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	header := regexp.MustCompile(`^(goos|goarch|pkg|cpu): \S`)
	line := regexp.MustCompile(`^Benchmark[A-Z]\w*(/[a-z]+=[\w-]+)+-\d+\t\d+(\t[\d.]+ (ns/op|MB/s|B|p[\d.]+-ns))+$`)
	n := 0
	for s := bufio.NewScanner(strings.NewReader(stdout)); s.Scan(); {
		switch {
		case line.MatchString(s.Text()):
			n++
		case !header.MatchString(s.Text()):
			t.Errorf("not a line of a benchmark: %q", s.Text())
		}
	}
	if n == 0 {
		t.Error("no benchmark at all")
	}
}

func TestATableHasTheMachineTheRowsAndTheirNotes(t *testing.T) {
	stdout, stderr, err := runHarness(t, "-quick", "-format=text", "-only=^conn/(pipe|unix)/.*/64/block/1")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	for _, want := range []string{`(?m)^machine +\S`, `(?m)^placement +\S`, `(?m)^conn$`, `pipe \[1\]`, `M?k? msg/s`, `[\d.]+ × unix`, `(?m)^\[1\] pipe, unix:`} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("no %s in\n%s", want, stdout)
		}
	}
}

func TestOnlyKeepsTheNeighboursThatARowIsDividedBy(t *testing.T) {
	stdout, _, err := runHarness(t, "-list", "-only=^conn/chan/single/64/block/1$")
	if err != nil {
		t.Fatal(err)
	}
	want := "conn/pipe/single/64/block/1\nconn/unix/single/64/block/1\nconn/chan/single/64/block/1\n"
	if stdout != want {
		t.Errorf("got\n%swant\n%s", stdout, want)
	}
	if _, _, err := runHarness(t, "-list", "-only=^nothing$"); err == nil {
		t.Error("a pattern without rows is no error")
	}
}

// brokenVariable gives every slot of the floor's futexes on one CPU a row that goes wrong in the way it says.
const brokenVariable = "TANDEM_BENCH_TEST_BROKEN"

var spins int

// atWork is what a row that never ends says first.
const atWork = "at work"

func init() {
	sources = append(sources, func(s Slot) []*Row {
		how := os.Getenv(brokenVariable)
		if how == "" || s.Case != "futex" || s.Cores != 1 {
			return nil
		}
		row := Row{Bench: "floor", Impl: "broken", Case: how, Size: 64, Wait: "block", Cores: 1,
			Metric: Throughput, Unit: MessagesPerSecond, A: osWriter(pipeEnds), B: osReader}
		switch how {
		case "lie": // reads something else than was sent
			row.B = func(r *Role) error {
				e, err := accept(r)
				if err != nil {
					return err
				}
				defer e.close()
				if err := r.Go(); err != nil {
					return err
				}
				for r.Left() {
					for range r.Chunk {
						if err := readAll(e.in, r.Out()); err != nil {
							return err
						}
						r.Out()[0]++
						r.Read(r.Out())
					}
				}
				return nil
			}
		case "error": // while the other waits for what it does not send
			row.A = func(r *Role) error {
				if _, err := offer(r, pipeEnds); err != nil {
					return err
				}
				if err := r.Go(); err != nil {
					return err
				}
				return errors.New("as arranged")
			}
		case "death", "silence", "haste":
			row.B = nil
			row.A = func(r *Role) error {
				if err := r.Go(); err != nil {
					return err
				}
				fmt.Fprintln(os.Stderr, atWork)
				if how == "death" {
					endGroup()
				}
				if how == "haste" {
					for i := range math.MaxInt {
						spins = i
					}
				}
				select {}
			}
		}
		return []*Row{&row}
	})
}

func TestARowThatFailsIsReportedAndTheOthersGoOn(t *testing.T) {
	for how, want := range map[string]string{
		"lie":     "add up to",
		"error":   "as arranged",
		"death":   "role A died",
		"silence": "role A hangs",
	} {
		t.Run(how, func(t *testing.T) {
			t.Setenv(brokenVariable, how)
			if how == "silence" {
				defer func(d time.Duration) { hang = d }(hang)
				hang = 2 * time.Second // the rows that do not hang are far quicker
			}
			stdout, stderr, err := runHarness(t, "-quick", "-only=^floor/broken|^rtt/pipe/.*/1$")
			if !errors.Is(err, errRows) {
				t.Errorf("the error is %v", err)
			}
			if want := "floor/broken/" + how + "/64/block/1 failed: "; !strings.Contains(stderr, want) {
				t.Errorf("no %q in %q", want, stderr)
			}
			if !strings.Contains(stderr, want) {
				t.Errorf("no %q in %q", want, stderr)
			}
			if !strings.Contains(stdout, `"impl":"pipe"`) {
				t.Errorf("the row after it has no line: %q", stdout)
			}
		})
	}
}

func TestNothingOutlivesTheHarness(t *testing.T) {
	for _, how := range []string{"silence", "haste"} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
			t.Run(how+"/"+sig.String(), func(t *testing.T) {
				// Everything that the harness starts has its standard error, which ends when all of them have.
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if err := r.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), harnessVariable+"=-time=1h -only=^floor/broken", brokenVariable+"="+how)
				cmd.Stderr = w
				err = cmd.Start()
				w.Close()
				if err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewScanner(r)
				for lines.Scan() && lines.Text() != atWork {
				}
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				for lines.Scan() {
				}
				if err := lines.Err(); err != nil {
					t.Errorf("a process still has the harness's standard error: %v", err)
				}
				err = cmd.Wait()
				if sig == syscall.SIGINT && cmd.ProcessState.ExitCode() != 130 {
					t.Errorf("it ended with %v", err)
				}
			})
		}
	}
}

func TestARatioIsTheMedianOfTheRepetitionsRatios(t *testing.T) {
	// The machine is ten times slower in the second repetition: both rows are, the ratio is not.
	own, base := map[int]float64{0: 200, 1: 20, 2: 210}, map[int]float64{0: 100, 1: 10, 2: 100, 3: 7}
	got := ratios(own, base)
	if len(got) != 3 || median(got) != 2 {
		t.Errorf("ratios %v, median %v", got, median(got))
	}
}

func TestAQuantileLiesBetweenItsNeighbours(t *testing.T) {
	v := []float64{4, 1, 3, 2}
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4, 0.25: 1.75} {
		if got := quantile(v, q); got != want {
			t.Errorf("quantile %v of %v is %v, not %v", q, v, got, want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("there is a median of nothing")
	}
}

func TestARowOfAnUnknownUnitOrWaitIsRefused(t *testing.T) {
	good := Row{Bench: "spsc", Impl: "c", Case: "single", Size: 8, Wait: "spin", Cores: 1, Metric: Throughput, Unit: MessagesPerSecond}
	if err := good.fill(); err != nil {
		t.Fatal(err)
	}
	for _, spoil := range []func(*Row){
		func(r *Row) { r.Unit = Nanoseconds },
		func(r *Row) { r.Metric = "speed" },
		func(r *Row) { r.Wait = "sleep" },
		func(r *Row) { r.Batch, r.Chunk = 32, 33 },
	} {
		bad := good
		spoil(&bad)
		if bad.fill() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestASlowRowInCSaysSo(t *testing.T) {
	row := &Row{Bench: "spsc", Impl: "c", Case: "batch", Size: 64, Wait: "spin", Cores: 2, Unit: MessagesPerSecond}
	line := 460.0 // twice the reference's, so half its 110 M msg/s may be expected
	for value, slow := range map[float64]bool{30e6: true, 54e6: false, 200e6: false} {
		note := slowerThanReference(row, Result{Value: value, Line: &line})
		if (note != "") != slow {
			t.Errorf("%v: %q", value, note)
		}
	}
}

func TestFiguresAreReadable(t *testing.T) {
	for want, got := range map[string]string{
		"12.3 M msg/s": human(12.34e6, MessagesPerSecond),
		"95.0 ns":      human(95, Nanoseconds),
		"1.20 µs":      human(1200, Nanoseconds),
		"8.70 GB/s":    human(8.7e9, BytesPerSecond),
		"1 MiB":        humanSize(1 << 20),
		"24 B":         humanSize(24),
	} {
		if got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}
