package prometheus_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"

	"github.com/vestibule-auth/vestibule/contrib/prometheus"
)

// exported returns the names of all series that the module exports.
func exported() map[string]bool {
	names := make(map[string]bool)
	for _, d := range prometheus.Described() {
		names[d.Name] = true
		if d.Kind == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				names[d.Name+suffix] = true
			}
		}
	}
	return names
}

var metricName = regexp.MustCompile(`vestibule_[a-z0-9_]+`)

// uses reports each metric of an expression that does not exist, and notes the others.
func uses(t *testing.T, where, expr string, names, used map[string]bool) {
	t.Helper()
	found := metricName.FindAllString(expr, -1)
	if len(found) == 0 || strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
		t.Errorf("%s: %s", where, expr)
	}
	for _, name := range found {
		if !names[name] {
			t.Errorf("%s: there is no metric %s", where, name)
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		used[name] = true
	}
}

// Each expression of the dashboard uses metrics of this module, and each metric has a panel.
func TestDashboard(t *testing.T) {
	var d struct {
		Title, UID string
		Panels     []struct {
			ID      int
			Title   string
			GridPos struct{ H, W, X, Y int }
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Name string } }
	}
	if err := json.Unmarshal(must(os.ReadFile("grafana/vestibule.json"))(t), &d); err != nil {
		t.Fatal(err)
	}
	if d.Title != "Vestibule" || d.UID == "" || len(d.Panels) < 15 || len(d.Templating.List) != 2 {
		t.Errorf("%+v", d)
	}
	names, used, ids := exported(), map[string]bool{}, map[int]bool{}
	for _, p := range d.Panels {
		if p.Title == "" || ids[p.ID] || p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 || len(p.Targets) == 0 {
			t.Errorf("panel %+v", p)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			uses(t, p.Title, target.Expr, names, used)
			if !strings.Contains(target.Expr, `job=~"$job"`) {
				t.Errorf("%s: not limited to the job: %s", p.Title, target.Expr)
			}
		}
	}
	for _, d := range prometheus.Described() {
		if !used[d.Name] {
			t.Errorf("%s has no panel", d.Name)
		}
	}
}

func TestAlerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalStrict(must(os.ReadFile("grafana/alerts.yml"))(t), &file); err != nil {
		t.Fatal(err)
	}
	names, used, seen := exported(), map[string]bool{}, map[string]bool{}
	for _, r := range file.Groups[0].Rules {
		uses(t, r.Alert, r.Expr, names, used)
		if seen[r.Alert] || r.Annotations["summary"] == "" || r.Labels["severity"] != "page" && r.Labels["severity"] != "ticket" {
			t.Errorf("%+v", r)
		}
		seen[r.Alert] = true
	}
	if len(seen) < 10 {
		t.Errorf("%d alerts", len(seen))
	}
	if promtool, err := exec.LookPath("promtool"); err == nil { // where Prometheus is installed
		if out, err := exec.Command(promtool, "check", "rules", "grafana/alerts.yml").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// TestReference checks that the reference lists what the module exports. To write it, run the test with
// VESTIBULE_WRITE=1.
func TestReference(t *testing.T) {
	const path = "../../docs/reference/metrics.md"
	var b strings.Builder
	b.WriteString(`---
title: Metrics
description: The metrics of contrib/prometheus, with their types and labels.
kind: reference
audience: operator
---

# Metrics

<!-- Written by a test of contrib/prometheus from the code; do not edit. -->

These are the metrics of ` + "`contrib/prometheus`" + `. To export them, see [metrics, tracing,
audit](../how-to/metrics.md). No label contains a subject, a client, an address, a path or the text of
an error.

| Metric | Type | Labels | Meaning |
| --- | --- | --- | --- |
`)
	for _, d := range prometheus.Described() {
		labels := "–"
		if d.Labels != "" {
			labels = "`" + strings.ReplaceAll(d.Labels, ", ", "`, `") + "`"
		}
		b.WriteString("| `" + d.Name + "` | " + d.Kind + " | " + labels + " | " + d.Help + " |\n")
	}
	b.WriteString(`
The label ` + "`scheme`" + ` is the name of a scheme of the chain, and empty for an anonymous request. A
` + "`code`" + ` is one of [errors](errors.md). The ` + "`kind`" + ` of audit events is one of [audit
events](events.md). Codes and kinds that the library does not know are exported as ` + "`other`" + `, unless
you name them in ` + "`Options`" + `.
`)
	if os.Getenv("VESTIBULE_WRITE") != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != b.String() {
		t.Errorf("%s is not current (%v): run this test with VESTIBULE_WRITE=1", path, err)
	}
}
