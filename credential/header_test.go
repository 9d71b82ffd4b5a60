package credential

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

func request(headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// kind returns the result of Read as a word.
func kind(text string, err error) string {
	var rejected *authn.Error
	switch {
	case err == nil:
		return text
	case errors.As(err, &rejected):
		return http.StatusText(rejected.Status)
	case errors.Is(err, authn.ErrUnrecognized):
		return "unrecognized"
	case errors.Is(err, authn.ErrNoCredentials):
		return "none"
	}
	return err.Error()
}

func TestHeader(t *testing.T) {
	good := token(t)
	h, err := NewHeader([]string{"Knox", "Bearer"}, vst, &HeaderOptions{Realm: "api"})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ header, want string }{
		{"Knox " + good, good}, {"knox  " + good, good}, {"Bearer " + good, good},
		{"Token " + good, "none"}, {"", "none"}, {"Basic eA==", "none"},
		{"Knox other", "unrecognized"}, {"Bearer eyJ.x.y", "unrecognized"}, {"Knox vkn" + good[3:], "unrecognized"},
		{"Knox " + good[:52], "Unauthorized"}, {"Knox vst_", "Unauthorized"}, {"Knox", "Unauthorized"}, {"Knox a b", "Unauthorized"},
		{"Bearer", "Bad Request"}, {"Knox " + strings.Repeat("a", authn.MaxCredential+1), "Unauthorized"},
	} {
		r := request()
		if x.header != "" {
			r.Header.Set("Authorization", x.header)
		}
		if got := kind(h.Read(r)); got != x.want {
			t.Errorf("%.40s: %s, want %s", x.header, got, x.want)
		}
		if text, guessable := h.Presented(r); guessable || (text == good) != (x.want == good) {
			t.Errorf("%.40s: presented %q", x.header, text)
		}
	}
	if got := kind(h.Read(request("Authorization", "Knox "+good, "Authorization", "Knox "+good))); got != "Bad Request" {
		t.Errorf("two headers: %s", got)
	}
	if got := h.Formats(); !reflect.DeepEqual(got, []authn.CredentialFormat{{Keyword: "Knox", Format: "vst_", Prefix: "vst_"}, {Keyword: "Bearer", Format: "vst_", Prefix: "vst_"}}) {
		t.Errorf("%+v", got)
	}
	if got := h.Headers(); !reflect.DeepEqual(got, []string{"Authorization"}) {
		t.Errorf("%v", got)
	}
	if got := h.Challenge(nil, h.Reject(nil)); got != `Knox realm="api"` {
		t.Error(got)
	}
	// A rejection does not reveal the reason to the client. The log contains it.
	why := errors.New("expired")
	if e := h.Reject(why); e.Detail != "Invalid token." || e.Status != 401 || !errors.Is(e, why) || h.Reject(nil).Unwrap() != nil {
		t.Errorf("%v", e)
	}
}

func TestHeaderBearer(t *testing.T) {
	h, err := NewHeader([]string{"bearer"}, vst, &HeaderOptions{Kind: "key", Detail: "Invalid key."})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Challenge(nil, h.Reject(nil)); got != `bearer error="invalid_token"` {
		t.Error(got)
	}
	if got := h.Challenge(nil, authn.ErrNoCredentials); got != "bearer" {
		t.Error(got)
	}
	if e := h.Reject(nil); e.Detail != "Invalid key." {
		t.Error(e)
	}
}

func TestField(t *testing.T) {
	good := token(t)
	h, err := NewField("X-Api-Key", "ApiKey", vst, &HeaderOptions{Realm: "api"})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ value, want string }{
		{good, good}, {" " + good + "\t", good}, {"", "unrecognized"}, {"junk", "unrecognized"}, {"vst_x", "Unauthorized"},
		{strings.Repeat("a", authn.MaxCredential+1), "Unauthorized"},
	} {
		if got := kind(h.Read(request("X-Api-Key", x.value))); got != x.want {
			t.Errorf("%.40s: %s, want %s", x.value, got, x.want)
		}
		if text, _ := h.Presented(request("X-Api-Key", x.value)); text != "" && text != x.want {
			t.Errorf("%.40s: presented %q", x.value, text)
		}
	}
	if got := kind(h.Read(request("Authorization", "Token "+good))); got != "none" {
		t.Error(got)
	}
	if text, _ := h.Presented(request("X-Api-Key", good)); text != good {
		t.Errorf("presented %q", text)
	}
	if text, _ := h.Presented(request("X-Api-Key", good, "X-Api-Key", good)); text != "" {
		t.Errorf("two: presented %q", text)
	}
	if got := kind(h.Read(request("X-Api-Key", good, "X-Api-Key", good))); got != "Bad Request" {
		t.Error(got)
	}
	if len(h.Formats()) != 0 || !reflect.DeepEqual(h.Headers(), []string{"X-Api-Key"}) || h.Challenge(nil, nil) != `ApiKey realm="api"` {
		t.Errorf("%v %v %s", h.Formats(), h.Headers(), h.Challenge(nil, nil))
	}
	mute, err := NewField("X-Api-Key", "", vst, nil)
	if err != nil || mute.Challenge(nil, nil) != "" {
		t.Error(mute, err)
	}
	// In a chain, a bad key gets a 401 with the challenge, and the request is never anonymous.
	chain := authn.New(authn.Func(func(r *http.Request) (authn.Identity, error) {
		if _, err := h.Read(r); err != nil {
			return authn.Identity{}, err
		}
		return authn.Identity{Subject: "alice"}, nil
	}), nil)
	for value, want := range map[string]int{good: 200, "junk": 401, good[:50]: 401} {
		w := httptest.NewRecorder()
		chain.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, request("X-Api-Key", value))
		if w.Code != want && !(want == 401 && w.Code == 403) {
			t.Errorf("%q: %d", value, w.Code)
		}
	}
}

func TestHeaderRefusals(t *testing.T) {
	for name, err := range map[string]error{
		"no keyword":       second(NewHeader(nil, vst, nil)),
		"bad keyword":      second(NewHeader([]string{"a b"}, vst, nil)),
		"empty keyword":    second(NewHeader([]string{""}, vst, nil)),
		"keyword twice":    second(NewHeader([]string{"Knox", "KNOX"}, vst, nil)),
		"bad realm":        second(NewHeader([]string{"Knox"}, vst, &HeaderOptions{Realm: `a"b`})),
		"no shape":         second(NewHeader([]string{"Knox"}, nil, nil)),
		"not canonical":    second(NewField("X-API-Key", "", vst, nil)),
		"underscore":       second(NewField("X_key", "", vst, nil)),
		"Authorization":    second(NewField("Authorization", "", vst, nil)),
		"Cookie":           second(NewField("Cookie", "", vst, nil)),
		"no field":         second(NewField("", "", vst, nil)),
		"bad challenge":    second(NewField("X-Key", "a b", vst, nil)),
		"field's realm":    second(NewField("X-Key", "", vst, &HeaderOptions{Realm: "\n"})),
		"field's no shape": second(NewField("X-Key", "", nil, nil)),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "credential: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Most people write X-API-Key. The error says what to write instead.
func TestFieldNotCanonical(t *testing.T) {
	_, err := NewField("X-API-Key", "", vst, nil)
	if want := `credential: NewField: header "X-API-Key" is not in canonical form (X-Api-Key; clients can send any case)`; err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}

func second(_ *Header, err error) error { return err }
