package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// devicePrefix is the prefix of device codes.
	devicePrefix = "vdc"
	// deviceInterval is the initial minimum time between polls.
	deviceInterval = 5 * time.Second
)

// DeviceAuthorization returns the endpoint at which a device without a browser begins (RFC 8628,
// section 3.1). It accepts a POST of a form with "scope" and "resource", with client
// authentication. The response contains the code with which the device polls the token endpoint,
// and the code that its user enters on the device page (package consent). It panics without
// Options.Keys.
func (s *Server) DeviceAuthorization() http.Handler {
	if s.opts.Keys == nil {
		panic("server: DeviceAuthorization requires Options.Keys")
	}
	return s.CORS("POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := s.beginDevice(w, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		oauth2.WriteJSON(w, http.StatusOK, a)
	}))
}

// deviceResponse is the response of RFC 8628, section 3.2.
type deviceResponse struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	Page       string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	Expires    int    `json:"expires_in"`
	Interval   int    `json:"interval"`
}

func (s *Server) beginDevice(w http.ResponseWriter, r *http.Request) (deviceResponse, error) {
	none := deviceResponse{}
	f, err := oauth2.ReadForm(w, r)
	if err != nil {
		return none, err
	}
	c, err := s.client(r, f)
	if err != nil {
		return none, err
	}
	if !slices.Contains(c.Grants, oauth2.DeviceCode) {
		return none, errUnauthorized
	}
	scopes, resource, err := s.requested(f, c)
	if err != nil {
		return none, err
	}
	if err := s.admitPending(r, workDevice, c, s.opts.DeviceTTL); err != nil {
		return none, err
	}
	text, err := s.text(devicePrefix)
	if err != nil {
		return none, err
	}
	now := s.now()
	g := storage.DeviceGrant{
		Digest: storage.DigestOf(text), Client: c.ID, Scopes: scopes, Resource: resource, Interval: deviceInterval, Created: now, Expires: now.Add(s.opts.DeviceTTL),
	}
	code, err := s.createDevice(r.Context(), g)
	switch {
	case errors.Is(err, storage.ErrStale):
		return none, errClient.WithCause(errors.New("client was disabled or deleted concurrently"))
	case err != nil:
		return none, err
	}
	page, shown := s.issuer+s.opts.Endpoints.Device, shownCode(code)
	return deviceResponse{text, shown, page, page + "?user_code=" + shown, int(s.opts.DeviceTTL / time.Second), int(deviceInterval / time.Second)}, nil
}

// The errors for a device that polls (RFC 8628, section 3.5).
var (
	errPending = oauth2.NewError("authorization_pending", "The user has not decided yet.")
	errSlow    = oauth2.NewError("slow_down", "The poll came too early; the interval is 5 seconds longer from now on.")
	errDenied  = oauth2.NewError("access_denied", "The user refused.")
	errExpired = oauth2.NewError("expired_token", "The device code has expired.")
)

// exchangeDevice issues tokens for a device code that a user approved. A code can be exchanged
// once.
func (s *Server) exchangeDevice(ctx context.Context, x exchange) (tokenResponse, error) {
	g, err := s.poll(ctx, x)
	if err != nil {
		return tokenResponse{}, err
	}
	resource, err := s.resourcesOfGrant(x, g.Resource)
	if err != nil {
		return tokenResponse{}, err
	}
	if err := s.verifyProof(ctx, x.proof); err != nil {
		return tokenResponse{}, err
	}
	a, err := s.begin(ctx, x, newGrant{
		family:   storage.Family{Subject: g.Subject, Scopes: g.Scopes, Resource: g.Resource, Epoch: g.Epoch, AuthTime: g.AuthTime, ACR: g.ACR, AMR: g.AMR},
		resource: resource,
		claim: func(ctx context.Context, _ string) error {
			return s.store.ConsumeDeviceGrant(ctx, g.Digest, s.now())
		},
	})
	if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrStale) || errors.Is(err, storage.ErrNotFound) {
		return tokenResponse{}, errGrant.WithCause(err)
	}
	return a, err
}

// poll returns the grant of the request if it was approved.
func (s *Server) poll(ctx context.Context, x exchange) (storage.DeviceGrant, error) {
	text := x.form.Get("device_code")
	if text == "" {
		return storage.DeviceGrant{}, oauth2.NewError("invalid_request", "The device_code is missing.")
	}
	if !deviceFormat.Valid(text) {
		return storage.DeviceGrant{}, errGrant.WithCause(errors.New("not in the format of a device code"))
	}
	if s.opts.Limits != nil { // each poll writes
		err := s.admit(ctx, "poll", Cell{Key: s.cellKey("poll", x.client.ID, text), Limit: polls, Window: time.Minute})
		var slow *oauth2.Error
		if errors.As(err, &slow) {
			return storage.DeviceGrant{}, errSlow
		}
	}
	now := s.now()
	g, err := s.store.PollDeviceGrant(ctx, storage.DigestOf(text), x.client.ID, now)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return g, errGrant.WithCause(errors.New("unknown, or another client's"))
	case err != nil:
		return g, err
	case g.State == storage.DeviceClaimed:
		return g, errGrant.WithCause(errors.New("used already"))
	case g.State == storage.DeviceDenied:
		return g, errDenied
	case g.Expired(now), storage.Ahead(now, g.Created):
		return g, errExpired
	case g.State == storage.DeviceApproved:
		return g, nil
	case g.Slow:
		return g, errSlow
	}
	return g, errPending
}
