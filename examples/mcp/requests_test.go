package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const verifier = "a-code-verifier-that-is-long-enough-for-rfc-7636"

// answer is a response in JSON.
type answer struct {
	Status int
	Header http.Header
	Body   map[string]any
}

func (a answer) text(name string) string {
	s, _ := a.Body[name].(string)
	return s
}

// list returns a member that is a list of strings.
func (a answer) list(name string) (list []string) {
	values, _ := a.Body[name].([]any)
	for _, v := range values {
		s, _ := v.(string)
		list = append(list, s)
	}
	return list
}

func ask(t *testing.T, r *http.Request, err error) (a answer) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(body, &a.Body) // a page is no JSON
	a.Status, a.Header = resp.StatusCode, resp.Header
	return a
}

func get(t *testing.T, address string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	return ask(t, r, err)
}

func postForm(t *testing.T, address string, form url.Values) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return ask(t, r, err)
}

// register registers a public client, with more metadata as JSON members.
func register(t *testing.T, issuer string, more map[string]any) answer {
	t.Helper()
	metadata := map[string]any{"client_name": "Registered", "redirect_uris": []string{callback}, "token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"}}
	for name, value := range more {
		metadata[name] = value
	}
	body, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth2/register", strings.NewReader(string(body)))
	if err == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return ask(t, r, err)
}

// request returns an authorization request, with parameters as pairs; an empty value removes one.
func request(issuer, client string, more ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {callback}, "scope": {scopeCall}, "state": {"a state"}, "resource": {issuer + "/mcp"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		if q.Set(more[i], more[i+1]); more[i+1] == "" {
			q.Del(more[i])
		}
	}
	return issuer + "/oauth2/authorize?" + q.Encode()
}

// pair is what a login results in.
type pair struct{ Client, Access, Refresh string }

// tokens registers a client and logs a user in, with more parameters of the authorization request.
func tokens(t *testing.T, issuer string, b *browser, more ...string) pair {
	t.Helper()
	id := register(t, issuer, nil).text("client_id")
	at, err := b.Open(request(issuer, id, more...))
	if err != nil {
		t.Fatal(err)
	}
	got := exchange(t, issuer, id, at.URL.Query().Get("code"))
	if got.Status != 200 {
		t.Fatalf("at %s: %d %s; %d %v", at.URL, at.Status, at.Text, got.Status, got.Body)
	}
	return pair{id, got.text("access_token"), got.text("refresh_token")}
}

func exchange(t *testing.T, issuer, client, code string, more ...string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {client}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return postForm(t, issuer+"/oauth2/token", form)
}

func refresh(t *testing.T, issuer string, p pair, more ...string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {p.Client}, "refresh_token": {p.Refresh}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return postForm(t, issuer+"/oauth2/token", form)
}

// refused sends an authorization request and returns the error at the callback, or "page" if the
// server did not redirect.
func refused(t *testing.T, b *browser, address string) url.Values {
	t.Helper()
	at, err := b.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	if at.Status != 0 {
		return url.Values{"error": {"page"}}
	}
	return at.URL.Query()
}
