package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	inlineCode = regexp.MustCompile("(``.+?``|`[^`]*`)")
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)[^)]*\)|(?:href|src)="([^"]+)"|^\[[^\]]+\]: (\S+)`)
	heading    = regexp.MustCompile(`^#{1,6} +(.*?)(?: +#+)?$`)
	linkText   = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	explicitID = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
)

// prose returns the lines of a page with front matter, fenced blocks and comments emptied, so
// that numbers of lines stay.
func prose(text string) []string {
	lines := strings.Split(text, "\n")
	out := make([]string, len(lines))
	i := 0
	if lines[0] == "---" {
		for i = 1; i < len(lines) && lines[i] != "---"; i++ {
		}
		i++
	}
	comment := false
	for ; i < len(lines); i++ {
		if n := fenced(lines[i:]); n > 0 {
			i += n - 1
			continue
		}
		line := lines[i]
		for line != "" {
			part, rest, found := line, "", false
			if comment {
				_, line, found = strings.Cut(line, "-->")
				comment = !found
				continue
			}
			part, rest, comment = strings.Cut(line, "<!--")
			out[i] += part
			line = rest
		}
	}
	return out
}

// anchors returns the anchors of a page as GitHub makes them; the site is set to do the same.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, line := range prose(text) {
		for _, m := range explicitID.FindAllStringSubmatch(line, -1) {
			found[m[1]] = true
		}
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		s := slug(m[1])
		for i, first := 1, s; found[s]; i++ {
			s = fmt.Sprintf("%s-%d", first, i)
		}
		found[s] = true
	}
	return found
}

func slug(title string) string {
	title = linkText.ReplaceAllString(title, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsNumber(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, strings.ReplaceAll(title, "*", ""))
}

// checkLinks returns an error for each relative link of a page that leads nowhere. pages are all
// pages by their path in tree.
func checkLinks(tree fs.FS, pages map[string][]byte, page string) error {
	var bad []error
	for i, line := range prose(string(pages[page])) {
		line = inlineCode.ReplaceAllString(line, "")
		for _, m := range linkTarget.FindAllStringSubmatch(line, -1) {
			if err := checkLink(tree, pages, page, m[1]+m[2]+m[3]); err != nil {
				bad = append(bad, fmt.Errorf("%s:%d: %s: %w", page, i+1, m[1]+m[2]+m[3], err))
			}
		}
	}
	return errors.Join(bad...)
}

func checkLink(tree fs.FS, pages map[string][]byte, page, link string) error {
	u, err := url.Parse(link)
	if err != nil {
		return err
	}
	if u.Scheme != "" {
		if u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "mailto" {
			return errors.New("not https, http or mailto")
		}
		return nil
	}
	if u.Host != "" || strings.HasPrefix(u.Path, "/") {
		return errors.New("a link within the repository must be relative")
	}
	target := page
	if u.Path != "" {
		target = path.Join(path.Dir(page), u.Path)
	}
	if !fs.ValidPath(target) {
		return errors.New("it leaves the repository")
	}
	if pages[target] == nil { // a page that is generated may not be written yet
		info, err := fs.Stat(tree, target)
		if err != nil {
			return errors.New("no such file")
		}
		if info.IsDir() && strings.HasPrefix(page, "docs/") && strings.HasPrefix(target+"/", "docs/") {
			return errors.New("name the page: the site has none for a folder")
		}
	}
	if u.Fragment == "" || path.Ext(target) == ".go" && regexp.MustCompile(`^L\d+(-L\d+)?$`).MatchString(u.Fragment) {
		return nil
	}
	text := pages[target]
	if text == nil {
		if text, err = fs.ReadFile(tree, target); err != nil || path.Ext(target) != ".md" {
			return errors.New("an anchor in a file that is no page")
		}
	}
	if !anchors(string(text))[u.Fragment] {
		return fmt.Errorf("%s has no such anchor", target)
	}
	return nil
}

var (
	htmlID   = regexp.MustCompile(`\sid="([^"]+)"`)
	htmlLink = regexp.MustCompile(`<a [^>]*href="([^"]+)"`)
)

// checkSite checks each link between pages of the built site, with its anchor.
func checkSite(tree fs.FS) error {
	ids, links := map[string]map[string]bool{}, map[string][]string{}
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || path.Ext(p) != ".html" {
			return err
		}
		text, err := fs.ReadFile(tree, p)
		ids[p] = map[string]bool{}
		for _, m := range htmlID.FindAllStringSubmatch(string(text), -1) {
			ids[p][m[1]] = true
		}
		for _, m := range htmlLink.FindAllStringSubmatch(string(text), -1) {
			links[p] = append(links[p], m[1])
		}
		return err
	})
	if err != nil || len(ids) < 10 {
		return errors.Join(err, fmt.Errorf("%d pages", len(ids)))
	}
	var bad []error
	seen := 0
	for p, all := range links {
		for _, link := range all {
			u, err := url.Parse(link)
			if err != nil || u.Scheme != "" || u.Host != "" {
				continue
			}
			target := p
			if u.Path != "" {
				target = path.Join("/", path.Dir(p), u.Path)[1:]
				if strings.HasPrefix(u.Path, "/") {
					target = strings.TrimPrefix(path.Clean(u.Path), "/")
				}
				if strings.HasSuffix(u.Path, "/") {
					target = path.Join(target, "index.html")
				}
			}
			seen++
			if _, err := fs.Stat(tree, target); err != nil {
				bad = append(bad, fmt.Errorf("%s: %s leads to no file", p, link))
			} else if u.Fragment != "" && !ids[target][u.Fragment] {
				bad = append(bad, fmt.Errorf("%s: %s leads to no anchor", p, link))
			}
		}
	}
	if seen < 100 {
		bad = append(bad, fmt.Errorf("%d links", seen))
	}
	return errors.Join(bad...)
}
