//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A browser tries every scheme on the page of examples/compare, with the mouse, with the
// keyboard alone, on a phone, and without JavaScript. VESTIBULE_PICTURE=1 also takes the
// picture of the documentation.
func TestComparePage(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is needed: apt-get install chromium")
	}
	args := []string{chromium, compare(t)}
	if os.Getenv("VESTIBULE_PICTURE") != "" {
		picture, err := filepath.Abs("../../docs/compare.png")
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, picture)
	}
	seen := walk(t, "compare.mjs", args...)
	if string(seen["problems"]) != "[]" {
		t.Errorf("the console says %s", seen["problems"])
	}
	if !strings.Contains(string(seen["anonymous"]), "401 Unauthorized") || strings.Contains(string(seen["anonymous"]), "Basic realm") {
		t.Errorf("anonymous: %s", seen["anonymous"])
	}
	for _, scheme := range []string{"token", "knox", "jwt", "session", "basic", "oauth2"} {
		t.Run(scheme, func(t *testing.T) {
			var s struct {
				Login, Trace, Chain, Note, Admin, Refresh, After, Address, Stored string
				Spoilt                                                            []string
				Place                                                             []any
				Marks                                                             int
			}
			if err := json.Unmarshal(seen[scheme], &s); err != nil {
				t.Fatal(err)
			}
			has := func(what, text string, wants ...string) {
				for _, want := range wants {
					if !strings.Contains(text, want) {
						t.Errorf("%s lacks %q: %s", what, want, text)
					}
				}
			}
			has("login", s.Login, "200 OK", `"scheme": "`+scheme+`"`)
			has("trace", s.Trace, "Accepted: alice, by "+scheme)
			has("admin", s.Admin, "403 Forbidden")
			if scheme != "basic" {
				has("after", s.After, "401 Unauthorized")
			}
			if scheme != "basic" && scheme != "oauth2" && fmt.Sprint(s.Place) != "[logout true]" {
				t.Errorf("after the logout the focus, and whether the answer is in sight: %v", s.Place)
			}
			if scheme == "jwt" || scheme == "oauth2" {
				has("refresh", s.Refresh, "200 OK")
			}
			if scheme == "oauth2" {
				if s.Stored != "[0,0]" || strings.Contains(s.Address, "code=") {
					t.Errorf("stored %s, address %s", s.Stored, s.Address)
				}
				return
			}
			has("chain", s.Chain, "200 OK", `"scheme": "`+scheme+`"`)
			has("note", s.Note, "201 Created")
			if s.Marks == 0 && scheme != "session" {
				t.Error("no secret is marked")
			}
			if scheme != "session" {
				has("spoilt", strings.Join(s.Spoilt, "\n"), "401 Unauthorized", "Rejected")
			}
		})
	}
	var wrong []string
	if err := json.Unmarshal(seen["wrong"], &wrong); err != nil || len(wrong) != 2 || wrong[0] != "401 Unauthorized. The login was rejected." || !strings.HasSuffix(wrong[1], "-42") {
		t.Errorf("a wrong login, and what is marked of it: %s", seen["wrong"])
	}
	var measured []string
	if err := json.Unmarshal(seen["measured"], &measured); err != nil || len(measured) != 6 {
		t.Fatalf("%s, %v", seen["measured"], err)
	}
	for _, m := range measured {
		if !strings.Contains(m, "per second") {
			t.Errorf("measured %q", measured)
		}
	}
	var keyboard struct {
		Places       [][2]any
		Wire, Scheme string
	}
	if err := json.Unmarshal(seen["keyboard"], &keyboard); err != nil {
		t.Fatal(err)
	}
	for _, place := range keyboard.Places {
		if place[1] != true {
			t.Errorf("the focus cannot be seen on %v", place[0])
		}
	}
	if keyboard.Scheme != "knox" || !strings.Contains(keyboard.Wire, "200 OK") {
		t.Errorf("by keyboard: %+v", keyboard)
	}
	if string(seen["phone"]) != "[[360,360],[360,360]]" {
		t.Errorf("a page of 360 pixels scrolls sideways: %s", seen["phone"])
	}
	var plain string
	if err := json.Unmarshal(seen["plain"], &plain); err != nil || !strings.Contains(plain, "curl -s") || !strings.Contains(plain, "a stolen database holds") || strings.Contains(plain, "Log out") {
		t.Errorf("without JavaScript: %s", plain)
	}
}
