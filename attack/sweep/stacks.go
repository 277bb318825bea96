package sweep

import (
	"regexp"
	"strings"
)

var frameDetail = regexp.MustCompile(`( \+0x[0-9a-f]+)?( fp=0x[0-9a-f]+ sp=0x[0-9a-f]+ pc=0x[0-9a-f]+)?$`)

// stacks keeps of a Go traceback the goroutines that are in somebody's code, and of these the frames that are not the
// runtime's. Text without a traceback stays as it is.
func stacks(s string) string {
	blocks := strings.Split(s, "\n\n")
	var kept []string
	for _, b := range blocks {
		lines := strings.Split(strings.Trim(b, "\n"), "\n")
		if !strings.HasPrefix(lines[0], "goroutine ") {
			continue
		}
		out := []string{lines[0]}
		for i := 1; i+1 < len(lines); i += 2 {
			if runtimeFrame(lines[i]) {
				continue
			}
			out = append(out, lines[i], frameDetail.ReplaceAllString(lines[i+1], ""))
		}
		if len(out) > 1 {
			kept = append(kept, strings.Join(out, "\n"))
		}
	}
	if len(kept) == 0 {
		return s
	}
	return strings.Join(kept, "\n")
}

func runtimeFrame(line string) bool {
	line = strings.TrimPrefix(line, "created by ")
	for _, p := range []string{"runtime.", "runtime/", "internal/runtime/", "main.main("} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return false
}
