package password_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// register is the code in docs/passwords.md.
func register(passwords *password.Checker, devices *knox.Scheme) http.Handler {
	return login.Endpoints{Challenge: devices.Challenge}.JSON(http.MethodPost, func(w http.ResponseWriter, r *http.Request) (any, error) {
		v, err := login.Read(w, r, login.Field{Name: "username", Trim: true}, login.Field{Name: "email", Trim: true, Optional: true}, login.Field{Name: "password"})
		if err != nil {
			return nil, err // 400 with the fields that are missing; 403 for a form of another site
		}
		var token string
		_, err = passwords.Register(r.Context(), password.NewUser{Name: v[0], Email: v[1], Password: v[2]},
			func(ctx context.Context, u storage.User) (err error) { // in the transaction that creates the account
				token, _, err = devices.Issue(ctx, u.ID, u.Epoch, knox.Token{Name: "registration"})
				return err
			})
		if err != nil {
			return nil, err // 400 {"username": […]} or {"password": […]}, 503
		}
		return map[string]string{"token": token}, nil
	})
}

func TestRegisterOfTheGuide(t *testing.T) {
	source, err := os.ReadFile("registerguide_test.go")
	must(t, err)
	guide, err := os.ReadFile("../../docs/passwords.md")
	must(t, err)
	_, code, _ := strings.Cut(string(source), "// register is the code of docs/passwords.md.\n")
	code, _, _ = strings.Cut(code, "\n}\n")
	const mount = `mux.Public("POST /register", anon(register(passwords, devices)))`
	if !strings.Contains(string(guide), code+"\n}\n") || !strings.Contains(string(guide), mount) {
		t.Error("docs/passwords.md has other code for a registration")
	}

	db := memory.New(nil)
	hasher, err := password.NewHasher(&password.HasherOptions{Slots: 1, MaxWait: time.Minute})
	must(t, err)
	passwords, err := password.New(db, hasher, nil)
	must(t, err)
	devices, err := knox.New(db, nil)
	must(t, err)
	mux := authz.NewMux(authn.New(authn.Chain{devices}, nil))
	anon, err := throttle.Anon(throttle.NewMemory(nil), throttle.Rate{Limit: 20, Window: time.Hour}, nil) // behind a proxy: Options.Proxies
	must(t, err)
	mux.Public("POST /register", anon(register(passwords, devices)))
	post := func(body string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest("POST", "/register", strings.NewReader(body)), httptest.NewRecorder()
		r.Header.Set("Content-Type", "application/json")
		mux.ServeHTTP(w, r)
		return w
	}
	w := post(`{"username": "alice", "password": "wonderland-42"}`)
	var got struct{ Token string }
	if json.Unmarshal(w.Body.Bytes(), &got); w.Code != 200 || got.Token == "" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Knox "+got.Token)
	if id, err := devices.Authenticate(r); err != nil || id.User.(*storage.Account).Name != "alice" {
		t.Errorf("%+v, %v", id, err)
	}
	for body, want := range map[string]string{
		`{"username": "alice", "password": "wonderland-43"}`: "username", `{"username": "bob", "password": "password"}`: "password", `{"username": "bob"}`: "password",
	} {
		if w := post(body); w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	codes := map[int]int{}
	for range 20 {
		codes[post(`{}`).Code]++
	}
	if codes[400] != 16 || codes[429] != 4 {
		t.Errorf("of 24 from one address: %v", codes)
	}
}
