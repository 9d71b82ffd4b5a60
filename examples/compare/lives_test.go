package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
)

const (
	alicesLogin = `{"username":"alice","password":"wonderland-42"}`
	notValid    = `{"detail":"Token is invalid","code":"token_not_valid"}`
)

func knoxPaths(t *testing.T, c demotest.Client) {
	phone := c.JSON("/knox/login", `{"username":"alice","password":"wonderland-42","name":"phone"}`)
	laptop := c.JSON("/knox/login", "username=alice&password=wonderland-42")
	if phone["token"] == laptop["token"] || phone["expiry"] == "" || !strings.HasPrefix(phone["token"], "vkn_") {
		t.Errorf("%v", phone)
	}
	want := `{"username":"alice","email":"alice@example.com","scheme":"knox"}`
	for _, keyword := range []string{"Knox", "Token", "Bearer", "bearer"} {
		c.Is(200, want, "GET", "/api/profile", "", "Authorization: "+keyword+" "+phone["token"])
	}
	mine, other := "Authorization: Knox "+phone["token"], "Authorization: Knox "+laptop["token"]
	c.Is(200, want, "GET", "/api/knox/profile", "", mine)
	c.Is(401, missing, "GET", "/api/knox/profile", "")
	_, text := c.Do("GET", "/knox/tokens", "", mine)
	var list []map[string]any
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 2 || list[1]["name"] != "phone" || strings.Contains(text, phone["token"]) {
		t.Errorf("%s, %v", text, err)
	}
	// The list is hers, whatever she came by.
	c.Is(200, strings.Replace(text, `"current":true`, `"current":false`, 1), "GET", "/knox/tokens", "", basicAuth("alice", "wonderland-42"))
	c.Is(401, missing, "GET", "/knox/tokens", "")
	c.Is(204, "", "DELETE", "/knox/tokens/"+list[0]["id"].(string), "", mine)
	c.Is(401, invalid, "GET", "/api/profile", "", other)
	c.Is(204, "", "POST", "/knox/logout", "", mine)
	c.Is(401, invalid, "POST", "/knox/logout", "", mine)
	one, two := "Authorization: Knox "+c.JSON("/knox/login", alicesLogin)["token"], "Authorization: Knox "+c.JSON("/knox/login", alicesLogin)["token"]
	c.Is(204, "", "POST", "/knox/logoutall/", "", one)
	c.Is(401, invalid, "GET", "/api/profile", "", two)
	c.Is(401, wrong, "POST", "/knox/login", `{"username":"alice","password":"x"}`)
}

// A client that loses the answer of a refresh and asks again stays logged in; a thief
// who uses an older token ends the family.
func jwtPaths(t *testing.T, c demotest.Client) {
	bearer := func(p map[string]string) string { return "Authorization: Bearer " + p["access"] }
	refresh := func(p map[string]string) string { return `{"refresh":"` + p["refresh"] + `"}` }
	first := c.JSON("/jwt/token", alicesLogin)
	want := `{"username":"alice","email":"alice@example.com","scheme":"jwt"}`
	c.Is(200, want, "GET", "/api/profile", "", bearer(first))
	c.Is(200, want, "GET", "/api/jwt/profile/", "", bearer(first))
	c.Is(200, `{"username":"alice"}`, "GET", "/api/open", "", bearer(first))
	c.Is(403, denied, "GET", "/api/admin", "", bearer(first))
	c.Is(401, missing, "GET", "/api/token/profile", "", bearer(first))
	c.Is(401, wrong, "POST", "/jwt/token", `{"username":"alice","password":"x"}`)

	second := c.JSON("/jwt/token/refresh", refresh(first)) // the answer is lost …
	again := c.JSON("/jwt/token/refresh", refresh(first))
	if again["refresh"] != second["refresh"] || again["access"] != second["access"] {
		t.Error("asked again, another pair came")
	}
	third := c.JSON("/jwt/token/refresh", refresh(again))
	c.Is(200, want, "GET", "/api/profile", "", bearer(third))
	c.Is(200, "{}", "POST", "/jwt/token/verify", `{"token":"`+third["access"]+`"}`)
	c.Is(401, notValid, "POST", "/jwt/token/refresh", refresh(first)) // the thief
	for _, p := range []map[string]string{first, second, third} {
		c.Is(401, notValid, "GET", "/api/profile", "", bearer(p))
		c.Is(401, notValid, "POST", "/jwt/token/refresh", refresh(p))
		c.Is(401, notValid, "POST", "/jwt/token/verify", `{"token":"`+p["access"]+`"}`)
	}

	next := c.JSON("/jwt/token", alicesLogin)
	c.Is(200, "{}", "POST", "/jwt/token/blacklist", refresh(next))
	c.Is(401, notValid, "GET", "/api/profile", "", bearer(next))
	c.Is(401, notValid, "POST", "/jwt/token/refresh", refresh(next))
	c.Is(400, `{"refresh":["This field is required."]}`, "POST", "/jwt/token/refresh", "{}")
}
