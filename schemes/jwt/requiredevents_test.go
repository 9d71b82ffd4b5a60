package jwt_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// With required events, a sliding token is issued only with its event. A refresh token that is repeated
// changes nothing, so it writes no row, however often it is sent.
func TestRequiredEvents_attack_475(t *testing.T) {
	c := start()
	s := &schemetest.FullLog{Store: memory.New(&memory.Options{Clock: c.Now})}
	schemetest.Add(t, s, "alice")
	var reported []audit.Kind
	events, err := audit.New(func(_ context.Context, e audit.Event) { reported = append(reported, e.Kind) }, &audit.Options{Required: true})
	schemetest.Must(t, err)
	x, err := jwt.New(issuer, audience, ringOf(t, "ES256"), s, &jwt.Options{Clock: c.Now, Logger: schemetest.Quiet, Audit: events, Sliding: true, Grace: 10 * time.Second})
	schemetest.Must(t, err)
	stored := func(want ...string) {
		t.Helper()
		list, err := s.AuditAfter(t.Context(), "", 1000)
		schemetest.Must(t, err)
		var got []string
		for _, r := range list {
			got = append(got, r.Kind)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("stored %q, want %q", got, want)
		}
	}

	if token, err := x.IssueSliding(t.Context(), "id-alice", 0, nil); err != nil || token == "" {
		t.Fatal(err)
	}
	stored("token.created")
	s.Full = true
	if token, err := x.IssueSliding(t.Context(), "id-alice", 0, nil); err == nil || token != "" {
		t.Errorf("a token without its event: %q, %v", token, err)
	}
	s.Full = false

	pair, err := x.Issue(t.Context(), "id-alice", 0, nil)
	schemetest.Must(t, err)
	for range 20 {
		if _, _, err := x.Refresh(t.Context(), pair.Refresh); err != nil {
			t.Fatal(err)
		}
	}
	stored("refresh.succeeded", "token.created", "token.created")
	if n := len(slices.DeleteFunc(reported, func(k audit.Kind) bool { return k != audit.RefreshRepeated })); n != 19 {
		t.Errorf("%d repetitions reported, want 19", n)
	}
}

// Renewing a sliding token again and again stores nothing.
func TestSlidingStoresNothing_attack_481(t *testing.T) {
	c := start()
	s := memory.New(&memory.Options{Clock: c.Now})
	schemetest.Add(t, s, "alice")
	reported := 0
	events, err := audit.New(func(context.Context, audit.Event) { reported++ }, &audit.Options{Required: true})
	schemetest.Must(t, err)
	x, err := jwt.New(issuer, audience, ringOf(t, "ES256"), s, &jwt.Options{Clock: c.Now, Logger: schemetest.Quiet, Audit: events, Sliding: true})
	schemetest.Must(t, err)
	token, err := x.IssueSliding(t.Context(), "id-alice", 0, nil)
	schemetest.Must(t, err)
	h := x.RefreshSliding()
	for range 50 {
		r := httptest.NewRequest("POST", "https://auth.example/refresh", strings.NewReader(`{"token":"`+token+`"}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	list, err := s.AuditAfter(t.Context(), "", 1000)
	if err != nil || len(list) != 1 || reported != 51 {
		t.Errorf("%d rows, %d reported, %v", len(list), reported, err)
	}
}
