package metrics

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// counters returns the counters of a registry as name{label="value",…} and value.
func counters(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			found[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return found
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := New(registry)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(registry); err == nil {
		t.Error("registered twice")
	}
	events, err := audit.New(m.Audit, nil)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	db := memory.New(nil)
	if err := db.CreateUser(t.Context(), storage.User{ID: "1", Name: "alice", Active: true}); err != nil {
		t.Fatal(err)
	}
	tokens, err := token.New(db, ring, &token.Options{Audit: events})
	if err != nil {
		t.Fatal(err)
	}
	text, err := tokens.GetOrCreate(context.Background(), "1", 0)
	if err != nil {
		t.Fatal(err)
	}
	h := authn.New(authn.Chain{tokens}, &authn.Options{Observe: m.Observe}).Handler(http.NotFoundHandler())
	for _, credential := range []string{"", "Token " + text, "Token " + text, "Token vst_wrong"} {
		r := httptest.NewRequest("GET", "/", nil)
		if credential != "" {
			r.Header.Set("Authorization", credential)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	found := counters(t, registry)
	for name, n := range map[string]float64{
		"vestibule_decisions_total code= outcome=absent scheme=":                            1,
		"vestibule_decisions_total code= outcome=accepted scheme=token":                     2,
		"vestibule_decisions_total code=authentication_failed outcome=refused scheme=token": 1,
		"vestibule_decision_seconds outcome=accepted":                                       2,
		"vestibule_events_total kind=token.created reason= scheme=token":                    1,
	} {
		if found[name] != n {
			t.Errorf("%s is %v, want %v: %v", name, found[name], n, found)
		}
	}
	for name := range found {
		if strings.Contains(name, text) {
			t.Errorf("%s holds the token", name)
		}
	}
}

// The alerts use metrics, outcomes and kinds of events that exist.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile("../../../examples/deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil || len(file.Groups) != 1 || len(file.Groups[0].Rules) < 4 {
		t.Fatalf("%+v, %v", file, err)
	}
	page, err := os.ReadFile("../../reference/events.md")
	if err != nil {
		t.Fatal(err)
	}
	label := regexp.MustCompile(`(\w+)=~?"([^"]+)"`)
	for _, r := range file.Groups[0].Rules {
		if r.Alert == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || !regexp.MustCompile(`vestibule_(events|decisions)_total\{`).MatchString(r.Expr) {
			t.Errorf("%+v", r)
		}
		for _, l := range label.FindAllStringSubmatch(r.Expr, -1) {
			for value := range strings.SplitSeq(l[2], "|") {
				switch {
				case l[1] == "kind" && strings.Contains(string(page), "\n| `"+value+"` | `audit."):
				case l[1] == "outcome" && slices.Contains([]string{authn.Absent.String(), authn.Accepted.String(), authn.Refused.String(), authn.Fault.String()}, value):
				default:
					t.Errorf("%s: %s=%q does not exist", r.Alert, l[1], value)
				}
			}
		}
	}
}
