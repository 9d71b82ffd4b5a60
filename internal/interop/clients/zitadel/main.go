// Command zitadel logs in with the relying party and the resource server of
// github.com/zitadel/oidc, and prints what it saw as JSON:
//
//	zitadel BASE
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/vestibule-auth/vestibule/internal/interop/visitor"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: zitadel BASE")
		os.Exit(2)
	}
	seen, err := run(context.Background(), os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(seen)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, base string) (map[string]any, error) {
	seen := map[string]any{}
	app := httptest.NewUnstartedServer(nil)
	defer app.Close()
	own := "http://" + app.Listener.Addr().String()
	cookies := httphelper.NewCookieHandler(make([]byte, 32), make([]byte, 32), httphelper.WithUnsecure()) // http, on this machine
	party, err := rp.NewRelyingPartyOIDC(ctx, base, "demo-public", "", own+"/callback", []string{"openid", "profile", "email"},
		rp.WithPKCE(cookies), rp.WithCookieHandler(cookies), rp.WithSigningAlgsFromDiscovery())
	if err != nil {
		return nil, err
	}
	var tokens *oidc.Tokens[*oidc.IDTokenClaims]
	callback := func(w http.ResponseWriter, r *http.Request, got *oidc.Tokens[*oidc.IDTokenClaims], state string, _ rp.RelyingParty, info *oidc.UserInfo) {
		tokens = got
		seen["state"] = state
		seen["userinfo"] = []any{info.Subject == got.IDTokenClaims.Subject, info.PreferredUsername, info.Email}
	}
	mux := http.NewServeMux()
	mux.Handle("/login", rp.AuthURLHandler(func() string { return "a state" }, party))
	mux.Handle("/callback", rp.CodeExchangeHandler(rp.UserinfoCallback(callback), party))
	app.Config.Handler = mux
	app.Start()

	denied, err := (&visitor.Visitor{Name: "alice", Password: "wonderland-42", Deny: true}).Open(own + "/login")
	if err != nil {
		return nil, err
	}
	seen["denied"] = []any{denied.Status, denied.URL.Query().Get("error"), tokens == nil}
	alice := visitor.Alice()
	page, err := alice.Open(own + "/login")
	if err != nil {
		return nil, err
	}
	if tokens == nil {
		return nil, fmt.Errorf("no tokens at %s (%d): %s", page.URL, page.Status, page.Text)
	}
	first := tokens
	seen["id_token"] = []any{first.IDTokenClaims.Issuer == base, first.IDTokenClaims.Audience, first.IDTokenClaims.PreferredUsername, first.IDTokenClaims.Email}
	seen["profile"] = profile(base, first.AccessToken)
	again, err := alice.Open(page.URL.String())
	if err != nil {
		return nil, err
	}
	seen["callback_again"] = again.Status

	renewed, err := rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, first.RefreshToken, "", "")
	if err != nil {
		return nil, err
	}
	seen["refresh"] = []any{renewed.AccessToken != first.AccessToken, renewed.RefreshToken != first.RefreshToken}
	seen["renewed_profile"] = profile(base, renewed.AccessToken)

	api, err := rs.NewResourceServerClientCredentials(ctx, base, "demo-confidential", "demo-secret")
	if err != nil {
		return nil, err
	}
	about, err := rs.Introspect[*oidc.IntrospectionResponse](ctx, api, renewed.AccessToken)
	if err != nil {
		return nil, err
	}
	seen["introspection"] = []any{about.Active, about.ClientID, about.Username, about.Issuer == base}
	wrong, err := rs.NewResourceServerClientCredentials(ctx, base, "demo-confidential", "x")
	if err != nil {
		return nil, err
	}
	_, err = rs.Introspect[*oidc.IntrospectionResponse](ctx, wrong, renewed.AccessToken)
	seen["wrong_secret"] = err != nil

	if err := rp.RevokeToken(ctx, party, renewed.RefreshToken, "refresh_token"); err != nil {
		return nil, err
	}
	seen["revoked"] = profile(base, renewed.AccessToken)
	about, err = rs.Introspect[*oidc.IntrospectionResponse](ctx, api, renewed.AccessToken)
	if err != nil {
		return nil, err
	}
	seen["revoked_introspection"] = about.Active
	_, err = rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, renewed.RefreshToken, "", "")
	var refused *oidc.Error
	if errors.As(err, &refused) {
		seen["revoked_refresh"] = refused.ErrorType
	}
	return seen, nil
}

// profile calls the API.
func profile(base, token string) []any {
	r, err := http.NewRequest(http.MethodGet, base+"/api/profile", nil)
	if err != nil {
		return []any{err.Error()}
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return []any{err.Error()}
	}
	defer resp.Body.Close()
	var who struct{ Username string }
	if body, err := io.ReadAll(resp.Body); err != nil || json.Unmarshal(body, &who) != nil {
		return []any{resp.StatusCode, "malformed"}
	}
	return []any{resp.StatusCode, who.Username}
}
