package shm

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// adviseHuge asks for huge pages, and turns what is there into some. Both are wishes: what the kernel refuses stays as it is.
func adviseHuge(mem []byte) {
	if unix.Madvise(mem, unix.MADV_HUGEPAGE) == nil {
		_ = unix.Madvise(mem, unix.MADV_COLLAPSE)
	}
}

// hugeDenied says why the kernel gives no huge pages to files in dir; "" if it may.
func hugeDenied(dir string) string {
	const knob = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
	b, err := os.ReadFile(knob)
	if err != nil {
		return "this kernel has no huge pages for files in memory"
	}
	_, set, _ := strings.Cut(string(b), "[")
	switch set, _, _ = strings.Cut(set, "]"); set {
	case "force":
		return ""
	case "deny":
		return knob + " says deny"
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Sprintf("%s: %v", dir, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err.Error()
	}
	device := fmt.Sprintf("%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)))
	switch hugeOption(mounts, device) {
	case "always", "within_size", "advise":
		return ""
	}
	return dir + " is not mounted with huge=advise, within_size or always"
}

// hugeOption is how a tmpfs with this device was mounted: huge=… of /proc/self/mountinfo.
func hugeOption(mounts []byte, device string) string {
	for lines := bufio.NewScanner(bytes.NewReader(mounts)); lines.Scan(); {
		// 25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24684084k,huge=advise
		before, after, _ := strings.Cut(lines.Text(), " - ")
		f, fs := strings.Fields(before), strings.Fields(after)
		if len(f) < 3 || f[2] != device || len(fs) < 3 || fs[0] != "tmpfs" {
			continue
		}
		for option := range strings.SplitSeq(fs[2], ",") {
			if how, ok := strings.CutPrefix(option, "huge="); ok {
				return how
			}
		}
	}
	return ""
}

// hugeMapped is how much of mem this process has mapped by huge pages.
func hugeMapped(mem []byte) (int64, error) { return smaps(mem, "ShmemPmdMapped:") }

// smaps sums up a field of /proc/self/smaps over the mappings that begin in mem.
func smaps(mem []byte, field string) (total int64, err error) {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	from := addressOf(mem)
	ours := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		word := strings.Fields(lines.Text())
		if len(word) == 0 {
			continue
		}
		if low, _, ok := strings.Cut(word[0], "-"); ok {
			at, err := strconv.ParseUint(low, 16, 64)
			ours = err == nil && at >= from && at < from+uint64(len(mem))
		}
		if ours && word[0] == field && len(word) > 1 {
			kib, err := strconv.ParseInt(word[1], 10, 64)
			if err != nil {
				return total, err
			}
			total += kib << 10
		}
	}
	return total, lines.Err()
}
