package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// phrases are constructions that the pages do not use, each with what to write instead.
var phrases = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{banned(`can not`), "cannot"},
	{banned(`whoever|whomever|of whom|for whom`), "callers that, anyone who, the client"},
	{banned(`(?:of|by|for|is) nobody|nobody's|everybody's`), "anonymous, without a subject, public"},
	{banned(`is over|has ended|is there no more|are there no more`), "expired, revoked, logged out, deleted"},
	{banned(`what (?:came|comes|follows) (?:of|from) it`), "the tokens issued from it"},
	{banned(`(?:is|are) (?:asked|told)`), "calls, queries, receives"},
	{banned(`looks? at|hears? of`), "reads, inspects, is notified of"},
	{banned(`lets? (?:in|pass|through)`), "accepts, allows"},
	{banned(`mints?|minted`), "issues"},
	{banned(`stands? (?:in|behind|outside|before)`), "is in, comes after, bypasses"},
	{banned(`good for|worth nothing`), "valid for; useless to an attacker"},
	{banned(`at once|anew|by itself|by themselves`), "immediately, again, automatically"},
	{banned(`that of|those of`), "repeat the noun"},
	{banned(`the \w+ of the \w+ of the`), "the server's key ring"},
	{banned(`an? (?:[\w-]+ ){1,3}is needed`), "requires; must be"},
	{banned(`e\.g\.|i\.e\.`), "such as, that is"},
}

func banned(words string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[^\w-])(` + words + `)(?:$|[^\w-])`)
}

// countsFile holds, for each page from before this check, how many of the phrases it may still
// have. The command lowers the numbers and never raises one.
const countsFile = "internal/docs/phrases.txt"

//go:embed phrases.txt
var countsText []byte

// find lists the banned phrases of a page.
func find(page string, text []byte) (found []string) {
	if page == "CHANGELOG.md" || strings.HasPrefix(page, "docs/reference/") {
		return nil // history, and texts of the code
	}
	for i, line := range prose(string(text)) {
		line = inlineCode.ReplaceAllString(line, "``")
		for _, p := range phrases {
			for _, m := range p.pattern.FindAllStringSubmatch(line, -1) {
				found = append(found, fmt.Sprintf("%s:%d: %q: write %s", page, i+1, m[1], p.instead))
			}
		}
	}
	return found
}

func counts(text []byte) (map[string]int, error) {
	allowed := map[string]int{}
	for line := range strings.Lines(string(text)) {
		path, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || allowed[path] != 0 {
			return nil, fmt.Errorf("%s: %q", countsFile, line)
		}
		allowed[path] = n
	}
	return allowed, nil
}

// withCounts adds the lowered numbers to pages.
func withCounts(root string, pages map[string][]byte) error {
	text, err := os.ReadFile(filepath.Join(root, countsFile))
	if err != nil {
		return err
	}
	allowed, err := counts(text)
	if err != nil {
		return err
	}
	var out []string
	for path, n := range allowed {
		if n = min(n, len(find(path, pages[path]))); n > 0 {
			out = append(out, fmt.Sprintf("%s %d\n", path, n))
		}
	}
	slices.Sort(out)
	pages[countsFile] = []byte(strings.Join(out, ""))
	return nil
}
