package server

import (
	"context"
	"time"
)

// AdmitApproval counts an authorization code that a user allowed on a page: 600 per hour and user,
// half of them immediately. Above the limit it returns an *oauth2.Error with status 429.
func (s *Server) AdmitApproval(ctx context.Context, subject string) error {
	return s.admitUser(ctx, "code", subject, userCodes, time.Hour)
}

// AdmitSilent counts an authorization code that is issued without a page: 120 per hour, user and
// client, half of them immediately. Above the limit it returns false; then show the page. Any site
// can make a browser request such codes, so they do not count toward the limit of AdmitApproval.
func (s *Server) AdmitSilent(ctx context.Context, subject, client string) bool {
	return s.admitUser(ctx, "silent code", subject+"\x00"+client, silentCodes, time.Hour) == nil
}

// admitUser counts something that a logged-in user makes the server store.
func (s *Server) admitUser(ctx context.Context, what, subject string, most int, window time.Duration) error {
	if s.opts.Limits == nil {
		return nil
	}
	return s.admit(ctx, what, bound(s.cellKey("user", what, subject), most, window, false))
}
