package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func mustScheme() *session.Scheme {
	site, err := csrf.New("https://app.example", nil)
	if err != nil {
		panic(err)
	}
	browsers, err := session.New(memory.New(nil), site, nil)
	if err != nil {
		panic(err)
	}
	return browsers
}

// The program of gorilla/sessions' README with another store. Only this line differs.
var gorillaStore = mustScheme().Store()

func MyHandler(w http.ResponseWriter, r *http.Request) {
	// Get a session. We're ignoring the error resulted from decoding an
	// existing session: Get() always returns a session, even if empty.
	session, _ := gorillaStore.Get(r, "session-name")
	fmt.Println(session.Values["foo"], session.Values[42])
	// Set some session values.
	session.Values["foo"] = "bar"
	session.Values[42] = 43
	// Save it before we write to the response/return from the handler.
	err := session.Save(r, w)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
}

func ExampleStore() {
	first := httptest.NewRecorder()
	MyHandler(first, httptest.NewRequest("GET", "https://app.example/", nil))
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	for _, c := range first.Result().Cookies() {
		fmt.Println(c.Name)
		r.AddCookie(c)
	}
	second := httptest.NewRecorder()
	MyHandler(second, r)
	fmt.Println(len(second.Result().Cookies()))
	// Output:
	// <nil> <nil>
	// __Host-session-name
	// bar 43
	// 0
}
