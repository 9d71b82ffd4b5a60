package server_test

import (
	"net/http"
	"strings"
)

type httpRequest = http.Request

// longText makes a request's record large.
var longText = strings.Repeat("x", 3000)
