package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A sentence is one of the README, a guide, or the doc comment of an exported name.
type sentence struct {
	file string
	line int // where it begins
	text string
}

// fewest is how many words a sentence has at least: table cells hold names and numbers too.
const fewest = 4

// draw prints count sentences, drawn by seed, in the order of their places. The same seed draws
// the same sentences of the same commit.
func draw(w io.Writer, root string, seed uint64, count int) error {
	all, err := sentences(root)
	if err != nil {
		return err
	}
	if count > len(all) {
		return fmt.Errorf("-sentences %d: there are %d", count, len(all))
	}
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	drawn := all[:count]
	slices.SortFunc(drawn, func(a, b sentence) int {
		return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
	})
	fmt.Fprintf(w, "seed %d: %d of %d sentences\n", seed, count, len(all))
	for _, s := range drawn {
		fmt.Fprintf(w, "%s:%d: %s\n", s.file, s.line, s.text)
	}
	return nil
}

// sentences returns each sentence that users read, once. Left out are code, headings, the pages
// of docs/reference, which repeat doc comments, and docs/decisions, which are records of their day.
func sentences(root string) (all []sentence, err error) {
	pages, err := markdown(root)
	if err != nil {
		return nil, err
	}
	for _, page := range pages {
		if page != "README.md" && !strings.HasPrefix(page, "docs/") || strings.HasPrefix(page, "docs/reference/") || strings.HasPrefix(page, "docs/decisions/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			return nil, err
		}
		all = append(all, split(page, 1, prose(string(text)))...)
	}
	packages, err := library(root)
	if err != nil {
		return nil, err
	}
	for _, s := range packages {
		for _, f := range s.files {
			for _, group := range exportedDocs(f) {
				at := s.fset.Position(group.Pos())
				file, err := filepath.Rel(root, at.Filename)
				if err != nil {
					return nil, err
				}
				all = append(all, split(filepath.ToSlash(file), at.Line, commentLines(group))...)
			}
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(s sentence) bool {
		again := seen[s.text]
		seen[s.text] = true
		return again
	}), nil
}

// exportedDocs returns the comments of a file that go doc shows. It removes all else from the
// file's syntax tree.
func exportedDocs(f *ast.File) (found []*ast.CommentGroup) {
	ast.FileExports(f)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			return n.Recv == nil || exportedReceiver(n.Recv.List[0].Type)
		case *ast.BlockStmt:
			return false
		case *ast.CommentGroup:
			found = append(found, n)
		}
		return true
	})
	return found
}

func exportedReceiver(t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.StarExpr:
		return exportedReceiver(t.X)
	case *ast.IndexExpr:
		return exportedReceiver(t.X)
	case *ast.IndexListExpr:
		return exportedReceiver(t.X)
	case *ast.Ident:
		return t.IsExported()
	}
	return false
}

// commentLines returns the lines of a comment, with code and directives emptied. gofmt indents
// code by a tab, and lists by spaces.
func commentLines(group *ast.CommentGroup) (lines []string) {
	for _, c := range group.List {
		line, isLine := strings.CutPrefix(c.Text, "//")
		if !isLine || line != "" && line[0] != ' ' {
			line = ""
		}
		lines = append(lines, strings.TrimPrefix(line, " "))
	}
	return lines
}

var (
	item   = regexp.MustCompile(`^ *(?:[-*+]|\d+\.) +(?:\[[ x]\] +)?`)
	tag    = regexp.MustCompile(`<a [^>]*></a>`)
	noText = regexp.MustCompile(`^\s*(?:#{1,6} |<[^>]*>\s*$|\[[^\]]+\]: )|^[\s|:-]+$`) // headings, tags, targets of links, rules
	ending = regexp.MustCompile(`[^\s.][.?!][)"'*_”]* +`)
	noEnd  = regexp.MustCompile(`(?:\b(?:e\.g|i\.e|etc|vs|cf|No)\.|…|^\[?\d+\.) +$`)
)

// split returns the sentences of the lines of a file that begin at line first. A paragraph, an
// item of a list and a cell of a table each begin and end one.
func split(file string, first int, lines []string) (found []sentence) {
	var text string
	var starts []int // for each byte of text, its line
	flush := func() {
		for begin := 0; begin < len(text); {
			end := sentenceEnd(text, begin)
			plain := strings.TrimSpace(withoutLinks(text[begin:end]))
			if len(strings.Fields(plain)) >= fewest {
				found = append(found, sentence{file, starts[begin], plain})
			}
			begin = end
		}
		text, starts = "", nil
	}
	add := func(line int, part string) {
		if part = strings.TrimSpace(tag.ReplaceAllString(part, "")); part == "" {
			return
		}
		if text != "" {
			part = " " + part
		}
		text += part
		starts = append(starts, slices.Repeat([]int{line}, len(part))...)
	}
	for i, line := range lines {
		line = strings.TrimPrefix(line, "> ")
		switch {
		case strings.TrimSpace(line) == "", noText.MatchString(line):
			flush()
		case strings.HasPrefix(line, "|"):
			flush()
			for cell := range strings.SplitSeq(strings.ReplaceAll(line, `\|`, "\x00"), "|") {
				add(first+i, strings.ReplaceAll(cell, "\x00", "|"))
				flush()
			}
		case item.MatchString(line):
			flush()
			add(first+i, line[len(item.FindString(line)):])
		default:
			add(first+i, line)
		}
	}
	flush()
	return found
}

var linkOrCode = regexp.MustCompile("`[^`]*`|" + linkText.String())

// withoutLinks replaces links by their texts, but not what looks like a link in code, such as f[T](x).
func withoutLinks(text string) string {
	return linkOrCode.ReplaceAllStringFunc(text, func(found string) string {
		if found[0] == '`' {
			return found
		}
		return linkText.ReplaceAllString(found, "$1")
	})
}

// sentenceEnd returns where the sentence of text that begins at begin ends, and the next begins.
func sentenceEnd(text string, begin int) int {
	for from := begin; ; {
		at := ending.FindStringIndex(text[from:])
		if at == nil {
			return len(text)
		}
		from += at[1]
		if !noEnd.MatchString(text[begin:from]) {
			return from
		}
	}
}
