package shm

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// Names of files. All begin with tandem.<uid>., then
//
//	p.<nonce>                          the root of a private Space, or of one whose name was given up
//	n.<name>                           the root of a named Space
//	g.<nonce>.<index>.<slot>.<gen>     a growth segment: of which Space, its place, who grew it
//	t.<nonce>                          being born, where files cannot be born without a name
//
// The nonce, and not the root's name, is in the name of a growth segment, because a root may change its name.

// EnvDir names the directory for segments instead of /dev/shm. All processes that meet must agree on it.
const EnvDir = "TANDEM_SHM_DIR"

// Dir is the directory for segments: what TANDEM_SHM_DIR says, or /dev/shm.
func Dir() string { return directory() }

func directory() string {
	d := os.Getenv(EnvDir)
	switch {
	case d == "":
		return "/dev/shm"
	case filepath.IsAbs(d):
		return d
	}
	return filepath.Join(startedIn(), d) // wherever the process goes
}

// startedIn is the working directory of the first use.
var startedIn = sync.OnceValue(func() string {
	d, err := os.Getwd()
	if err != nil {
		return "" // it has been removed; what is relative stays so
	}
	return d
})

func prefix() string { return prefixOf(os.Geteuid()) }

func prefixOf(uid int) string { return "tandem." + strconv.Itoa(uid) + "." }

func nonceText(n uint64) string { return fmt.Sprintf("%016x", n) }

func privateFile(nonce uint64) string { return privateFileOf(os.Geteuid(), nonce) }
func namedFile(name string) string    { return prefix() + "n." + name }
func bornFile(nonce uint64) string    { return prefix() + "t." + nonceText(nonce) }

func privateFileOf(uid int, nonce uint64) string { return prefixOf(uid) + "p." + nonceText(nonce) }

func growthFile(nonce uint64, index int, m Member) string {
	return growthFileOf(os.Geteuid(), nonce, index, m)
}

func growthFileOf(uid int, nonce uint64, index int, m Member) string {
	return fmt.Sprintf("%sg.%s.%d.%d.%d", prefixOf(uid), nonceText(nonce), index, m.Slot(), m.Gen())
}

// parseFile takes the name of a file of Tandem apart: whose it is, its kind, "p", "n", "g" or "t", and what follows.
func parseFile(name string) (uid int, kind, rest string, ok bool) {
	name, ours := strings.CutPrefix(name, "tandem.")
	whose, name, _ := strings.Cut(name, ".")
	kind, rest, _ = strings.Cut(name, ".")
	uid, err := strconv.Atoi(whose)
	ok = ours && err == nil && strconv.Itoa(uid) == whose && uid >= 0 && rest != "" && len(kind) == 1 && strings.Contains("pngt", kind)
	return uid, kind, rest, ok
}

// fileKind is what a file of this user is, judged by its name; "" for others' files.
func fileKind(name string) (kind, rest string) {
	uid, kind, rest, ok := parseFile(name)
	if !ok || uid != os.Geteuid() {
		return "", ""
	}
	return kind, rest
}

// nonceOf reads the nonce at the start of the rest of a p, g or t name.
func nonceOf(rest string) (uint64, bool) {
	text, _, _ := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(text, 16, 64)
	return n, err == nil && len(text) == 16
}

// CheckName tells whether a Space can have this name: 1 to 200 letters, digits, '.', '_', '-'. Its error is an ErrName.
func CheckName(name string) error {
	if name == "" || len(name) > layout.NameMax {
		return fmt.Errorf("%w: %q has %d bytes, the limit is 1 to %d", ErrName, name, len(name), layout.NameMax)
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("%w: %q has %q at %d; letters, digits, '.', '_' and '-' are allowed", ErrName, name, c, i)
		}
	}
	return nil
}

// randomNonce is never 0, nor are its low 32 bits.
func randomNonce() uint64 {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails
		if n := binary.LittleEndian.Uint64(b[:]); uint32(n) != 0 {
			return n
		}
	}
}

func inDir(dir, file string) string { return filepath.Join(dir, file) }
