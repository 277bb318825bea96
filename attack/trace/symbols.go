package trace

import (
	"debug/dwarf"
	"debug/elf"
	"debug/gosym"
	"fmt"
	"path/filepath"
	"sort"
	"strings"
)

// image is an ELF file mapped into the victim.
type image struct {
	path  string
	bias  uint64 // mapped address minus address in the file
	file  *elf.File
	funcs []elf.Symbol // by address
	lines *gosym.Table // Go's own, nil if there is none
	dwarf *dwarf.Data  // loaded when first needed
	bare  bool         // stripped
	tried bool
}

// addressRange is [low, high).
type addressRange struct{ low, high uint64 }

func openImage(path string) (*image, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	im := &image{path: path, file: f}
	symbols, err := f.Symbols()
	if err != nil {
		symbols, _ = f.DynamicSymbols()
		im.bare = true
	}
	text := uint64(0)
	for _, s := range symbols {
		if s.Name == "runtime.text" {
			text = s.Value
		}
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Value != 0 {
			im.funcs = append(im.funcs, s)
		}
	}
	sort.SliceStable(im.funcs, func(i, j int) bool { return im.funcs[i].Value < im.funcs[j].Value })
	im.loadGo(text)
	return im, nil
}

// loadGo reads Go's table of lines, which stripping leaves. It counts from runtime.text; where that symbol was stripped,
// it is the start of .text, unless an external linker put start-up code before it.
func (im *image) loadGo(text uint64) {
	pcln := im.file.Section(".gopclntab")
	if pcln == nil {
		return
	}
	if text == 0 {
		t := im.file.Section(".text")
		if t == nil || im.file.Section(".interp") != nil {
			return
		}
		text = t.Addr
	}
	data, err := pcln.Data()
	if err != nil {
		return
	}
	if t, err := gosym.NewTable(nil, gosym.NewLineTable(data, text)); err == nil {
		im.lines = t
	}
}

func (im *image) close() { im.file.Close() }

// place computes the bias from one mapping of the file.
func (im *image) place(start, offset uint64) {
	for _, p := range im.file.Progs {
		if p.Type == elf.PT_LOAD && offset+4096 > p.Off && offset < p.Off+p.Filesz {
			im.bias = start - (p.Vaddr - p.Off + offset)
			return
		}
	}
}

// name gives "function+0x12" and "file.go:34" where known. The line is the function's own, not that of something inlined
// into it: every atomic store is inlined.
func (im *image) name(addr uint64) (symbol, source string) {
	a := addr - im.bias
	i := sort.Search(len(im.funcs), func(i int) bool { return im.funcs[i].Value > a }) - 1
	if i >= 0 && (a < im.funcs[i].Value+im.funcs[i].Size || im.funcs[i].Size == 0) {
		symbol = offsetName(im.funcs[i].Name, a-im.funcs[i].Value)
	}
	source = im.dwarfLine(a)
	if im.lines != nil {
		if file, line, f := im.lines.PCToLine(a); f != nil {
			if symbol == "" {
				symbol = offsetName(f.Name, a-f.Entry)
			}
			if source == "" {
				source = fmt.Sprintf("%s:%d", filepath.Base(file), line)
			}
		}
	}
	if symbol == "" {
		symbol = offsetName(filepath.Base(im.path), a)
	}
	return symbol, source
}

func offsetName(name string, off uint64) string {
	if off == 0 {
		return name
	}
	return fmt.Sprintf("%s+0x%x", name, off)
}

// find gives the addresses that the selectors (see Options.Code) choose.
func (im *image) find(selectors []string) ([]addressRange, error) {
	var ranges []addressRange
	for _, sel := range selectors {
		n := len(ranges)
		if file, ok := strings.CutPrefix(sel, "file:"); ok {
			more, err := im.findFile(file)
			if err != nil {
				return nil, fmt.Errorf("functions of %s in %s: %w", file, im.path, err)
			}
			ranges = append(ranges, more...)
		} else {
			for _, s := range im.funcs {
				if strings.HasPrefix(s.Name, sel) && s.Size > 0 {
					ranges = append(ranges, addressRange{s.Value + im.bias, s.Value + s.Size + im.bias})
				}
			}
		}
		if len(ranges) == n {
			why := ""
			if im.bare {
				why = "; it is stripped, as by go run: build it"
			}
			return nil, fmt.Errorf("%q in %s: %w%s", sel, im.path, ErrNoSymbol, why)
		}
	}
	sort.Slice(ranges, func(i, j int) bool { return ranges[i].low < ranges[j].low })
	return ranges, nil
}

func inRanges(ranges []addressRange, a uint64) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].low > a }) - 1
	return i >= 0 && a < ranges[i].high
}
