package openid_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// With required events, a session ends only with the event of its logout. Otherwise the browser keeps
// its cookie, and the user can send the form again.
func TestRequiredEvents_attack_480(t *testing.T) {
	s := &schemetest.FullLog{Store: memory.New(nil)}
	events, err := audit.New(func(context.Context, audit.Event) {}, &audit.Options{Required: true})
	oauthtest.Must(t, err)
	p := oauthtest.NewProvider(t, s, jose.ES256, func(o *oauthtest.Options) {
		o.Audit = events
		o.OpenID.EndSession = func(w http.ResponseWriter, r *http.Request) error {
			http.SetCookie(w, &http.Cookie{Name: "session", MaxAge: -1})
			_, err := s.BumpEpoch(r.Context(), "id-alice") // a change in the store, undone with the event
			return err
		}
	})
	epoch := func() int64 {
		u, err := s.UserByID(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		return u.Epoch
	}
	before := epoch()
	handle := oauthtest.HandleOf(t, p.LogsOut("s1", "", ""))
	s.Full = true
	if rec := p.LogsOut("s1", "", "handle="+handle+"&decision=logout"); rec.Code != 503 || len(rec.Result().Cookies()) > 0 || epoch() != before {
		t.Errorf("a logout without its event: %d, cookies %v, epoch %d", rec.Code, rec.Result().Cookies(), epoch())
	}
	s.Full = false
	if rec := p.LogsOut("s1", "", "handle="+handle+"&decision=logout"); rec.Code != 200 || len(rec.Result().Cookies()) != 1 {
		t.Errorf("sent again: %d, cookies %v", rec.Code, rec.Result().Cookies())
	}
	list, err := s.AuditAfter(t.Context(), "", 10)
	if err != nil || len(list) != 1 || list[0].Kind != string(audit.Logout) {
		t.Errorf("%+v, %v", list, err)
	}
}
