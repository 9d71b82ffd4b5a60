package clientdoc_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/internal/publicfetch/fetchtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// keyed stores a client with a key set at the site. self tells that it registered itself.
func (w *world) keyed(self bool) *jose.KeySet {
	w.T.Helper()
	ring := oauthtest.RingOf(w.T, "k", jose.EdDSA, oauthtest.Ed25519Key(w.T))
	c := storage.Client{ID: "keyed", Method: "private_key_jwt", KeysURI: w.origin + "/keys", Grants: []string{"client_credentials"}, Scopes: []string{"read"}, Default: []string{"read"}}
	if self {
		c.Registration = storage.DigestOf("registration")
	}
	oauthtest.Must(w.T, w.DB.CreateClient(w.T.Context(), c))
	w.raw("/keys", string(oauthtest.PublicSet(w.T, ring)))
	return ring
}

// authenticates returns the status of a token request of that client.
func (w *world) authenticates(ring *jose.KeySet) int {
	return w.From("192.0.2.77:1", w.Token(), url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {oauthtest.AssertionType}, "client_assertion": {w.Assertion(ring, "JWT", "keyed", nil)}}.Encode()).Status
}

// A stranger's documents were valid once, and then their server answers no more. That must not stop
// clients that an administrator registered, nor run more fetches for the stranger than his network
// may have.
func TestStrangersDocuments_attack_490(t *testing.T) {
	w := newWorld(t, withLimits)
	ring := w.keyed(false)
	if got := w.authenticates(ring); got != 200 {
		t.Fatal(got)
	}
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("a%d.evil.example", i))
	}
	cert := w.net.Certificate("evil.example", func(c *x509.Certificate) { c.DNSNames = names })
	var mu sync.Mutex
	var hang chan struct{}
	waiting := 0
	arrived := make(chan struct{}, len(names))
	origin := w.net.Serve("evil.example", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		gate := hang
		if gate != nil {
			waiting++
		}
		mu.Unlock()
		if gate != nil {
			arrived <- struct{}{}
			<-gate
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(rw).Encode(map[string]any{"client_id": "https://" + r.Host + "/c", "client_name": "x", "redirect_uris": []string{redirect}})
	}), &cert)
	u, err := url.Parse(origin)
	oauthtest.Must(t, err)
	const stranger = "198.51.100.7:1"
	var ids []string
	for _, name := range names {
		w.net.Point(name, "127.0.0.2")
		id := "https://" + name + ":" + u.Port() + "/c"
		if got := w.from(stranger, query(id)); got.Code >= 400 {
			t.Fatal(got.Code, got.Body)
		}
		ids = append(ids, id)
		w.Pass(10 * time.Second)
	}
	gate := make(chan struct{})
	mu.Lock()
	hang = gate
	mu.Unlock()
	w.Pass(75 * time.Minute) // documents and key set are old
	answered := make(chan int, len(ids))
	for _, id := range ids {
		go func() { answered <- w.from(stranger, query(id)).Code }()
	}
	<-arrived
	<-arrived
	for range len(ids) - 2 { // these take no place
		if code := <-answered; code >= 400 {
			t.Errorf("a document that was valid a moment ago: %d", code)
		}
	}
	mu.Lock()
	if waiting != 2 {
		t.Errorf("%d fetches run for one network", waiting)
	}
	mu.Unlock()
	if got := w.authenticates(ring); got != 200 {
		t.Errorf("a client with a key set, registered by an administrator: %d", got)
	}
	close(gate)
	for range 2 {
		<-answered
	}
}

// A stranger asks for documents that a host does not have, as often as the limits allow. Others
// still get documents and key sets from that host.
func TestInventedDocuments_attack_491(t *testing.T) {
	w := newWorld(t, withLimits)
	good := w.put("/good", nil)
	ring := w.keyed(true)
	for second := range 1800 {
		if second%8 == 0 { // from one IPv6 /48
			w.from(fmt.Sprintf("[2001:db8:1:%x::1]:1", second*16%0xffff), query(fmt.Sprintf("%s/none/%d", w.origin, second)))
		}
		if second > 600 && second%61 == 0 {
			if rec := w.from("192.0.2.9:1", query(good)); rec.Code == 429 {
				t.Fatalf("after %d s a user's client is refused", second)
			}
			if got := w.authenticates(ring); got != 200 {
				t.Fatalf("after %d s a client that registered itself: %d", second, got)
			}
		}
		w.Pass(time.Second)
	}
}

// The operator takes a scope and a resource away from such clients and restarts. The document is
// fresh for a day, and then cannot be fetched any more.
func TestWithdrawnRights_attack_494(t *testing.T) {
	const api, other = "https://api.example", "https://other.example"
	options := func(o *oauthtest.Options, scopes, resources []string) {
		o.Scopes = map[string]string{"read": "", "write": ""}
		o.ClientDocuments = &server.ClientDocuments{Scopes: scopes, Resources: resources}
	}
	w := newWorld(t, func(o *oauthtest.Options) { options(o, []string{"read", "write"}, []string{api, other}) })
	w.age = "max-age=86400"
	id := w.put("/c", nil)
	begun := w.Allows(w.Alice("s"), "", oauthtest.Query(id, "redirect_uri", redirect, "scope", "read write", "resource", api))
	elsewhere := w.Allows(w.Alice("s"), "", oauthtest.Query(id, "redirect_uri", redirect, "scope", "read write", "resource", other))
	after := w.Beside(func(o *oauthtest.Options) {
		oauthtest.WithSessions(o)
		o.Fetching = server.Fetching{Addresses: []netip.Prefix{fetchtest.Home}, Roots: w.net.Roots, Resolver: w.net, InsecureLoopback: true}
		options(o, []string{"read"}, []string{api})
	})
	w.remove("/c")
	for _, wait := range []time.Duration{0, 20 * time.Hour, 6 * 24 * time.Hour} {
		after.Pass(wait)
		next := after.Refreshes("", begun.Refresh, "client_id", id)
		if next.Status != 200 || next.Scope != "read" {
			t.Errorf("after %s: %d, scope %q", wait, next.Status, next.Scope)
		}
		begun = next
		if got := after.Refreshes("", elsewhere.Refresh, "client_id", id); got.Status != 400 || got.Error != "invalid_target" {
			t.Errorf("after %s, for a resource that was taken away: %d %s", wait, got.Status, got.Error)
		}
	}
}

// An administrator registered a client whose ID is a URL. The rules of documents do not hold for it.
func TestPinnedClientHasItsOwnScopes(t *testing.T) {
	w := newWorld(t, nil)
	const id = "https://pinned.example/c"
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{
		ID: id, Name: "Pinned", Method: "none", RedirectURIs: []string{redirect}, Grants: []string{"authorization_code"}, Scopes: []string{"read", "write"},
		Document: storage.ClientDocument{Pinned: true}, Created: w.Clock(),
	}))
	if got := w.asks(oauthtest.Query(id, "redirect_uri", redirect, "scope", "read write")); got != "page" {
		t.Error(got)
	}
}
