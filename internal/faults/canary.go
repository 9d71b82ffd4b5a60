//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// canaries are the secrets of the run, which must be in no output. It is safe for concurrent use.
type canaries struct {
	mu  sync.Mutex
	all map[string]bool
}

// shortest is the least length of a secret; shorter words are no secrets.
const shortest = 16

func (c *canaries) add(secrets ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]bool{}
	}
	for _, s := range secrets {
		if len(s) >= shortest {
			c.all[s] = true
		}
	}
}

// search returns the files of dir that have a secret, and how many files it read: all but one.
func (c *canaries) search(dir, pattern, without string) (found []string, read int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return nil, 0, err
	}
	for _, path := range paths {
		if filepath.Base(path) == without {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return found, read, err
		}
		read++
		if c.in(string(text)) {
			found = append(found, fmt.Sprintf("a secret of the run is in %s", filepath.Base(path)))
		}
	}
	return found, read, nil
}

// in reports whether a text has a secret, alone or in what a quote, a slash or a sign of a URL ends.
func (c *canaries) in(text string) bool {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"'`=:;,/?&<>()[]{}", r) }) {
		if c.all[word] || c.all[strings.TrimRight(word, ".\\")] {
			return true
		}
	}
	return false
}
