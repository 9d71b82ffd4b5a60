package benchmarks

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/models"
	"github.com/go-oauth2/oauth2/v4/server"
	goauth2store "github.com/go-oauth2/oauth2/v4/store"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	fositestore "github.com/ory/fosite/storage"
)

const (
	passwordGrant = "grant_type=password&username=alice&password=wonderland-42&scope=offline"
	clientGrant   = "grant_type=client_credentials"
)

// asPeersApp is a request of the peers' client, whose secret is "app-secret".
func asPeersApp(form string) *http.Request {
	r := post("/oauth2/token", form)
	r.SetBasicAuth("app", "app-secret")
	return r
}

func asNobody() *http.Request {
	r := post("/oauth2/token", clientGrant)
	r.SetBasicAuth("app", "wrong")
	return r
}

// goOAuth2 is go-oauth2 with its own manager and its stores in memory.
func goOAuth2() (*server.Server, *manage.Manager, error) {
	m := manage.NewDefaultManager()
	m.SetPasswordTokenCfg(&manage.Config{AccessTokenExp: 24 * time.Hour, RefreshTokenExp: 48 * time.Hour, IsGenerateRefresh: true})
	tokens, err := goauth2store.NewMemoryTokenStore()
	if err != nil {
		return nil, nil, err
	}
	m.MapTokenStorage(tokens)
	clients := goauth2store.NewClientStore()
	if err := clients.Set("app", &models.Client{ID: "app", Secret: "app-secret", Domain: redirect}); err != nil {
		return nil, nil, err
	}
	m.MapClientStorage(clients)
	s := server.NewDefaultServer(m)
	s.SetClientInfoHandler(server.ClientBasicHandler)
	s.SetPasswordAuthorizationHandler(func(_ context.Context, _, name, password string) (string, error) {
		if name != "alice" || password != "wonderland-42" {
			return "", errors.New("wrong")
		}
		return subject, nil
	})
	return s, m, nil
}

func goOAuth2Endpoint(s *server.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = s.HandleTokenRequest(w, r) })
}

func goOAuth2Gate(_ *Env, seen Seen) (*Gate, error) {
	s, _, err := goOAuth2()
	if err != nil {
		return nil, err
	}
	var body refreshed
	if err := answer(goOAuth2Endpoint(s), asPeersApp(passwordGrant), 200, &body); err != nil {
		return nil, err
	}
	g := &Gate{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, err := s.ValidationBearerToken(r)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r = with(r, t.GetUserID())
		seen(w, r.Context().Value(floorKey{}).(*known).subject)
	})}
	g.Good, g.Bad = header("Authorization", "Bearer "+body.OAuthAccess)
	return g, nil
}

func goOAuth2Login(*Env) (*Work, error) {
	s, _, err := goOAuth2()
	return endpoint(goOAuth2Endpoint(s), func() *http.Request { return asPeersApp(clientGrant) }, 200, asNobody), err
}

func goOAuth2Refresh(*Env) (*Work, error) {
	s, _, err := goOAuth2()
	if err != nil {
		return nil, err
	}
	return chainedAt(goOAuth2Endpoint(s))
}

// chainedAt gets a refresh token for alice's password, and exchanges it.
func chainedAt(h http.Handler) (*Work, error) {
	var body refreshed
	err := answer(h, asPeersApp(passwordGrant), 200, &body)
	return chained(body.OAuthNext, func(refresh string) (string, error) {
		var body refreshed
		err := answer(h, asPeersApp("grant_type=refresh_token&refresh_token="+url.QueryEscape(refresh)), 200, &body)
		return body.OAuthNext, err
	}), err
}

// It has no revocation endpoint; this is what one would call.
func goOAuth2Revoke(e *Env) (*Work, error) {
	s, m, err := goOAuth2()
	if err != nil {
		return nil, err
	}
	h := goOAuth2Endpoint(s)
	return each(func() (string, error) {
		var body refreshed
		err := answer(h, asPeersApp(clientGrant), 200, &body)
		return body.OAuthAccess, err
	}, func(t string) error { return m.RemoveAccessToken(e, t) }, func(t string) bool {
		_, err := s.ValidationBearerToken(request(http.Header{"Authorization": {"Bearer " + t}}))
		return err == nil
	}), nil
}

// digests hashes client secrets as ours does, since bcrypt would be all that is measured.
type digests struct{}

func (digests) Hash(_ context.Context, data []byte) ([]byte, error) {
	sum := sha256.Sum256(data)
	return sum[:], nil
}

func (d digests) Compare(ctx context.Context, hash, data []byte) error {
	sum, _ := d.Hash(ctx, data)
	if subtle.ConstantTimeCompare(hash, sum) != 1 {
		return errors.New("wrong secret")
	}
	return nil
}

func newFosite() fosite.OAuth2Provider {
	config := &fosite.Config{
		GlobalSecret: secret, ClientSecretsHasher: digests{}, RefreshTokenScopes: []string{"offline"},
		AccessTokenLifespan: 24 * time.Hour, RefreshTokenLifespan: 48 * time.Hour,
	}
	hash, _ := digests{}.Hash(context.Background(), []byte("app-secret"))
	db := fositestore.NewMemoryStore()
	db.Clients["app"] = &fosite.DefaultClient{ID: "app", Secret: hash, Scopes: []string{"offline"}, GrantTypes: []string{"password", "refresh_token", "client_credentials"}}
	db.Users["alice"] = fositestore.MemoryUserRelation{Username: "alice", Password: "wonderland-42"}
	return compose.Compose(config, db, compose.NewOAuth2HMACStrategy(config),
		//lint:ignore SA1019 it gives a refresh token for a user without a browser
		compose.OAuth2ResourceOwnerPasswordCredentialsFactory,
		compose.OAuth2ClientCredentialsGrantFactory, compose.OAuth2RefreshTokenGrantFactory,
		compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory)
}

// fositeEndpoint is the token endpoint of its documentation.
func fositeEndpoint(p fosite.OAuth2Provider) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		req, err := p.NewAccessRequest(ctx, r, &fosite.DefaultSession{Username: subject})
		if err != nil {
			p.WriteAccessError(ctx, w, req, err)
			return
		}
		for _, scope := range req.GetRequestedScopes() {
			req.GrantScope(scope)
		}
		resp, err := p.NewAccessResponse(ctx, req)
		if err != nil {
			p.WriteAccessError(ctx, w, req, err)
			return
		}
		p.WriteAccessResponse(ctx, w, req, resp)
	})
}

func fositeGate(_ *Env, seen Seen) (*Gate, error) {
	p := newFosite()
	var body refreshed
	if err := answer(fositeEndpoint(p), asPeersApp(passwordGrant), 200, &body); err != nil {
		return nil, err
	}
	g := &Gate{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, req, err := p.IntrospectToken(r.Context(), fosite.AccessTokenFromRequest(r), fosite.AccessToken, new(fosite.DefaultSession))
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r = with(r, req.GetSession().GetUsername())
		seen(w, r.Context().Value(floorKey{}).(*known).subject)
	})}
	g.Good, g.Bad = header("Authorization", "Bearer "+body.OAuthAccess)
	return g, nil
}

func fositeLogin(*Env) (*Work, error) {
	return endpoint(fositeEndpoint(newFosite()), func() *http.Request { return asPeersApp(clientGrant) }, 200, asNobody), nil
}

func fositeRefresh(*Env) (*Work, error) { return chainedAt(fositeEndpoint(newFosite())) }

func fositeRevoke(*Env) (*Work, error) {
	p := newFosite()
	token := fositeEndpoint(p)
	revoke := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.WriteRevocationResponse(r.Context(), w, p.NewRevocationRequest(r.Context(), r))
	})
	return each(func() (string, error) {
		var body refreshed
		err := answer(token, asPeersApp(clientGrant), 200, &body)
		return body.OAuthAccess, err
	}, func(t string) error {
		return answer(revoke, asPeersApp("token="+url.QueryEscape(t)), 200, nil)
	}, func(t string) bool {
		_, _, err := p.IntrospectToken(context.Background(), t, fosite.AccessToken, new(fosite.DefaultSession))
		return err == nil
	}), nil
}
