package benchmarks

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Results are everything that a run measured.
type Results struct {
	Time    time.Time
	Commit  string // of the repository; "+" behind it: and changes
	Machine string
	Go      string
	// Load is the machine's load average before the run: beside other work, figures are
	// provisional.
	Load   string
	Rounds int
	Slot   string
	// Versions are those of the peers, and of what Django runs with.
	Versions map[string]string
	// Skipped are lines that say what was not measured.
	Skipped []string `json:",omitempty"`
	Samples []*Sample
}

// NewResults describes the machine.
func NewResults(rounds Rounds) *Results {
	r := &Results{
		Time: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), Rounds: rounds.Number, Slot: rounds.Slot.String(),
		Machine: fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()), Versions: make(map[string]string),
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				r.Machine += ", " + strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		r.Load = strings.Join(strings.Fields(string(text))[:min(2, len(strings.Fields(string(text))))], ", ")
	}
	if text, err := exec.Command("git", "describe", "--always", "--exclude=*", "--dirty=+").Output(); err == nil {
		r.Commit = strings.TrimSpace(string(text))
	}
	used := make(map[string]bool)
	for _, c := range Contenders() {
		used[c.Module] = true
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if used[m.Path] {
				r.Versions[m.Path] = m.Version
			}
		}
	}
	return r
}

// ReadResults reads what Write wrote.
func ReadResults(path string) (*Results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(Results)
	return r, json.Unmarshal(text, r)
}

// Write writes them as JSON.
func (r *Results) Write(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// group returns the samples of a group, in the order of the run.
func (r *Results) group(section, group string) []*Sample {
	var list []*Sample
	for _, s := range r.Samples {
		if s.Section == section && s.Group == group {
			list = append(list, s)
		}
	}
	return list
}

// sample returns one, or nil.
func (r *Results) sample(section, group, name string) *Sample {
	for _, s := range r.group(section, group) {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// groups returns the names of a section's groups, in the order of the run.
func (r *Results) groups(section string) []string {
	var list []string
	seen := make(map[string]bool)
	for _, s := range r.Samples {
		if s.Section == section && !seen[s.Group] {
			seen[s.Group] = true
			list = append(list, s.Group)
		}
	}
	return list
}

// base is what a group's ratios are against: its floor, or ours where it has none.
func base(list []*Sample) *Sample {
	for _, name := range []string{Floor, Ours, OursSQLite} {
		for _, s := range list {
			if s.Name == name {
				return s
			}
		}
	}
	return nil
}
