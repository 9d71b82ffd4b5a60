package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
)

var update = flag.Bool("update", false, "write testdata/matrix.golden")

// bearers are the headers of one user under every scheme; OAuth2 with the scopes.
func bearers(c demotest.Client, name, password string, scopes string) map[string]string {
	c.T.Helper()
	login := `{"username":"` + name + `","password":"` + password + `"}`
	cookie := sessionCookie(c.Is(200, "*", "POST", "/session/login", login))
	access, _ := authorize(c, cookie, scopes)
	return map[string]string{
		"session": cookie, "basic": basicAuth(name, password), "token": c.Token("/token/login", name, password),
		"knox": "Authorization: Knox " + c.JSON("/knox/login", login)["token"], "jwt": "Authorization: Bearer " + c.JSON("/jwt/token", login)["access"],
		"oauth2": access,
	}
}

// authorize walks demo-public through code and PKCE for who has the session cookie.
func authorize(c demotest.Client, cookie, scopes string) (header, refresh string) {
	c.T.Helper()
	const verifier, callback = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "http://127.0.0.1:40123/callback"
	sum := sha256.Sum256([]byte(verifier))
	_, page := c.Do("GET", "/oauth2/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {"demo-public"}, "redirect_uri": {callback}, "scope": {scopes},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode(), "", cookie)
	handle := regexp.MustCompile(`name="handle" value="([^"]+)"`).FindStringSubmatch(page)
	if handle == nil {
		c.T.Fatalf("no consent page: %s", page)
	}
	to, err := c.Is(303, "*", "POST", "/oauth2/authorize", "decision=allow&handle="+handle[1], cookie, "Origin: "+c.S.URL).Location()
	if err != nil {
		c.T.Fatal(err)
	}
	_, text := c.Do("POST", "/oauth2/token", "grant_type=authorization_code&client_id=demo-public&redirect_uri="+url.QueryEscape(callback)+"&code_verifier="+verifier+"&code="+to.Query().Get("code"))
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil || got["access_token"] == nil {
		c.T.Fatalf("%s, %v", text, err)
	}
	refresh, _ = got["refresh_token"].(string)
	return "Authorization: Bearer " + got["access_token"].(string), refresh
}

// Who may do what with Alice's note: every actor, route and scheme. The golden file is read by
// people: a changed cell is a changed permission.
func TestMatrix(t *testing.T) {
	c := newClient(t)
	const all = "profile notes:read notes:write"
	alice := bearers(c, "alice", "wonderland-42", all)
	type actor struct {
		name, scheme, header string
	}
	actors := []actor{{"anonymous", "-", "X: y"}}
	for _, who := range []struct {
		name    string
		headers map[string]string
	}{{"owner", alice}, {"other user", bearers(c, "bob", "bob-the-builder-42", all)}, {"administrator", bearers(c, "admin", "looking-glass-42", all)}} {
		for _, scheme := range []string{"session", "jwt", "knox", "token", "basic"} {
			actors = append(actors, actor{who.name, scheme, who.headers[scheme]})
		}
		name := who.name + ", delegated"
		actors = append(actors, actor{name + " with both scopes", "oauth2", who.headers["oauth2"]})
	}
	for _, scope := range []string{"notes:read", "notes:write", "profile"} {
		header, _ := authorize(c, alice["session"], scope)
		actors = append(actors, actor{"owner, delegated with " + scope, "oauth2", header})
	}
	for _, scope := range []string{all, "profile"} {
		_, text := c.Do("POST", "/oauth2/token", "grant_type=client_credentials&scope="+url.QueryEscape(scope), basicAuth("demo-confidential", "demo-secret"))
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil || got["access_token"] == nil {
			t.Fatal(text)
		}
		actors = append(actors, actor{"client alone with " + scope, "oauth2", "Authorization: Bearer " + got["access_token"].(string)})
	}
	routes := []struct{ method, path, body string }{
		{"GET", "/api/notes", ""}, {"POST", "/api/notes", `{"text":"x"}`},
		{"GET", "/api/notes/{id}", ""}, {"PUT", "/api/notes/{id}", `{"text":"x"}`}, {"DELETE", "/api/notes/{id}", ""},
		{"PUT", "/api/notes/{own}", `{"text":"x"}`}, {"GET", "/api/notes/999999", ""}, {"PUT", "/api/notes/999999", `{"text":"x"}`}, {"DELETE", "/api/notes/999999", ""},
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprint(w, "actor\tscheme")
	for _, r := range routes {
		fmt.Fprintf(w, "\t%s %s", r.method, strings.TrimPrefix(r.path, "/api"))
	}
	fmt.Fprintln(w)
	for _, a := range actors {
		_, text := c.Do("POST", "/api/notes", `{"text":"hers"}`, alice["token"])
		var note struct{ ID int }
		if err := json.Unmarshal([]byte(text), &note); err != nil || note.ID == 0 {
			t.Fatal(text)
		}
		fmt.Fprintf(w, "%s\t%s", a.name, a.scheme)
		var own struct{ ID int } // the note that the actor makes, of which a client alone is no owner
		for _, r := range routes {
			if own.ID == 0 && strings.HasSuffix(r.path, "{own}") {
				fmt.Fprint(w, "\t-")
				continue
			}
			resp, text := c.Do(r.method, strings.NewReplacer("{id}", fmt.Sprint(note.ID), "{own}", fmt.Sprint(own.ID)).Replace(r.path), r.body, a.header)
			if resp.StatusCode == 201 {
				if err := json.Unmarshal([]byte(text), &own); err != nil {
					t.Fatal(err)
				}
			}
			fmt.Fprintf(w, "\t%d", resp.StatusCode)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/matrix.golden"
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s is not what is answered (%v):\n%s", golden, err, &b)
	}
}
