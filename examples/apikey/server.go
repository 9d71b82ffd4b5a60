package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authn/username"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/examples/apikey/apikey"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/observe/health"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

const (
	defaultTTL = 90 * 24 * time.Hour
	maxTTL     = 365 * 24 * time.Hour
)

// server returns the handler of the example. demo adds the demo users, whose passwords everybody
// knows. hasher is a parameter so that tests can use a cheaper one.
func server(ctx context.Context, db *cached.Store, ring *keys.Ring, hasher *password.Hasher, clock func() time.Time, demo bool) (http.Handler, error) {
	_, names := ring.Newest(keys.ThrottleNames)
	_, device := ring.Newest(keys.DeviceCookie)
	logins, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{NameKey: names[:], DeviceKey: device[:]})
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, &password.Options{Canonical: username.Canonical, Limiter: logins, MinLength: 12})
	if err != nil {
		return nil, err
	}
	if demo {
		if err := addUsers(ctx, db, passwords); err != nil {
			return nil, err
		}
	}
	remembered, err := password.Cached(passwords, nil) // so that not every request computes a hash
	if err != nil {
		return nil, err
	}
	basics, err := basic.New(remembered, nil)
	if err != nil {
		return nil, err
	}
	scheme, err := apikey.New(db, clock)
	if err != nil {
		return nil, err
	}
	refusals, err := throttle.NewRefusals(nil)
	if err != nil {
		return nil, err
	}
	a := &api{db: db, keys: scheme, endpoints: login.Endpoints{Challenge: scheme.Challenge, Rejected: scheme.Reject(nil)}}
	mux := authz.NewMux(authn.New(authn.Chain{scheme, basics}, &authn.Options{Refusals: refusals}))
	mux.RequireScopes()
	// #region route
	// A key creates no further keys: a stolen one would live on in them.
	mux.Handle("POST /keys", a.endpoints.JSON(http.MethodPost, a.issue), authz.FirstParty, authz.ViaScheme("basic"))
	mux.Handle("GET /keys", a.endpoints.List(a.caller, a.list), authz.FirstParty)
	mux.Handle("DELETE /keys/{id}", a.endpoints.RevokeOne(a.caller, scheme.Revoke), authz.FirstParty)
	mux.Handle("POST /logout-everywhere", a.endpoints.NoContent(http.MethodPost, a.logoutEverywhere), authz.FirstParty)
	mux.Handle("GET /api/profile", a.endpoints.JSON(http.MethodGet, a.profile), authz.IsAuthenticated, authz.HasScope("profile"))
	// #endregion route
	mux.Public("GET /healthz", health.Live(health.Checks{Store: a.db.Ping}))
	return mux, nil
}

// demoUsers are in the demo database only.
var demoUsers = map[string]string{"alice": "wonderland-42", "bob": "bob-the-builder-42"}

func addUsers(ctx context.Context, db storage.Users, passwords *password.Checker) error {
	for name, text := range demoUsers {
		_, err := db.UserByName(ctx, name)
		if errors.Is(err, storage.ErrNotFound) {
			_, err = passwords.Register(ctx, password.NewUser{Name: name, Email: name + "@example.com", Password: text})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// api are the endpoints.
type api struct {
	db        *cached.Store
	keys      *apikey.Scheme
	endpoints login.Endpoints
}

// fields of POST /keys, all optional.
var fields = []login.Field{
	{Name: "name", Trim: true, Optional: true, MaxBytes: storage.MaxIDBytes}, // for the list
	{Name: "scopes", Trim: true, Optional: true},                             // separated by spaces; without them the key has no scopes
	{Name: "full", Optional: true, Bool: true},                               // true: the key has all rights of the account
	{Name: "ttl", Trim: true, Optional: true},                                // in seconds
}

// issue creates a key for the account that the password proved.
func (a *api) issue(w http.ResponseWriter, r *http.Request) (any, error) {
	values := make([]string, len(fields))
	if r.ContentLength != 0 {
		var err error
		if values, err = login.Read(w, r, fields...); err != nil {
			return nil, err
		}
	}
	user, ok := authn.UserFrom[*storage.Account](r.Context())
	if !ok {
		return nil, authn.PermissionDenied("")
	}
	// The epoch is that of the moment before the password was checked: if the account was
	// logged out everywhere since then, the key is not created.
	key := storage.Credential{Subject: user.ID, Epoch: user.Epoch, Name: values[0]}
	// #region scopes
	// Nil Scopes are all rights. A field that is empty, missing or misspelt must not give them.
	key.Scopes = append([]string{}, strings.Fields(values[1])...)
	if values[2] == "true" {
		if len(key.Scopes) > 0 {
			return nil, authn.FieldError("full", "A key has either scopes or full rights.")
		}
		key.Scopes = nil
	}
	// #endregion scopes
	ttl := defaultTTL
	if values[3] != "" {
		seconds, err := strconv.Atoi(values[3])
		if err != nil || seconds < 1 || seconds > int(maxTTL/time.Second) {
			return nil, authn.FieldError("ttl", "Must be a number of seconds from 1 to 31536000.")
		}
		ttl = time.Duration(seconds) * time.Second
	}
	text, key, err := a.keys.Issue(r.Context(), key, ttl)
	switch {
	case errors.Is(err, storage.ErrInvalid):
		return nil, authn.BadRequest("The name or the scopes are not valid.").WithCause(err)
	case errors.Is(err, storage.ErrLimit):
		return nil, authn.PermissionDenied("You have too many keys: revoke one first.")
	case errors.Is(err, storage.ErrStale):
		return nil, authn.InvalidLogin().WithCause(err)
	case err != nil:
		return nil, err
	}
	w.Header().Set("Cache-Control", "no-store")
	return map[string]any{"key": text.Reveal(), "id": key.ID, "expiry": login.TimeOrNull(key.Expires)}, nil
}

// caller is the account of the request, and the ID of its key.
func (a *api) caller(r *http.Request) (subject, current string, err error) {
	id := authn.FromContext(r.Context())
	if key, ok := id.Credential.(*storage.Credential); ok {
		current = key.ID
	}
	return id.Subject, current, login.FirstPartyOf(id, a.db)
}

func (a *api) list(ctx context.Context, subject, current string) (any, error) {
	type item struct {
		ID      string   `json:"id"`
		Name    string   `json:"name"`
		Scopes  []string `json:"scopes"` // null: not limited
		Created *string  `json:"created"`
		Expiry  *string  `json:"expiry"`
		Current bool     `json:"current"`
	}
	all, err := a.keys.List(ctx, subject)
	items := make([]item, len(all))
	for i, k := range all {
		items[i] = item{k.ID, k.Name, k.Scopes, login.TimeOrNull(k.Created), login.TimeOrNull(k.Expires), k.ID == current}
	}
	return items, err
}

func (a *api) logoutEverywhere(_ http.ResponseWriter, r *http.Request) error {
	id := authn.FromContext(r.Context())
	if err := login.FirstPartyOf(id, a.db); err != nil {
		return err
	}
	_, err := storage.LogoutEverywhere(r.Context(), a.db, id.Subject)
	return err
}

func (a *api) profile(_ http.ResponseWriter, r *http.Request) (any, error) {
	user, ok := authn.UserFrom[*storage.Account](r.Context())
	if !ok {
		return nil, authn.PermissionDenied("")
	}
	return map[string]string{"username": user.Name, "email": user.Email, "scheme": authn.FromContext(r.Context()).Scheme}, nil
}
