package benchmarks

import (
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	ginjwt "github.com/appleboy/gin-jwt/v2"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/jwtauth/v5"
	golangjwt "github.com/golang-jwt/jwt/v5"
	echojwt "github.com/labstack/echo-jwt/v4"
	"github.com/labstack/echo/v4"
	"github.com/lestrrat-go/jwx/v3/jwa"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	jwxv2 "github.com/lestrrat-go/jwx/v2/jwt"
)

// registered are the claims that every peer's token carries; ours has sid, ver, client_id
// and auth_time besides.
func registered() golangjwt.RegisteredClaims {
	now := time.Now()
	return golangjwt.RegisteredClaims{
		Issuer: issuer, Audience: golangjwt.ClaimStrings{audience}, Subject: subject, ID: rand.Text(),
		IssuedAt: golangjwt.NewNumericDate(now), ExpiresAt: golangjwt.NewNumericDate(now.Add(24 * time.Hour)),
	}
}

// mint makes a token of those claims with golang-jwt, a lone audience as text.
func mint() (string, error) {
	c := registered()
	return golangjwt.NewWithClaims(golangjwt.SigningMethodHS256, golangjwt.MapClaims{
		"iss": c.Issuer, "aud": audience, "sub": c.Subject, "jti": c.ID, "iat": c.IssuedAt.Unix(), "exp": c.ExpiresAt.Unix(),
	}).SignedString(secret)
}

// bearerGate is a gate whose good request carries such a token.
func bearerGate(h http.Handler) (*Gate, error) {
	text, err := mint()
	g := &Gate{Handler: h}
	g.Good, g.Bad = header("Authorization", "Bearer "+text)
	return g, err
}

func hmacKey(*golangjwt.Token) (any, error) { return secret, nil }

// golangJWT is the parser with everything that it offers to check, and a context value.
func golangJWT(_ *Env, seen Seen) (*Gate, error) {
	parser := golangjwt.NewParser(golangjwt.WithValidMethods([]string{"HS256"}), golangjwt.WithExpirationRequired(), golangjwt.WithIssuer(issuer), golangjwt.WithAudience(audience))
	next := func(w http.ResponseWriter, r *http.Request) {
		seen(w, r.Context().Value(floorKey{}).(*known).subject)
	}
	return bearerGate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := bearer(r)
		var claims golangjwt.RegisteredClaims
		if ok {
			_, err := parser.ParseWithClaims(text, &claims, hmacKey)
			ok = err == nil
		}
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next(w, with(r, claims.Subject))
	}))
}

func jwxParse(_ *Env, seen Seen) (*Gate, error) {
	return bearerGate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := bearer(r)
		if ok {
			t, err := jwxjwt.ParseString(text, jwxjwt.WithKey(jwa.HS256(), secret), jwxjwt.WithIssuer(issuer), jwxjwt.WithAudience(audience))
			if err == nil {
				sub, _ := t.Subject()
				r = with(r, sub)
				seen(w, r.Context().Value(floorKey{}).(*known).subject)
				return
			}
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
}

func chiJWTAuth(_ *Env, seen Seen) (*Gate, error) {
	ja := jwtauth.New("HS256", secret, nil, jwxv2.WithIssuer(issuer), jwxv2.WithAudience(audience))
	return bearerGate(jwtauth.Verifier(ja)(jwtauth.Authenticator(ja)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _, _ := jwtauth.FromContext(r.Context())
		seen(w, t.Subject())
	}))))
}

func echoJWT(_ *Env, seen Seen) (*Gate, error) {
	e := echo.New()
	e.Use(echojwt.WithConfig(echojwt.Config{SigningKey: secret, SigningMethod: "HS256", NewClaimsFunc: func(echo.Context) golangjwt.Claims { return new(golangjwt.RegisteredClaims) }}))
	e.GET("/api/profile", func(c echo.Context) error {
		sub, err := c.Get("user").(*golangjwt.Token).Claims.GetSubject()
		seen(c.Response(), sub)
		return err
	})
	return bearerGate(e)
}

// newGinJWT is gin-jwt with a login that takes alice for nothing.
func newGinJWT() (*ginjwt.GinJWTMiddleware, *gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode)
	m, err := ginjwt.New(&ginjwt.GinJWTMiddleware{
		Realm: "api", Key: secret, Timeout: 24 * time.Hour, MaxRefresh: 24 * time.Hour, IdentityKey: "sub",
		PayloadFunc: func(any) ginjwt.MapClaims {
			return ginjwt.MapClaims{"sub": subject, "iss": issuer, "aud": audience, "jti": rand.Text()}
		},
		Authenticator: func(c *gin.Context) (any, error) {
			if c.PostForm("username") != "alice" || c.PostForm("password") != "wonderland-42" {
				return nil, ginjwt.ErrFailedAuthentication
			}
			return subject, nil
		},
	})
	return m, gin.New(), err
}

func ginJWT(_ *Env, seen Seen) (*Gate, error) {
	m, engine, err := newGinJWT()
	if err != nil {
		return nil, err
	}
	engine.GET("/api/profile", m.MiddlewareFunc(), func(c *gin.Context) {
		sub, _ := ginjwt.ExtractClaims(c)["sub"].(string)
		seen(c.Writer, sub)
	})
	return bearerGate(engine)
}

// ginLogin logs in by its endpoint.
func ginLogin(*Env) (*Work, error) {
	m, engine, err := newGinJWT()
	engine.POST("/login", m.LoginHandler)
	return endpoint(engine, func() *http.Request { return post("/login", loginForm) }, 200, func() *http.Request { return post("/login", wrongForm) }), err
}

func ginRefresh(*Env) (*Work, error) {
	m, engine, err := newGinJWT()
	if err != nil {
		return nil, err
	}
	engine.POST("/refresh", m.RefreshHandler)
	text, _, err := m.TokenGenerator(subject)
	exchange := func(text string) (string, error) {
		r := post("/refresh", "")
		r.Header.Set("Authorization", "Bearer "+text)
		var body struct{ Token string }
		err := answer(engine, r, 200, &body)
		return body.Token, err
	}
	w := &Work{Do: func() (err error) {
		text, err = exchange(text)
		return err
	}}
	w.Check = func() error {
		if _, err := exchange(mangled(text)); err == nil {
			return errors.New("another token is taken")
		}
		return w.Do()
	}
	return w, err
}

func golangMint(*Env) (*Work, error) {
	return &Work{Do: func() error { _, err := mint(); return err }}, nil
}

func jwxMint(*Env) (*Work, error) {
	return &Work{Do: func() error {
		c := registered()
		t, err := jwxjwt.NewBuilder().Issuer(issuer).Audience(c.Audience).Subject(subject).JwtID(c.ID).IssuedAt(c.IssuedAt.Time).Expiration(c.ExpiresAt.Time).Build()
		if err != nil {
			return err
		}
		_, err = jwxjwt.Sign(t, jwxjwt.WithKey(jwa.HS256(), secret))
		return err
	}}, nil
}
