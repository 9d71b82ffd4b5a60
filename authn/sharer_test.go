package authn_test

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// sharer gives one identity to all.
type sharer struct {
	id      *authn.Identity
	err     error
	mu      sync.Mutex
	renewed []authn.Identity
}

func (s *sharer) Name() string                          { return "sharer" }
func (s *sharer) Headers() []string                     { return []string{"Authorization"} }
func (s *sharer) Challenge(*http.Request, error) string { return "Sharer" }

func (s *sharer) Authenticate(r *http.Request) (authn.Identity, error) {
	return authn.Unshared(s.share(r))
}

func (s *sharer) Share() (authn.Authenticator, func(*http.Request) (*authn.Identity, error)) {
	return s, s.share
}

func (s *sharer) share(r *http.Request) (*authn.Identity, error) {
	if r.Header.Get("Authorization") == "" {
		return nil, authn.ErrNoCredentials
	}
	return s.id, s.err
}

func (s *sharer) Renew(_ http.ResponseWriter, _ *http.Request, id authn.Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewed = append(s.renewed, id)
	return nil
}

func newSharer() *sharer {
	return &sharer{id: &authn.Identity{
		Subject: "1", Scheme: "sharer", Roles: []string{"staff"}, User: account("1"), Credential: "record", Expires: time.Unix(1, 0).UTC(),
	}}
}

type account string

func (a account) UserID() string { return string(a) }

// strict embeds a Sharer and refuses what that takes.
type strict struct{ *sharer }

func (s strict) Authenticate(r *http.Request) (authn.Identity, error) {
	if _, err := s.sharer.Authenticate(r); err != nil {
		return authn.Identity{}, err
	}
	return authn.Identity{}, authn.AuthenticationFailed("Too late at night.")
}

// strictly is strict by pointer.
type strictly struct{ sharer }

func (s *strictly) Authenticate(r *http.Request) (authn.Identity, error) {
	return strict{&s.sharer}.Authenticate(r)
}

// decorator decorates any Authenticator and is one of the kind that Unwrap is for.
type decorator struct{ authn.Authenticator }

func (d decorator) Unwrap() authn.Authenticator { return d.Authenticator }

func (d decorator) Authenticate(r *http.Request) (authn.Identity, error) {
	id, err := d.Authenticator.Authenticate(r)
	if err == nil {
		id.Roles = nil
	}
	return id, err
}

// listed is of a type that can be compared, and holds what can not.
type listed struct{ any any }

func (l listed) Share() (authn.Authenticator, func(*http.Request) (*authn.Identity, error)) {
	return l, func(*http.Request) (*authn.Identity, error) { return &authn.Identity{Subject: "shared"}, nil }
}

func (l listed) Authenticate(*http.Request) (authn.Identity, error) {
	return authn.Identity{Subject: "listed"}, nil
}

// An Authenticator that embeds a Sharer is asked by its own Authenticate: what that
// refuses is not accepted by way of Share, wherever it stands.
func TestSharerIsNotBypassed(t *testing.T) {
	s := newSharer()
	outer := &strictly{sharer{id: newSharer().id}}
	for name, a := range map[string]authn.Authenticator{
		"itself": strict{s}, "by pointer": &strict{s}, "its value": outer,
		"chain": authn.Chain{strict{s}}, "nested": authn.Chain{absent, authn.Chain{authn.Chain{outer}}},
		"decorated": decorator{strict{s}}, "decorated in a chain": authn.Chain{absent, decorator{decorator{outer}}},
		"beside the inner one": authn.Chain{strict{s}, newSharer()},
	} {
		h := authn.New(a, &authn.Options{Logger: quiet}).Handler(http.HandlerFunc(who))
		if w := ask(h, "GET", "/", "Authorization: x"); w.Code != 401 || !strings.Contains(w.Body.String(), "night") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	// What changes the identity is not left out either.
	for _, a := range []authn.Authenticator{decorator{s}, authn.Chain{absent, authn.Chain{decorator{s}}}} {
		var got authn.Identity
		ask(authn.New(a, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = authn.FromContext(r.Context()) })), "GET", "/", "Authorization: x")
		if got.Subject != "1" || got.Roles != nil || s.id.Roles == nil {
			t.Errorf("the decorator was not asked: %+v", got)
		}
	}
}

// A Sharer that can not be compared with itself is asked like any other Authenticator.
func TestSharerThatCanNotBeCompared(t *testing.T) {
	for want, l := range map[string]listed{"shared": {1}, "listed": {[]int{1}}} {
		h := authn.New(authn.Chain{l}, nil).Handler(http.HandlerFunc(who))
		if w := ask(h, "GET", "/"); !strings.HasPrefix(w.Body.String(), want+"/") {
			t.Errorf("%q, want %s", w.Body, want)
		}
	}
	h := authn.New(selfless{newSharer()}, nil).Handler(http.HandlerFunc(who))
	if w := ask(h, "GET", "/", "Authorization: x"); w.Body.String() != "1/sharer" {
		t.Errorf("%q", w.Body)
	}
}

// selfless has no self.
type selfless struct{ *sharer }

func (s selfless) Share() (authn.Authenticator, func(*http.Request) (*authn.Identity, error)) {
	return nil, func(*http.Request) (*authn.Identity, error) { return &authn.Identity{Subject: "shared"}, nil }
}

// A Sharer that gives nobody is at fault, as one that gives the zero identity is.
func TestSharerOfNobody(t *testing.T) {
	for name, s := range map[string]*sharer{"nil": {}, "zero": {id: new(authn.Identity)}, "scheme alone": {id: &authn.Identity{Scheme: "x", Roles: []string{"admin"}}}} {
		for _, a := range []authn.Authenticator{s, authn.Chain{absent, s}, decorator{s}} {
			h := authn.New(a, &authn.Options{Logger: quiet}).Handler(http.HandlerFunc(who))
			if w := ask(h, "GET", "/", "Authorization: x"); w.Code != 503 {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		if id, err := (authn.Chain{s}).Authenticate(request()); err == nil || !reflect.DeepEqual(id, authn.Identity{}) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	// An identity beside an error is none.
	both := newSharer()
	both.err = authn.AuthenticationFailed("No.")
	if id, err := (authn.Chain{both}).Authenticate(request()); err != both.err || id.Authenticated() {
		t.Errorf("%+v, %v", id, err)
	}
	if w := ask(authn.New(both, &authn.Options{Logger: quiet}).Handler(http.HandlerFunc(who)), "GET", "/", "Authorization: x"); w.Code != 401 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func request() *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "x")
	return r
}

// What the middleware adds to an identity it adds to a copy.
func TestSharedIsNotWrittenTo(t *testing.T) {
	for name, c := range map[string]struct{ given, want authn.Identity }{
		"no scheme":       {authn.Identity{Subject: "1"}, authn.Identity{Subject: "1", Scheme: "sharer"}},
		"client":          {authn.Identity{Client: "c", Scheme: "x"}, authn.Identity{Client: "c", Scheme: "x", Scopes: []string{}}},
		"neither":         {authn.Identity{Client: "c"}, authn.Identity{Client: "c", Scheme: "sharer", Scopes: []string{}}},
		"complete":        {authn.Identity{Subject: "1", Scheme: "x"}, authn.Identity{Subject: "1", Scheme: "x"}},
		"complete client": {authn.Identity{Client: "c", Scheme: "x", Scopes: []string{"a"}}, authn.Identity{Client: "c", Scheme: "x", Scopes: []string{"a"}}},
	} {
		given := c.given
		s := &sharer{id: &given}
		var got authn.Identity
		h := authn.New(s, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = authn.FromContext(r.Context()) }))
		for range 2 {
			if ask(h, "GET", "/", "Authorization: x"); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: got %+v, want %+v", name, got, c.want)
			}
		}
		chained, err := authn.Chain{s}.Authenticate(request())
		if err != nil || !reflect.DeepEqual(chained, c.want) {
			t.Errorf("%s: a chain gives %+v, %v", name, chained, err)
		}
		if !reflect.DeepEqual(given, c.given) {
			t.Errorf("%s: the shared identity became %+v", name, given)
		}
		for _, seen := range s.renewed {
			if !reflect.DeepEqual(seen, c.want) {
				t.Errorf("%s: Renew got %+v", name, seen)
			}
		}
		if len(s.renewed) != 2 {
			t.Errorf("%s: %d renewals", name, len(s.renewed))
		}
	}
}

// Who looks at a shared identity sees what he would see of one of his own.
func TestSharedLooksTheSame(t *testing.T) {
	type seen struct {
		FromContext authn.Identity
		User        account
		Loaded      bool
		Later       authn.Identity
		Trace       int
		Explained   authn.Identity
		Steps       []authn.Outcome
		Events      []authn.Outcome
		Body        string
	}
	look := func(a authn.Authenticator) (out seen) {
		m := authn.New(a, &authn.Options{Trace: true, Logger: quiet, Observe: func(_ *http.Request, e authn.Event) { out.Events = append(out.Events, e.Outcome) }})
		h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			out.FromContext = authn.FromContext(ctx)
			out.User, out.Loaded = authn.UserFrom[account](ctx)
			out.Later = authn.FromContext(authn.WithIdentity(ctx, authn.Identity{Subject: "2"}))
			out.Trace = len(authn.TraceFrom(ctx))
			who(w, r)
		}))
		out.Body = ask(h, "GET", "/", "Authorization: x").Body.String()
		id, steps, err := m.Explain(request())
		if err != nil {
			t.Error(err)
		}
		out.Explained = id
		for _, s := range steps {
			out.Steps = append(out.Steps, s.Outcome)
		}
		return out
	}
	s := newSharer()
	shared, own := look(authn.Chain{absent, s}), look(authn.Chain{absent, decoratedAsItIs{s}})
	if !reflect.DeepEqual(shared, own) || shared.User != "1" || !shared.Loaded || shared.Explained.Subject != "1" || shared.Trace != 2 {
		t.Errorf("shared\n%#v, by value\n%#v", shared, own)
	}
	// Nobody is nobody: no identity of an earlier request.
	m := authn.New(authn.Chain{s}, nil)
	h := m.Handler(http.HandlerFunc(who))
	for range 2 {
		if w := ask(h, "GET", "/", "Authorization: x"); w.Body.String() != "1/sharer" {
			t.Errorf("%q", w.Body)
		}
		if w := ask(h, "GET", "/"); w.Body.String() != "/" {
			t.Errorf("anonymous: %q", w.Body)
		}
	}
	// A later middleware decides anew, also that there is nobody.
	inner := authn.New(authn.Chain{}, nil).Handler(http.HandlerFunc(who))
	if w := ask(m.Handler(inner), "GET", "/", "Authorization: x"); w.Body.String() != "/" {
		t.Errorf("behind a second middleware: %q", w.Body)
	}
}

// decoratedAsItIs hides that an Authenticator is a Sharer.
type decoratedAsItIs struct{ authn.Authenticator }

func (d decoratedAsItIs) Unwrap() authn.Authenticator { return d.Authenticator }
func (d decoratedAsItIs) Name() string                { return "sharer" }

// What a handler assigns to the fields of its identity nobody else sees, in 64 requests at
// once; the race detector looks on.
func TestSharedIsACopyForEach(t *testing.T) {
	s := newSharer()
	want := *s.id
	h := authn.New(authn.Chain{s}, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		if !reflect.DeepEqual(id, want) {
			t.Errorf("got %+v", id)
		}
		id.Subject, id.Scheme, id.Roles, id.Scopes, id.User, id.Client = "other", "x", []string{"admin"}, nil, account("other"), "c"
		id.Roles = append(id.Roles, "root")
		if again := authn.FromContext(r.Context()); !reflect.DeepEqual(again, want) {
			t.Errorf("then %+v", again)
		}
		p := &id
		*p = authn.Identity{}
	}))
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { ask(h, "GET", "/", "Authorization: x") })
	}
	wg.Wait()
	if !reflect.DeepEqual(*s.id, want) {
		t.Errorf("the shared identity became %+v", *s.id)
	}
}
