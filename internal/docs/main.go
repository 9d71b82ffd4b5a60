// Command docs writes the parts of the documentation that come from the code: the reference
// pages below docs/reference, the list of pages in docs/README.md, and the code below each
// "snippet" comment. Its tests fail if one of them is stale, and check links, front matter,
// wording, code blocks and shell blocks of all pages.
//
//	go run ./internal/docs           writes what has changed
//	go run ./internal/docs -check    lists it and exits with 1
//	go run ./internal/docs -site DIR checks links and anchors of the built site
//	go run ./internal/docs -sentences 200 -seed 7
//	                                 prints 200 sentences of the README, the guides and the doc
//	                                 comments, drawn by the seed, for a review of the wording
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	root := flag.String("root", ".", "the folder of the repository")
	check := flag.Bool("check", false, "write nothing; exit with 1 if a page is stale")
	site := flag.String("site", "", "check the site that was built in this folder")
	count := flag.Int("sentences", 0, "print this many sentences of the documentation, drawn at random, and do nothing else")
	seed := flag.Uint64("seed", 1, "seed of -sentences")
	flag.Parse()
	var err error
	if *count > 0 {
		err = draw(os.Stdout, *root, *seed, *count)
	} else {
		err = run(*root, *check, *site)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

func run(root string, check bool, site string) error {
	if site != "" {
		return checkSite(os.DirFS(site))
	}
	pages, err := generate(root)
	if err != nil {
		return err
	}
	stale, err := differ(root, pages)
	if err != nil {
		return err
	}
	for _, path := range stale {
		fmt.Println(path)
		if check {
			continue
		}
		file := filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, pages[path], 0o644)); err != nil {
			return err
		}
	}
	if check && len(stale) > 0 {
		return errors.New("these files are stale; run: make docs-generate")
	}
	return nil
}

// generate returns every file that the command writes, by its path below root.
func generate(root string) (map[string][]byte, error) {
	pages := map[string][]byte{}
	for path, write := range map[string]func(root string) ([]byte, error){
		"docs/reference/settings.md": settings,
		"docs/reference/cli.md":      commandLine,
		"docs/reference/errors.md":   errorCodes,
		"docs/reference/events.md":   events,
		"docs/reference/schema.md":   schema,
	} {
		text, err := write(root)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		pages[path] = text
	}
	files, err := markdown(root)
	if err != nil {
		return nil, err
	}
	for _, path := range files {
		if pages[path] != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return nil, err
		}
		if pages[path], err = expand(root, text); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if pages[indexPage], err = index(root, pages); err != nil {
		return nil, err
	}
	return pages, withCounts(root, pages)
}

// differ returns the paths, sorted, of the pages that are not what the files hold.
func differ(root string, pages map[string][]byte) (stale []string, err error) {
	for path, text := range pages {
		now, err := os.ReadFile(filepath.Join(root, path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err != nil || !bytes.Equal(now, text) {
			stale = append(stale, path)
		}
	}
	slices.Sort(stale)
	return stale, nil
}
