package broken

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// Case is a broken authenticator.
type Case struct {
	// Rule is the name of the rule that must find it, and that no other finds.
	Rule string
	// Base is where the credential is; "" is Field.
	Base Base
	// Race reports that only the race detector finds it.
	Race bool
	// Break breaks a correct scheme, and returns what is tested instead, or nil for itself.
	Break func(s *Site, k *Keys, correct authn.Authenticator) authn.Authenticator
}

// Cases are the broken authenticators.
var Cases = map[string]Case{
	"absent is rejected":        step("absent", absent(authn.NotAuthenticated())),
	"absent is a guest":         step("absent", absent(nil)),
	"absent is unrecognized":    step("absent", absent(authn.ErrUnrecognized)),
	"good is rejected":          step("accepted", checks(func(*Site, storage.Credential, storage.User) bool { return false })),
	"nobody is accepted":        step("names_somebody", identities(func(id *authn.Identity, _ storage.Credential, _ storage.User) { id.Subject = "" })),
	"another name":              step("scheme_name", identities(func(id *authn.Identity, _ storage.Credential, _ storage.User) { id.Scheme = "keys" })),
	"a client without limits":   step("client_has_scopes", identities(func(id *authn.Identity, c storage.Credential, _ storage.User) { id.Client = "robot" })),
	"malformed is anonymous":    step("rejected", func(_ *Site, k *Keys) { k.finish = malformedIsAbsent }),
	"any purpose":               step("rejected", anyPurpose),
	"a rejection with 500":      step("rejection_answer", rejections(func(_ string, e *authn.Error) { e.Status = 500 })),
	"a rejection without words": step("rejection_answer", rejections(func(_ string, e *authn.Error) { e.Detail = "" })),
	"an identity beside errors": step("error_without_identity", func(_ *Site, k *Keys) {
		k.finish = func(_ *http.Request, text string, id authn.Identity, err error) (authn.Identity, error) {
			if err != nil && text != "" {
				id.Subject = "alice"
			}
			return id, err
		}
	}),
	"locked by junk": step("bad_changes_nothing", lockedByJunk),

	"a fault is 401":       step("fault", faults(func(k *Keys, err error) (authn.Identity, error) { return authn.Identity{}, k.header.Reject(err) })),
	"a fault is anonymous": step("fault", faults(func(*Keys, error) (authn.Identity, error) { return authn.Identity{}, authn.ErrNoCredentials })),
	"a fault is open": step("fault", faults(func(k *Keys, _ error) (authn.Identity, error) {
		return authn.Identity{Subject: "alice", Scheme: k.name}, nil
	})),
	"the store is always asked": step("fault_absent", pings),
	"canceled is 401": step("canceled", func(_ *Site, k *Keys) {
		k.finish = func(_ *http.Request, _ string, id authn.Identity, err error) (authn.Identity, error) {
			if errors.Is(err, context.Canceled) {
				err = k.header.Reject(err)
			}
			return id, err
		}
	}),

	"expiry is not checked": step("expired", checks(func(_ *Site, c storage.Credential, u storage.User) bool { return u.Active && u.Epoch == c.Epoch })),
	"disabled is not checked": step("disabled", checks(func(s *Site, c storage.Credential, u storage.User) bool {
		return u.Epoch == c.Epoch && !c.Expired(s.clock())
	})),
	"epochs are not compared": step("logged_out_everywhere", checks(func(s *Site, c storage.Credential, u storage.User) bool { return u.Active && !c.Expired(s.clock()) })),
	"revoked is remembered":   step("revoked", remembersRevoked),
	"no expiry in identities": step("expiry_is_reported", identities(func(id *authn.Identity, _ storage.Credential, _ storage.User) { id.Expires = time.Time{} })),
	"says that it expired": step("alike", func(s *Site, k *Keys) {
		check := k.check
		k.check = func(r *http.Request, c storage.Credential, u storage.User) error {
			if c.Expired(s.clock()) {
				return authn.AuthenticationFailed("Your key has expired.")
			}
			return check(r, c, u)
		}
	}),
	"revokes everybody's": step("others_stay", func(s *Site, k *Keys) {
		k.revoke = func(string, string) error {
			for _, subject := range []string{"alice", "bob"} {
				if _, err := s.Store.DeleteAllCredentialsOf(context.Background(), subject); err != nil {
					return err
				}
			}
			return nil
		}
	}),
	"the first account for all": step("accounts_apart", func(s *Site, k *Keys) {
		var first sync.Map
		identities(func(id *authn.Identity, c storage.Credential, _ storage.User) {
			subject, _ := first.LoadOrStore(c.Purpose, id.Subject)
			id.Subject = subject.(string)
		})(s, k)
	}),

	"roles beside scopes": step("scoped", identities(func(id *authn.Identity, c storage.Credential, u storage.User) {
		if len(c.Scopes) > 0 {
			id.Roles = u.Roles
		}
	})),
	"scopes are ignored": step("scoped", identities(func(id *authn.Identity, c storage.Credential, _ storage.User) {
		if len(c.Scopes) > 0 {
			id.Scopes = nil
		}
	})),
	"no scope is no limit": step("scopeless", identities(func(id *authn.Identity, c storage.Credential, _ storage.User) {
		if len(c.Scopes) == 0 {
			id.Scopes = nil
		}
	})),
	"roles are shared": step("fresh_lists", func(s *Site, k *Keys) {
		var shared sync.Map
		identities(func(id *authn.Identity, _ storage.Credential, _ storage.User) {
			if id.Roles != nil {
				roles, _ := shared.LoadOrStore(id.Subject, id.Roles)
				id.Roles = roles.([]string)
			}
		})(s, k)
	}),

	"the header is removed": step("request_unchanged", func(_ *Site, k *Keys) {
		k.finish = func(r *http.Request, _ string, id authn.Identity, err error) (authn.Identity, error) {
			r.Header.Del("X-Api-Key")
			return id, err
		}
	}),
	"the body is read": step("request_unchanged", func(_ *Site, k *Keys) {
		k.finish = func(r *http.Request, _ string, id authn.Identity, err error) (authn.Identity, error) {
			if r.Body != nil {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			return id, err
		}
	}),
	"a header that is not canonical": step("headers", func(_ *Site, k *Keys) { k.headers = []string{"X-API-Key"} }),
	"another header than it reads":   step("headers", func(_ *Site, k *Keys) { k.headers = []string{"X-Key"} }),
	"another keyword":                claims(func(c *authn.CredentialFormat) { c.Keyword = "Key" }),
	"another beginning":              claims(func(c *authn.CredentialFormat) { c.Prefix = "key_" }),
	"also in the query":              step("elsewhere", also(func(r *http.Request) string { return r.URL.Query().Get("api_key") })),
	"also as a bearer token":         step("elsewhere", also(func(r *http.Request) string { return authn.RawCredentials(r, "Bearer") })),
	"also in a cookie":               step("elsewhere", also(func(r *http.Request) string { text, _ := authn.Cookie(r, "token"); return text })),
	"a renewal that rejects":         {Rule: "chain", Break: func(_ *Site, k *Keys, _ authn.Authenticator) authn.Authenticator { return &renewer{k} }},
	"other sites are not refused":    {Rule: "ambient", Base: Cookie, Break: func(_ *Site, k *Keys, _ authn.Authenticator) authn.Authenticator { k.check = anySite(k); return nil }},

	"the first of two headers": step("two_headers", func(_ *Site, k *Keys) {
		k.read = func(r *http.Request) (string, error) {
			c := *r
			c.Header = http.Header{}
			if v := r.Header.Get("X-Api-Key"); v != "" || len(r.Header["X-Api-Key"]) == 1 {
				c.Header.Set("X-Api-Key", v)
			}
			return k.header.Read(&c)
		}
	}),
	"the first of two cookies": on(Cookie, "two_headers", func(_ *Site, k *Keys) {
		read := k.read
		k.read = func(r *http.Request) (string, error) {
			c, err := r.Cookie("key")
			if err != nil {
				return "", authn.ErrNoCredentials
			}
			one := *r
			one.Header = http.Header{"Cookie": {c.String()}}
			return read(&one)
		}
	}),
	"the first of a list": step("two_credentials", texts(func(s string) string { first, _, _ := strings.Cut(s, ","); return first })),
	"NUL is ignored":      step("odd_input_accepted", texts(func(s string) string { return strings.ReplaceAll(s, "\x00", "") })),
	"any case of the prefix": step("odd_input_accepted", texts(func(s string) string {
		if len(s) > 4 && strings.EqualFold(s[:4], "brk_") {
			return "brk_" + s[4:]
		}
		return s
	})),
	"bytes of no character": step("odd_input_panics", texts(func(s string) string {
		var seen [128]bool
		for i := range len(s) {
			seen[s[i]] = true
		}
		return s
	})),
	"a fault for NUL": step("odd_input_fault", func(_ *Site, k *Keys) {
		read := k.read
		k.read = func(r *http.Request) (string, error) {
			if strings.Contains(r.Header.Get("X-Api-Key"), "\x00") {
				return "", errors.New("invalid byte sequence for encoding \"UTF8\": 0x00")
			}
			return read(r)
		}
	}),

	"the key in the reason": step("secret_in_error", func(_ *Site, k *Keys) {
		k.failed = func(text string, err error) error {
			if errors.Is(err, storage.ErrNotFound) {
				return k.header.Reject(fmt.Errorf("no key %s", text))
			}
			return err
		}
	}),
	"the key in the answer": step("secret_in_error", rejections(func(text string, e *authn.Error) { e.Header = http.Header{"X-Debug": {text}} })),
	"the key in a fault": step("secret_in_error", func(_ *Site, k *Keys) {
		failed := k.failed
		k.failed = func(text string, err error) error {
			if err = failed(text, err); errors.Is(err, errDown) {
				return fmt.Errorf("SELECT … WHERE key = '%s': %w", text, err)
			}
			return err
		}
	}),
	"the key in the identity": step("secret_in_identity", func(_ *Site, k *Keys) {
		k.finish = func(_ *http.Request, text string, id authn.Identity, err error) (authn.Identity, error) {
			if err == nil {
				id.Credential = struct{ Key []byte }{[]byte(text)}
			}
			return id, err
		}
	}),
	"the key in the challenge": step("secret_in_challenge", func(_ *Site, k *Keys) {
		k.challenge = func(r *http.Request, _ error) string { return fmt.Sprintf("ApiKey key=%q", r.Header.Get("X-Api-Key")) }
	}),
	"the key in the log": step("secret_in_log", func(s *Site, k *Keys) {
		k.finish = func(_ *http.Request, text string, id authn.Identity, err error) (authn.Identity, error) {
			s.print("key", text, "of", id.Subject)
			return id, err
		}
	}),
	"a realm without quotes": step("challenge_syntax", func(_ *Site, k *Keys) {
		k.challenge = func(*http.Request, error) string { return "ApiKey realm=the api" }
	}),
	"a line break":             step("challenge_syntax", func(_ *Site, k *Keys) { k.challenge = func(*http.Request, error) string { return "ApiKey\r\nX: y" } }),
	"two schemes in challenge": step("challenge_scheme", challengeByError),

	"kept for any host": step("kept_same", keptForAnyHost),
	"kept by another clock": step("kept_expired", func(s *Site, k *Keys) {
		keep := k.keep
		k.keep = func(c storage.Credential, u storage.User) authn.Keep {
			kept := keep(c, u)
			kept.Clock, kept.Lease = longAgo, &lease{s, c, u.Epoch, ""}
			return kept
		}
	}),
	"kept after a revocation":   step("kept_revoked", leases("revoked")),
	"kept for disabled":         step("kept_disabled", leases("disabled")),
	"kept after a logout":       step("kept_logged_out_everywhere", leases("epoch")),
	"one buffer for all":        step("concurrent", oneBuffer),
	"a counter without a mutex": {Rule: "concurrent", Race: true, Break: func(_ *Site, k *Keys, _ authn.Authenticator) authn.Authenticator { counts(k); return nil }},
}

// oneBuffer keeps the text of the request in the scheme between two steps.
func oneBuffer(_ *Site, k *Keys) {
	var last atomic.Pointer[string]
	read, find := k.read, k.find
	k.read = func(r *http.Request) (string, error) {
		text, err := read(r)
		if err == nil {
			text = string(bytes.Clone([]byte(text)))
			last.Store(&text)
			for range 20 {
				runtime.Gosched()
			}
		}
		return text, err
	}
	k.find = func(ctx context.Context, _ string) (storage.Credential, storage.User, error) {
		return find(ctx, *last.Load())
	}
}
