package backchannel_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/backchannel"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// With required events, a logout token is consumed only with its event. The provider can send it again.
func TestRequiredEvents_attack_480(t *testing.T) {
	s := &schemetest.FullLog{Store: memory.New(nil), Full: true}
	events, err := audit.New(func(context.Context, audit.Event) {}, &audit.Options{Required: true})
	oauthtest.Must(t, err)
	ring := oauthtest.FreshRing(t, jose.ES256)
	end := func(context.Context, backchannel.Logout) error { return nil }
	o := &backchannel.Options{Clock: func() time.Time { return oauthtest.Born }, Logger: slog.New(slog.DiscardHandler), Audit: events}
	h, err := backchannel.New("https://op.example", "app", ring, s, end, o)
	oauthtest.Must(t, err)
	token, err := ring.Sign(t.Context(), "logout+jwt", fmt.Appendf(nil,
		`{"iss":"https://op.example","aud":"app","sub":"u","jti":"j","iat":%d,"exp":%d,"events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`,
		oauthtest.Born.Unix(), oauthtest.Born.Add(time.Minute).Unix()))
	oauthtest.Must(t, err)
	send := func() int {
		r := httptest.NewRequest("POST", "/", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec.Code
	}
	if code := send(); code != 503 {
		t.Errorf("a logout without its event: %d", code)
	}
	s.Full = false
	first, second := send(), send()
	list, err := s.AuditAfter(t.Context(), "", 10)
	if first != 200 || second != 400 || err != nil || len(list) != 1 || list[0].Kind != string(audit.Logout) {
		t.Errorf("%d, %d, %+v, %v", first, second, list, err)
	}
	if _, err := backchannel.New("https://op.example", "app", ring, struct{ storage.Replays }{s}, end, o); err == nil {
		t.Error("a store without a log was accepted")
	}
}
