package main

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// events writes the kinds and fields of audit events, and the fields of the decisions that
// metrics are made of.
func events(root string) ([]byte, error) {
	list, err := library(root)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(front{"Audit events and metrics", "The kinds and fields of audit events, and the values to make metrics of.", "reference", "operator, security"}.header())
	b.WriteString("# Audit events and metrics\n\n" + generated)
	slices.Reverse(list) // authn comes last
	for _, s := range list {
		switch s.dir {
		case "authn/audit":
			outcomes := s.outcomes()
			fmt.Fprintf(&b, "## Kinds of events\n\nFor how to receive them, see [audit events](../audit.md).\n\n")
			b.WriteString(row("Kind", "Constant", "Outcome", "Note") + row("---", "---", "---", "---"))
			for _, c := range s.constants("Kind") {
				outcome := outcomes[c.name]
				if outcome == "" {
					outcome = "Accepted"
				}
				b.WriteString(row("`"+c.value+"`", "`audit."+c.name+"`", strings.ToLower(outcome), cell(c.note)))
			}
			b.WriteString("\n## Fields of an event\n\n")
			s.fields(&b, "Event")
		case "authn":
			b.WriteString("\n## Decisions\n\n`authn.Options.Observe` receives one `authn.Event` for each decision. All of its values except the duration are few, so they are safe as labels of a metric. The outcomes are `absent`, `accepted`, `refused` and `fault`.\n\n")
			s.fields(&b, "Event")
		}
	}
	return []byte(b.String()), nil
}

type named struct{ name, value, note string }

// constants returns the text constants of a type.
func (s *source) constants(kind string) (all []named) {
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && v.Type != nil && s.show(v.Type) == kind && len(v.Values) == 1 {
				text, _ := literal(v.Values[0])
				all = append(all, named{v.Names[0].Name, text, v.Doc.Text() + v.Comment.Text()})
			}
			return true
		})
	}
	return all
}

// outcomes returns the entries of the variable outcomes.
func (s *source) outcomes() map[string]string {
	found := map[string]string{}
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || v.Names[0].Name != "outcomes" {
				return true
			}
			if list, ok := v.Values[0].(*ast.CompositeLit); ok {
				for _, e := range list.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						found[s.show(kv.Key)] = s.show(kv.Value)
					}
				}
			}
			return false
		})
	}
	return found
}

// fields writes the exported fields of a struct, by the names that JSON has if there are some.
func (s *source) fields(b *strings.Builder, kind string) {
	b.WriteString(row("Field", "Type", "Description") + row("---", "---", "---"))
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			t, ok := n.(*ast.TypeSpec)
			if !ok || t.Name.Name != kind {
				return true
			}
			before := ""
			for _, f := range t.Type.(*ast.StructType).Fields.List {
				if !f.Names[0].IsExported() {
					continue
				}
				name := "`" + f.Names[0].Name + "`"
				if f.Tag != nil {
					if _, tag, ok := strings.Cut(f.Tag.Value, `json:"`); ok {
						name += ", `" + tag[:strings.IndexAny(tag, `,"`)] + "`"
					}
				}
				text := f.Doc.Text() + f.Comment.Text()
				if text == "" && mentions(before, f) {
					text = before
				}
				before = text
				b.WriteString(row(name, "`"+s.show(f.Type)+"`", cell(text)))
			}
			return false
		})
	}
}
