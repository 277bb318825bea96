package trace

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

func (im *image) debug() *dwarf.Data {
	if !im.tried {
		im.tried = true
		im.dwarf, _ = im.file.DWARF()
	}
	return im.dwarf
}

// dwarfLine gives the line of the outermost function at an address: where something was inlined, the line of the call.
func (im *image) dwarfLine(a uint64) string {
	d := im.debug()
	if d == nil {
		return ""
	}
	r := d.Reader()
	unit, err := r.SeekPC(a)
	if err != nil || unit == nil {
		return ""
	}
	lines, err := d.LineReader(unit)
	if err != nil || lines == nil {
		return ""
	}
	if call := callSite(d, r, a); call != nil {
		file, _ := call.Val(dwarf.AttrCallFile).(int64)
		line, _ := call.Val(dwarf.AttrCallLine).(int64)
		if files := lines.Files(); file > 0 && file < int64(len(files)) && files[file] != nil {
			return fmt.Sprintf("%s:%d", filepath.Base(files[file].Name), line)
		}
	}
	var e dwarf.LineEntry
	if lines.SeekPC(a, &e) != nil || e.File == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", filepath.Base(e.File.Name), e.Line)
}

// callSite finds the outermost inlined call that holds an address, in the unit that r stands in; nil if there is none.
func callSite(d *dwarf.Data, r *dwarf.Reader, a uint64) *dwarf.Entry {
	for depth := 1; depth > 0; {
		e, err := r.Next()
		if e == nil || err != nil {
			return nil
		}
		switch {
		case e.Tag == 0:
			depth--
			continue
		case e.Tag == dwarf.TagInlinedSubroutine && holds(d, e, a):
			return e
		case e.Tag == dwarf.TagSubprogram && holds(d, e, a), e.Tag == dwarf.TagLexDwarfBlock && holds(d, e, a):
			if e.Children {
				depth++
			}
		default:
			r.SkipChildren()
		}
	}
	return nil
}

func holds(d *dwarf.Data, e *dwarf.Entry, a uint64) bool {
	ranges, err := d.Ranges(e)
	if err != nil {
		return false
	}
	for _, p := range ranges {
		if a >= p[0] && a < p[1] {
			return true
		}
	}
	return false
}

const languageGo = 0x16 // DW_LANG_Go

// findFile gives the code of every function, of any language but Go, that the file defines: itself a unit, or included
// into one.
func (im *image) findFile(name string) (ranges []addressRange, err error) {
	d := im.debug()
	if d == nil {
		return nil, errors.New("no DWARF")
	}
	var files []*dwarf.LineFile
	for r := d.Reader(); ; {
		e, err := r.Next()
		if e == nil || err != nil {
			return ranges, err
		}
		switch {
		case e.Tag == dwarf.TagCompileUnit:
			if language, _ := e.Val(dwarf.AttrLanguage).(int64); language == languageGo {
				r.SkipChildren()
				continue
			}
			files = nil
			if lines, err := d.LineReader(e); err == nil && lines != nil {
				files = lines.Files()
			}
		case e.Tag == dwarf.TagSubprogram:
			if i := declaredIn(d, e); i > 0 && i < int64(len(files)) && files[i] != nil &&
				(files[i].Name == name || strings.HasSuffix(files[i].Name, "/"+name)) {
				pcs, err := d.Ranges(e)
				if err != nil {
					return nil, err
				}
				for _, p := range pcs {
					ranges = append(ranges, addressRange{p[0] + im.bias, p[1] + im.bias})
				}
			}
			r.SkipChildren()
		case e.Tag != 0:
			r.SkipChildren()
		}
	}
}

// declaredIn gives the number of the file that a function is declared in. One that is also inlined somewhere has that in
// its abstract origin.
func declaredIn(d *dwarf.Data, e *dwarf.Entry) int64 {
	if origin, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); ok {
		r := d.Reader()
		r.Seek(origin)
		if o, err := r.Next(); err == nil && o != nil {
			e = o
		}
	}
	file, _ := e.Val(dwarf.AttrDeclFile).(int64)
	return file
}
