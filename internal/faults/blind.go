//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// What package cached logs when it stops and begins to trust its cache.
const (
	bypassed = "cache bypassed"
	inUse    = "cache in use"
)

var logTime = regexp.MustCompile(`^time=(\S+) `)

// blind returns how often the replicas did not trust their caches, and the longest time, from their
// logs. A cache that is never bypassed during these faults does not notice them.
func blind(dir string) (times int, longest time.Duration, err error) {
	logs, err := filepath.Glob(filepath.Join(dir, "replica-*.log"))
	if err == nil && len(logs) == 0 {
		err = errors.New("no replica has a log")
	}
	if err != nil {
		return 0, 0, err
	}
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, 0, err
		}
		var since time.Time
		for line := range strings.Lines(string(text)) {
			off, on := strings.Contains(line, bypassed), strings.Contains(line, inUse)
			if !off && !on {
				continue
			}
			m := logTime.FindStringSubmatch(line)
			if m == nil {
				return 0, 0, fmt.Errorf("%s: a line without a time", filepath.Base(path))
			}
			now, err := time.Parse(time.RFC3339, m[1])
			if err != nil {
				return 0, 0, fmt.Errorf("%s: %w", filepath.Base(path), err)
			}
			switch {
			case off:
				times++
				if since.IsZero() { // a second line can give the cause
					since = now
				}
			case !since.IsZero():
				longest = max(longest, now.Sub(since))
				since = time.Time{}
			}
		}
	}
	return times, longest, nil
}
