package backchannel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/backchannel"
)

func TestLogoutReceiver(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		ring := &oauthtest.DownKeys{KeySet: oauthtest.FreshRing(t, jose.ES256)}
		var ended []string
		var fault error
		var events []audit.Event
		h, err := backchannel.New("https://op.example", "app", ring, s, func(_ context.Context, out backchannel.Logout) error {
			ended = append(ended, fmt.Sprint(out))
			return fault
		}, &backchannel.Options{Clock: func() time.Time { return oauthtest.Born }, Logger: slog.New(slog.DiscardHandler), Audit: audit.To(func(_ context.Context, e audit.Event) { events = append(events, e) })})
		oauthtest.Must(t, err)
		n := 0
		mint := func(typ string, ring *jose.KeySet, change map[string]any) string {
			n++
			c := map[string]any{
				"iss": "https://op.example", "aud": "app", "sub": "u", "sid": "s", "jti": fmt.Sprint(n), "iat": oauthtest.Born.Unix(), "exp": oauthtest.Born.Add(2 * time.Minute).Unix(),
				"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
			}
			maps.Copy(c, change)
			maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
			text, err := json.Marshal(c)
			oauthtest.Must(t, err)
			token, err := ring.Sign(t.Context(), typ, text)
			oauthtest.Must(t, err)
			return token
		}
		send := func(token string) int {
			r := httptest.NewRequest("POST", "/", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			return rec.Code
		}
		const typ = "logout+jwt"
		good := mint(typ, ring.KeySet, nil)
		if got := send(good); got != 200 || fmt.Sprint(ended) != "[{https://op.example u s}]" {
			t.Fatalf("%d, %v", got, ended)
		}
		if got := send(mint(typ, ring.KeySet, map[string]any{"sub": nil})); got != 200 || ended[1] != "{https://op.example  s}" {
			t.Errorf("a session alone: %d, %v", got, ended)
		}
		send(good)
		if got := fmt.Sprint(kindsOf(events)); got != "[logout: logout: credential.rejected:used]" || events[0].Credential != events[2].Credential || events[0].Credential == "" || events[0].Client != "app" {
			t.Errorf("events %+v", events)
		}
		events, ended = nil, nil
		for name, token := range map[string]string{
			"attack_188_replayed": good, "attack_188_nonce": mint(typ, ring.KeySet, map[string]any{"nonce": "n"}), "attack_188_no_events": mint(typ, ring.KeySet, map[string]any{"events": nil}),
			"attack_188_other_event": mint(typ, ring.KeySet, map[string]any{"events": map[string]any{"x": map[string]any{}}}), "attack_188_event_of_nothing": mint(typ, ring.KeySet, map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": nil}}),
			"attack_188_type": mint("JWT", ring.KeySet, nil), "attack_188_old": mint(typ, ring.KeySet, map[string]any{"iat": oauthtest.Born.Add(-6 * time.Minute).Unix()}), "no_iat": mint(typ, ring.KeySet, map[string]any{"iat": nil}),
			"nobody": mint(typ, ring.KeySet, map[string]any{"sub": nil, "sid": nil}), "issuer": mint(typ, ring.KeySet, map[string]any{"iss": "https://other.example"}), "audience": mint(typ, ring.KeySet, map[string]any{"aud": "other"}),
			"expired": mint(typ, ring.KeySet, map[string]any{"exp": oauthtest.Born.Unix()}), "no_jti": mint(typ, ring.KeySet, map[string]any{"jti": nil}), "key": mint(typ, oauthtest.FreshRing(t, jose.ES256), nil), "none": "",
			"session_issuer": mint(typ, ring.KeySet, map[string]any{"sub": nil, "iss": "https://other.example"}), "session_audience": mint(typ, ring.KeySet, map[string]any{"sub": nil, "aud": "other"}),
			"session_expired": mint(typ, ring.KeySet, map[string]any{"sub": nil, "exp": oauthtest.Born.Unix()}), "session_no_jti": mint(typ, ring.KeySet, map[string]any{"sub": nil, "jti": nil}), "session_future": mint(typ, ring.KeySet, map[string]any{"sub": nil, "iat": oauthtest.Born.Add(time.Minute).Unix()}),
		} {
			t.Run(name, func(t *testing.T) {
				if got := send(token); got != 400 || len(ended) > 0 {
					t.Errorf("%d, %v", got, ended)
				}
			})
		}
		ring.Down = true
		if got := send(mint(typ, ring.KeySet, nil)); got != 503 {
			t.Errorf("without keys: %d", got)
		}
		ring.Down, fault = false, errors.New("the database is down")
		if got := send(mint(typ, ring.KeySet, nil)); got != 503 {
			t.Errorf("nothing was ended: %d", got)
		}
		if got := fmt.Sprint(kindsOf(events)); got != "[credential.rejected:used]" {
			t.Errorf("only a token of the provider is worth an event: %s", got)
		}
		r := httptest.NewRequest("GET", "/?logout_token="+good, nil)
		rec := httptest.NewRecorder()
		if h.ServeHTTP(rec, r); rec.Code != http.StatusMethodNotAllowed {
			t.Errorf("a GET: %d", rec.Code)
		}
	})
	if _, err := backchannel.New("", "app", oauthtest.FreshRing(t, jose.ES256), nil, nil, nil); err == nil {
		t.Error("nothing is needed")
	}
}

// kindsOf returns the kinds of events with their reasons.
func kindsOf(events []audit.Event) (list []string) {
	for _, e := range events {
		list = append(list, string(e.Kind)+":"+e.Reason)
	}
	return list
}

// A token is used up by the end of the sessions and not before: when that fails, the provider sends
// the same token again. Of copies that come at the same time one ends the sessions.
func TestRetriedLogout(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		ring := oauthtest.FreshRing(t, jose.ES256)
		var calls atomic.Int32
		var fault error
		began, finish := make(chan struct{}, 64), make(chan struct{})
		h, err := backchannel.New("https://op.example", "app", ring, s, func(context.Context, backchannel.Logout) error {
			calls.Add(1)
			began <- struct{}{}
			<-finish
			if fault != nil {
				return fault
			}
			return nil
		}, &backchannel.Options{Clock: func() time.Time { return oauthtest.Born }, Logger: slog.New(slog.DiscardHandler)})
		oauthtest.Must(t, err)
		mint := func(id string) string {
			token, err := ring.Sign(t.Context(), "logout+jwt", fmt.Appendf(nil,
				`{"iss":"https://op.example","aud":"app","sub":"u","jti":%q,"iat":%d,"exp":%d,"events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`,
				id, oauthtest.Born.Unix(), oauthtest.Born.Add(time.Minute).Unix()))
			oauthtest.Must(t, err)
			return token
		}
		send := func(ctx context.Context, token string) int {
			r := httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			return rec.Code
		}
		t.Run("attack_304", func(t *testing.T) {
			token := mint("copies")
			got := make(chan int, 8)
			for range 8 {
				go func() { got <- send(t.Context(), token) }()
			}
			<-began
			gone, leave := context.WithCancel(t.Context())
			leave()
			if status := send(gone, token); status != 503 {
				t.Errorf("a caller that does not wait: %d", status)
			}
			close(finish)
			ok := 0
			for range 8 {
				switch status := <-got; status {
				case 200:
					ok++
				case 400:
				default:
					t.Errorf("a copy: %d", status)
				}
			}
			if ok != 1 || calls.Load() != 1 {
				t.Errorf("%d copies were accepted, and the sessions ended %d times", ok, calls.Load())
			}

			token = mint("retried")
			for _, fault = range []error{errors.New("the database is down"), context.DeadlineExceeded} {
				if status := send(t.Context(), token); status != 503 {
					t.Errorf("a fault: %d", status)
				}
			}
			fault = nil
			if status := send(t.Context(), token); status != 200 || calls.Load() != 4 {
				t.Errorf("the retry: %d, the sessions ended %d times", status, calls.Load())
			}
			if status := send(t.Context(), token); status != 400 || calls.Load() != 4 {
				t.Errorf("a replay: %d, the sessions ended %d times", status, calls.Load())
			}
		})
	})
}

// One logout token can be for several clients of an application, each with a Receiver over the same store.
func TestSeveralClients_attack_371(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		ring := oauthtest.FreshRing(t, jose.ES256)
		ended := map[string]int{}
		receivers := map[string]http.Handler{}
		for _, client := range []string{"a", "b"} {
			h, err := backchannel.New("https://op.example", client, ring, s, func(context.Context, backchannel.Logout) error {
				ended[client]++
				return nil
			}, &backchannel.Options{Clock: func() time.Time { return oauthtest.Born }, Logger: slog.New(slog.DiscardHandler)})
			oauthtest.Must(t, err)
			receivers[client] = h
		}
		token, err := ring.Sign(t.Context(), "logout+jwt", fmt.Appendf(nil,
			`{"iss":"https://op.example","aud":["a","b"],"sub":"u","jti":"1","iat":%d,"exp":%d,"events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`,
			oauthtest.Born.Unix(), oauthtest.Born.Add(time.Minute).Unix()))
		oauthtest.Must(t, err)
		for _, want := range []int{200, 400} { // once at each
			for client, h := range receivers {
				r := httptest.NewRequest("POST", "/", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				if rec.Code != want || ended[client] != 1 {
					t.Errorf("%s: %d, want %d; its sessions ended %d times", client, rec.Code, want, ended[client])
				}
			}
		}
	})
}
