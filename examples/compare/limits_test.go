package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// The server as it starts without a flag, or with -login-rate.
func TestContractLimits(t *testing.T) {
	demotest.Each(t, func(t *testing.T, flags demo.Flags, db *gormstore.Store, ring *keys.Ring) {
		serve := func(rate string) demotest.Client {
			cfg, err := parseFlags(nil)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Flags = flags
			cfg.LoginRate = rate
			h, err := testServer(t, cfg, db, ring)
			if err != nil {
				t.Fatal(err)
			}
			return demotest.NewClient(t, h)
		}
		count := func(n int, ask func(i int) *http.Response) map[int]int {
			got := map[int]int{}
			for i := range n {
				resp := ask(i)
				if got[resp.StatusCode]++; resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
			}
			return got
		}
		junk := func(c demotest.Client) func(int) *http.Response {
			return func(i int) *http.Response {
				resp, _ := c.Do("GET", "/api/profile", "", fmt.Sprintf("Authorization: Token %040d", i))
				return resp
			}
		}
		client := func(c demotest.Client, id string) func(int) *http.Response {
			return func(i int) *http.Response {
				resp, _ := c.Do("POST", "/oauth2/token", "grant_type=client_credentials", basicAuth(id, fmt.Sprint("wrong", i)))
				return resp
			}
		}
		c := serve("10/m")
		t.Run("edge_C18/refused credentials", func(t *testing.T) {
			if got := count(500, junk(c)); got[401] < 120 || got[429] < 50 || got[401]+got[429] != 500 {
				t.Errorf("%v", got)
			}
			c.Is(200, "*", "GET", "/api/profile", "", c.Token("/token/login", "alice", "wonderland-42")) // a token that was never seen
			c.Is(200, "*", "GET", "/api/open", "")
		})
		t.Run("edge_A14/chosen client secrets", func(t *testing.T) {
			for _, id := range []string{"demo-confidential", "nobody"} {
				if got := count(30, client(c, id)); got[401] < 10 || got[429] < 5 || got[401]+got[429] != 30 { // the server's clock goes on
					t.Errorf("%s: %v", id, got)
				}
			}
		})
		c = serve("off")
		t.Run("edge_C18/off", func(t *testing.T) {
			if got := count(500, junk(c)); got[401] != 500 {
				t.Errorf("%v", got)
			}
		})
		t.Run("edge_A14/off", func(t *testing.T) {
			if got := count(30, client(c, "demo-confidential")); got[401] != 30 {
				t.Errorf("%v", got)
			}
		})
	}, gormstore.Options{})
}
