package main

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

// otherOptions are the exported types with options whose names do not end with Options.
var otherOptions = []string{"cached.DenySet", "health.Checks", "server.ClientDocuments", "server.Fetching"}

// modules are the modules beside the root module whose options are settings, too.
var modules = []string{"contrib/oidclogin", "contrib/otel", "contrib/prometheus"}

// settings writes a table for each exported type whose name ends with Options, and for otherOptions.
func settings(root string) ([]byte, error) {
	list, err := library(root, modules...)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(front{"Settings", "Every option of every package, with its type and default.", "reference", "developer, operator"}.header())
	b.WriteString("# Settings\n\n" + generated)
	b.WriteString("A constructor takes what it requires as arguments and the rest as one pointer to an options struct. A nil pointer selects all defaults.\n")
	for _, s := range list {
		p, err := s.doc()
		if err != nil {
			return nil, err
		}
		for _, t := range p.Types {
			spec, ok := t.Decl.Specs[0].(*ast.TypeSpec)
			if !ok || !strings.HasSuffix(t.Name, "Options") && !slices.Contains(otherOptions, p.Name+"."+t.Name) {
				continue
			}
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			name := p.Name + "." + t.Name
			fmt.Fprintf(&b, "\n## %s\n\nPackage [`%s`](https://pkg.go.dev/%s/%s#%s). %s\n\n", name, s.dir, module, s.dir, t.Name, cell(p.Synopsis(t.Doc)))
			b.WriteString(row("Field", "Type", "Default", "Description") + row("---", "---", "---", "---"))
			before, names := "", ""
			for _, f := range fields.Fields.List {
				text := f.Doc.Text() + f.Comment.Text()
				names = fieldNames(s, f)
				value := standard(text, s.show(f.Type))
				if text == "" && mentions(before, f) {
					text = before // one comment for several fields
				} else {
					before = text
				}
				b.WriteString(row(names, "`"+strings.ReplaceAll(s.show(f.Type), "|", `\|`)+"`", cell(value), cell(text)))
			}
		}
	}
	return []byte(b.String()), nil
}

func fieldNames(s *source, f *ast.Field) string {
	if len(f.Names) == 0 {
		return "`" + s.show(f.Type) + "` (embedded)"
	}
	var all []string
	for _, n := range f.Names {
		all = append(all, "`"+n.Name+"`")
	}
	return strings.Join(all, ", ")
}

// mentions reports whether a comment names a field.
func mentions(text string, f *ast.Field) bool {
	for _, n := range f.Names {
		if regexp.MustCompile(`\b` + n.Name + `\b`).MatchString(text) {
			return true
		}
	}
	return false
}

const zero = `(?:nil|0|""|empty|zero|unset)`

var (
	clauseEnd = regexp.MustCompile(`[.;](?:\s+|$)|, (?:so|since|because|and)\b`)
	zeroIs    = regexp.MustCompile(`(?i)^(?:an? |the )?` + zero + `:? ?(?:value )?(is|means|are|leaves|takes|does|draws|sends|sets|:)? ?(.+)$`)
	ifZero    = regexp.MustCompile(`^(.+?),? (?:if|where|when) (?:it is )?` + zero + `(?:\W|$)`)
	theRest   = regexp.MustCompile(`(?i)\bthe default(?: is|:)? (.+)$|\(default:? ([^)]+)\)|^(.+?),? by default\b|\bby default,? (.+)$`)
	subject   = regexp.MustCompile(`^(?:.*? )?(?:is|are) (.+)$`)
)

// standard returns what the comment of a field says about its zero value, and "" if it says
// nothing.
func standard(text, kind string) string {
	for _, c := range clauseEnd.Split(strings.Join(strings.Fields(text), " "), -1) {
		if value := standardOf(strings.TrimSpace(c)); value != "" {
			return value
		}
	}
	if kind == "bool" {
		return "false"
	}
	return ""
}

// standardOf is standard for one clause.
func standardOf(c string) string {
	value := ""
	if m := zeroIs.FindStringSubmatch(c); m != nil && !strings.HasPrefix(m[2], "to ") {
		switch m[1] {
		case "is", "means", "are", ":", "":
			value = m[2]
		default:
			value = m[1] + " " + m[2]
		}
		if strings.HasPrefix(value, "does not") || strings.HasPrefix(value, "not") {
			return "off"
		}
	} else if m := ifZero.FindStringSubmatch(c); m != nil {
		value = m[1]
		if s := subject.FindStringSubmatch(value); s != nil {
			value = s[1]
		}
	} else if m := theRest.FindStringSubmatch(c); m != nil {
		value = m[1] + m[2] + m[3] + m[4]
	}
	if _, after, ok := strings.Cut(value, ": "); ok {
		value = after
	}
	value, _, _ = strings.Cut(value, ", NoLimit")
	if value == "does" {
		return "on"
	}
	value = strings.TrimPrefix(strings.TrimPrefix(value, "or less is "), "the default, ")
	return value
}
