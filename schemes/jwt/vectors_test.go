package jwt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/foreigntokens"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// optionsOf returns the options of a vector.
func optionsOf(t testing.TB, c *foreigntokens.Vector) *jwt.VerifierOptions {
	t.Helper()
	rules := func(list [][]string) (all []jwt.Rule) {
		for _, r := range list {
			switch name, path, values := r[0], r[1], r[2:]; name {
			case "is":
				all = append(all, jwt.Is(path, values...))
			case "not":
				all = append(all, jwt.Not(path, values...))
			case "has":
				all = append(all, jwt.Has(path))
			case "lacks":
				all = append(all, jwt.Lacks(path))
			case "under":
				all = append(all, jwt.Under(path, values[0]))
			case "headerIs":
				all = append(all, jwt.HeaderIs(path, values...))
			default:
				t.Fatalf("a rule %q", name)
			}
		}
		return all
	}
	v := c.Options
	o := &jwt.VerifierOptions{
		Algorithms: foreigntokens.Algorithms(c), Types: v.Types, Untyped: v.Untyped, Issuers: v.Issuers, SameIssuer: v.SameIssuer, NoIssuer: v.NoIssuer,
		Audiences: v.Audiences, TenantClaim: v.TenantClaim, IDClaim: v.IDClaim, NoID: v.NoID, SubjectClaim: v.SubjectClaim, NoSubject: v.NoSubject,
		ClientClaims: v.ClientClaims, Clients: v.Clients, ScopeClaims: v.ScopeClaims, MachineScopeClaims: v.MachineScopeClaims,
		FirstParty: v.FirstParty, FirstPartyClients: v.FirstPartyClients, OwnIssuer: v.OwnIssuer, AllowIDTokens: v.AllowIDTokens,
		Roles: v.Roles, RoleMap: v.RoleMap, Require: rules(v.Require), Machine: rules(v.Machine), Header: v.Header, Padded: v.Padded,
		Leeway: time.Duration(v.Leeway) * time.Second, MaxLifetime: time.Duration(v.MaxLifetime) * time.Second, Clock: c.Time,
	}
	if v.Tenants != nil {
		o.Tenants = jwt.TenantList(v.Tenants...)
	}
	// The vectors ignore the scopes of first-party clients, which is an option of its own here.
	o.IgnoreFirstPartyScopes = len(v.FirstPartyClients) > 0
	if c.Issuer == "google-iap" {
		o.NotClients = []string{"azp"} // the vectors do not take it for a client
	}
	return o
}

// vectors returns the tokens of other issuers and their keys.
func vectors(t testing.TB) ([]foreigntokens.Vector, *foreigntokens.Keys) {
	t.Helper()
	all, err := foreigntokens.All()
	schemetest.Must(t, err)
	keys, err := foreigntokens.NewKeys()
	schemetest.Must(t, err)
	return all, keys
}

func verifierOf(t testing.TB, c *foreigntokens.Vector, keys *foreigntokens.Keys) *jwt.Verifier {
	t.Helper()
	source, err := keys.Source(c)
	schemetest.Must(t, err)
	v, err := jwt.NewVerifier(c.Options.Issuer, c.Options.Audience, source, optionsOf(t, c))
	schemetest.Must(t, err)
	return v
}

func presents(c *foreigntokens.Vector, token string) *http.Request {
	if c.Options.Header == "" {
		return bearer(token)
	}
	r := schemetest.Request("GET", "")
	r.Header.Del("Authorization")
	r.Header.Set(c.Options.Header, token)
	return r
}

// Tokens in the form that other issuers document, each with the options for that issuer.
func TestForeignIssuers(t *testing.T) {
	all, keys := vectors(t)
	if len(all) != 166 {
		t.Errorf("%d vectors", len(all))
	}
	accepted, refused := 0, 0
	for i := range all {
		c := &all[i]
		t.Run(c.ID, func(t *testing.T) {
			v := verifierOf(t, c, keys)
			token, err := keys.Token(c)
			schemetest.Must(t, err)
			for _, first := range []bool{true, false} { // the second is answered from memory
				id, reason, status := decided(v, presents(c, token))
				want := c.Expect
				switch {
				case (status == 200) != want.Accepted || status != 200 && status != 401:
					t.Fatalf("%s: %d %s, want %s", c.Case, status, reason, want.Why)
				case !want.Accepted && !c.Named(reason):
					t.Errorf("%s: reason %q does not name %q", c.Case, reason, want.Why)
				case want.Accepted:
					got := fmt.Sprintf("%q %q %q %#v %q", id.Issuer, id.Subject, id.Client, id.Scopes, id.Roles)
					if want := fmt.Sprintf("%q %q %q %#v %q", want.Issuer, want.Subject, want.Client, want.Scopes, want.Roles); got != want {
						t.Errorf("%s, first %t:\ngot  %s\nwant %s", c.Case, first, got, want)
					}
				}
			}
			if c.Expect.Accepted {
				accepted++
			} else {
				refused++
			}
		})
	}
	if accepted != 56 || refused != 110 {
		t.Errorf("%d accepted, %d refused", accepted, refused)
	}
}

// decided sends a request through a middleware. The reason is the one in the log.
func decided(a authn.Authenticator, r *http.Request) (id authn.Identity, reason string, status int) {
	var log bytes.Buffer
	m := authn.New(authn.Chain{a}, &authn.Options{Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	ctx, err := m.Authenticate(r)
	if err != nil {
		m.Respond(discard{http.Header{}}, r, err)
		var line struct{ Reason, Error string }
		for _, text := range bytes.Split(bytes.TrimSpace(log.Bytes()), []byte("\n")) {
			if json.Unmarshal(text, &line) == nil && line.Reason+line.Error != "" {
				reason = line.Reason + line.Error
			}
		}
	}
	id = authn.FromContext(ctx)
	var e *authn.Error
	switch {
	case err == nil && !id.Authenticated():
		return id, "anonymous", 401
	case err == nil:
		return id, "", 200
	case errors.As(err, &e):
		return id, reason, e.Status
	}
	return id, reason, 503
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// The copy of the vectors is the file that they come from.
func TestForeignVectorsAreCurrent(t *testing.T) {
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS is not set")
	}
	text, err := os.ReadFile(filepath.Join(dir, "foreign-tokens.json"))
	schemetest.Must(t, err)
	if !bytes.Equal(text, foreigntokens.Text()) {
		t.Error("internal/foreigntokens/tokens.json differs from foreign-tokens.json")
	}
}

// A token of one issuer is rejected by the verifier of every other, even with the same keys.
func TestForeignTokensElsewhere(t *testing.T) {
	all, keys := vectors(t)
	type named struct {
		c *foreigntokens.Vector
		v *jwt.Verifier
	}
	var verifiers []named
	for i := range all {
		c := &all[i]
		if !slices.ContainsFunc(verifiers, func(n named) bool { return n.c.Issuer == c.Issuer && n.c.Options.Audience == c.Options.Audience }) {
			verifiers = append(verifiers, named{c, verifierOf(t, c, keys)})
		}
	}
	tried := 0
	for i := range all {
		c := &all[i]
		if !c.Expect.Accepted {
			continue
		}
		token, err := keys.Token(c)
		schemetest.Must(t, err)
		for _, other := range verifiers {
			same := other.c.Issuer == c.Issuer && other.c.Options.Audience == c.Options.Audience
			entra := other.c.Issuer == "entra-multi" && c.Issuer == "entra" || other.c.Issuer == "entra" && c.Issuer == "entra-multi" // one tenant in both
			if same || entra {
				continue
			}
			tried++
			if id, err := other.v.Authenticate(presents(other.c, token)); err == nil {
				t.Errorf("%s at %s: %+v", c.ID, other.c.Issuer, id)
			}
		}
	}
	if tried < 1000 {
		t.Errorf("%d pairs", tried)
	}
}
