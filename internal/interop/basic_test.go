//go:build interop

package interop

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A page that calls an API behind Basic reads the answer; no challenge makes the browser open its password dialogue.
func TestBrowserGetsNoBasicChallenge(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is needed: apt-get install chromium")
	}
	passwords := knows{memory.New(nil)}
	scheme, err := basic.New(passwords, nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := authz.NewMux(authn.New(authn.Chain{scheme}, nil))
	mux.HandleFunc("GET /api", func(http.ResponseWriter, *http.Request) {}, authz.IsAuthenticated)
	mux.Public("POST /login", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := passwords.CheckPassword(r, "alice", "wrong")
		authn.Respond(w, r, err)
	}))
	mux.Handle("GET /", page(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>API</title><p id="out"></p><script>
const call = async (path, options) => { const r = await fetch(path, options); return path + " " + r.status + " " + r.headers.get("WWW-Authenticate") + ";" }
Promise.all([call("/api"), call("/api", {headers: {Authorization: "Basic YTpi"}}), call("/login", {method: "POST"})]).then(a => { document.getElementById("out").textContent = a.join(" ") })
</script>`)
	}), authz.AllowAny)
	s := httptest.NewServer(mux)
	defer s.Close()
	out, err := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(), "--virtual-time-budget=10000", "--dump-dom", s.URL+"/").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "/api 403 null; /api 403 null; /login 403 null;"; !strings.Contains(string(out), want) {
		t.Errorf("edge_B13: %s, want %s", out, want)
	}
}
