package history_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

var bounds = history.Bounds{Revoked: 250 * time.Millisecond, Recovered: 5 * time.Second}

// at returns an event that takes 2 ms, with the times in milliseconds.
func at(ms int64, rep, op, res string, change ...func(*history.Event)) history.Event {
	e := history.Event{T0: ms * 1e6, T1: (ms + 2) * 1e6, Rep: rep, Op: op, Res: res, Cred: "k", Sub: "alice", Kind: "knox"}
	if op == history.Use && res == history.Yes {
		e.Owner = "alice"
	}
	if op == history.Everywhere || op == history.Disable || op == history.Enable {
		e.Cred = ""
	}
	for _, f := range change {
		f(&e)
	}
	return e
}

func family(e *history.Event)  { e.Family, e.Kind = "f", "jwt" }
func old(e *history.Event)     { e.Cred = "r1" }
func session(e *history.Event) { e.Kind = "session" }
func bob(e *history.Event)     { e.Owner = "bob" }
func answered(status int, retry bool) func(*history.Event) {
	return func(e *history.Event) { e.Status, e.Retry = status, retry }
}
func other(e *history.Event) { e.Cred = "other" }

// Each history is one that a correct server can produce, or breaks one invariant.
func TestCheck(t *testing.T) {
	const yes, no, unknown = history.Yes, history.No, history.Unknown
	issue := at(0, "A", history.Issue, yes)
	revoke := at(100, "A", history.Revoke, yes)
	for name, x := range map[string]struct {
		want string // "": none
		list []history.Event
	}{
		"a whole life":                          {"", []history.Event{issue, at(10, "B", history.Use, yes), revoke, at(110, "A", history.Use, no), at(400, "B", history.Use, no)}},
		"accepted elsewhere within the bound":   {"", []history.Event{issue, revoke, at(300, "B", history.Use, yes), at(400, "B", history.Use, no)}},
		"accepted elsewhere after the bound":    {"I1", []history.Event{issue, revoke, at(353, "B", history.Use, yes)}},
		"accepted by the replica that revoked":  {"I1", []history.Event{issue, revoke, at(103, "A", history.Use, yes)}},
		"began before the revocation was known": {"", []history.Event{issue, revoke, at(101, "A", history.Use, yes)}},
		"revoked, or not":                       {"", []history.Event{issue, at(100, "A", history.Revoke, unknown), at(500, "B", history.Use, yes), at(900, "B", history.Use, no)}},
		"back after a rejection":                {"I1-I6", []history.Event{issue, at(100, "A", history.Revoke, unknown), at(500, "B", history.Use, no), at(900, "B", history.Use, yes)}},
		"rejected without a reason":             {"I1-I6", []history.Event{issue, at(10, "B", history.Use, no)}},
		"rejected before its revocation":        {"I1-I6", []history.Event{issue, at(10, "B", history.Use, no), revoke}},
		"lost after it was issued":              {"I1-I6", []history.Event{issue, at(500, "A", history.Use, yes), at(900, "A", history.Use, no)}},
		"issued again after it was revoked":     {"I1-I6", []history.Event{issue, revoke, at(600, "A", history.Issue, yes)}},
		"another account's answer":              {"I4", []history.Event{issue, at(10, "B", history.Use, yes, bob)}},
		"never issued":                          {"I4", []history.Event{issue, at(10, "B", history.Use, yes, other)}},
		"logged out everywhere":                 {"", []history.Event{issue, at(100, "A", history.Everywhere, yes), at(500, "B", history.Use, no)}},
		"accepted after a log-out-everywhere":   {"I1", []history.Event{issue, at(100, "A", history.Everywhere, yes), at(500, "B", history.Use, yes)}},
		"issued after a log-out-everywhere":     {"", []history.Event{at(0, "A", history.Everywhere, yes), at(10, "A", history.Issue, yes), at(500, "B", history.Use, yes)}},
		"accepted after the account's end":      {"I1", []history.Event{issue, at(100, "", history.Disable, yes), at(500, "B", history.Use, yes)}},
		"a login of a disabled account":         {"", []history.Event{at(0, "", history.Disable, yes), at(500, "B", history.Login, no)}},
		"a login that is rejected":              {"I5", []history.Event{at(0, "", history.Disable, yes), at(100, "", history.Enable, yes), at(900, "B", history.Login, no)}},
		"a session that Redis lost":             {"", []history.Event{at(0, "A", history.Issue, yes, session), at(100, "", history.Lost, unknown, session), at(200, "A", history.Use, no, session)}},
		"a token that Redis lost":               {"I1-I6", []history.Event{issue, at(100, "", history.Lost, unknown, session), at(200, "A", history.Use, no)}},
		"a refresh token that works twice":      {"I2", []history.Event{at(0, "A", history.Refresh, yes, family, old), at(10, "B", history.Refresh, yes, family, old)}},
		"reuse ends the family":                 {"", []history.Event{at(0, "A", history.Issue, yes, family), at(10, "A", history.Refresh, yes, family, old), at(20, "B", history.Refresh, no, family, old), at(500, "A", history.Use, no, family)}},
		"a family that outlives the reuse":      {"I1", []history.Event{at(0, "A", history.Issue, yes, family), at(10, "A", history.Refresh, yes, family, old), at(20, "B", history.Refresh, no, family, old), at(500, "A", history.Use, yes, family)}},
		"refreshed after the family's end":      {"I1-I6", []history.Event{at(0, "A", history.Issue, yes, family), at(10, "A", history.EndFamily, yes, family), at(500, "B", history.Refresh, yes, family, old)}},
		"refreshed after the account's end":     {"I1-I6", []history.Event{at(0, "A", history.Issue, yes, family), at(10, "", history.Disable, yes), at(500, "B", history.Refresh, yes, family, old)}},
		"disabled after the last use":           {"", []history.Event{issue, at(10, "B", history.Use, yes), at(500, "", history.Disable, yes)}},
		"a good refresh token rejected":         {"I5", []history.Event{at(0, "A", history.Issue, yes, family), at(10, "A", history.Refresh, no, family, old)}},
		"a fault that says when to try again":   {"", []history.Event{issue, at(10, "B", history.Use, unknown, answered(503, true))}},
		"a fault that does not":                 {"I5", []history.Event{issue, at(10, "B", history.Use, unknown, answered(503, false))}},
		"a fault that is no 503":                {"I5", []history.Event{issue, at(10, "B", history.Use, unknown, answered(500, true))}},
		"nothing works after a fault":           {"I11", []history.Event{issue, at(5, "A", history.Use, yes), at(10, "", history.Fault, ""), at(100, "A", history.Use, unknown), at(6000, "A", history.Use, yes)}},
		"the database was slow, too":            {"", []history.Event{issue, at(5, "A", history.Use, yes), at(10, "", history.Fault, ""), at(50, "", history.Probe, no), at(100, "A", history.Use, unknown), at(6000, "A", history.Use, yes)}},
		"the database was fast":                 {"I11", []history.Event{issue, at(5, "A", history.Use, yes), at(8, "", history.Probe, no), at(10, "", history.Fault, ""), at(50, "", history.Probe, yes), at(100, "A", history.Use, unknown), at(6000, "A", history.Use, yes)}},
	} {
		t.Run(name, func(t *testing.T) {
			r := history.Check(x.list, bounds)
			got := ""
			if len(r.Violations) > 0 {
				got = r.Violations[0].Invariant
			}
			if got != x.want {
				t.Errorf("found %q, want %q: %v", got, x.want, r.Violations)
			}
			if r.Undecided > 0 {
				t.Error("undecided")
			}
		})
	}
}

// A correct history is broken by one edit: the last accepted use is moved to after the revocation.
func TestAnEditedHistoryIsFound(t *testing.T) {
	list := []history.Event{at(0, "A", history.Issue, history.Yes)}
	for i := range int64(200) {
		list = append(list, at(10+i, string(rune('A'+i%3)), history.Use, history.Yes))
	}
	list = append(list, at(300, "B", history.Revoke, history.Yes), at(600, "C", history.Use, history.No))
	r := history.Check(list, bounds)
	if len(r.Violations) != 0 || r.Revocations != 1 || r.Credentials != 1 {
		t.Fatalf("%+v", r)
	}
	list[200].T0, list[200].T1 = 700e6, 702e6
	if r = history.Check(list, bounds); len(r.Violations) == 0 {
		t.Error("the edit was not found")
	}
}

func TestReport(t *testing.T) {
	r := history.Check([]history.Event{
		at(0, "A", history.Issue, history.Yes), at(100, "A", history.Revoke, history.Yes), at(150, "B", history.Use, history.Yes), at(160, "B", history.Use, history.Unknown),
		{T0: 200e6, T1: 210e6, Op: history.Fault, Note: "cut"},
		at(220, "B", history.Use, history.No),
	}, bounds)
	if r.Calls != 5 || r.Unknown != 1 || r.Faults["cut"] != 1 || r.WorstLag != 48*time.Millisecond {
		t.Errorf("%+v", r)
	}
}

// A part that was split off is complete, and the next one has only what came later.
func TestSplit(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	rec, err := history.NewRecorder(one)
	if err != nil {
		t.Fatal(err)
	}
	a, b := at(1, "A", history.Issue, history.Yes), at(2, "B", history.Use, history.No)
	rec.Add(a)
	if list, err := rec.Split(two); err != nil || !slices.Equal(list, []history.Event{a}) {
		t.Errorf("%v, %v", list, err)
	}
	rec.Add(b)
	if list, err := rec.Take(); err != nil || !slices.Equal(list, []history.Event{b}) {
		t.Errorf("%v, %v", list, err)
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]history.Event{one: a, two: b} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := history.Read(bytes.NewReader(text)); err != nil || !slices.Equal(list, []history.Event{want}) {
			t.Errorf("%v, %v", list, err)
		}
	}
	if _, err := rec.Split(filepath.Join(dir, "none", "3")); err == nil {
		t.Error("a file that cannot be made is no error")
	}
}

// What is written can be read and checked again.
func TestRecorder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	rec, err := history.NewRecorder(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := at(1, "A", history.Issue, history.Yes), at(2, "B", history.Use, history.No)
	rec.Add(a)
	rec.Add(b)
	if rec.Now() <= 0 {
		t.Error("the clock stands")
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := history.Read(bytes.NewReader(text))
	if err != nil || !slices.Equal(list, []history.Event{a, b}) {
		t.Errorf("%v, %v", list, err)
	}
	if list, err := history.Read(bytes.NewReader([]byte(`{"t0":1}{`))); err == nil {
		t.Errorf("a broken file gave %v", list)
	}
}
