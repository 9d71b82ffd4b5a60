package oauthtest

import (
	"encoding/json"
	"net/url"
)

// Pushed pushes a good request of "app" with more parameters and returns what the browser brings.
func (w *World) Pushed(pairs ...string) string {
	w.T.Helper()
	got := w.Post(w.PushedAuthorization(), "app", append([]string{"response_type", "code", "redirect_uri", Redirect, "code_challenge", ChallengeOf(Verifier), "code_challenge_method", "S256"}, pairs...)...)
	var answer struct {
		URI string `json:"request_uri"`
	}
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || got.Status != 201 {
		w.T.Fatalf("%d %s", got.Status, got.Body)
	}
	return url.Values{"client_id": {"app"}, "request_uri": {answer.URI}}.Encode()
}
