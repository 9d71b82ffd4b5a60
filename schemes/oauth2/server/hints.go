package server

import (
	"strings"
	"unicode"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

// modeFormPost is the response mode of OAuth 2.0 Form Post Response Mode.
const modeFormPost = "form_post"

// prompts reads the parameter "prompt" (OpenID Connect Core, section 3.1.2.1).
func (q *AuthorizationRequest) prompts(text string) error {
	unknown := oauth2.NewError("invalid_request", "The prompt is unknown, or combines none with other values.")
	if text == "none" {
		q.Prompt = text
		return nil
	}
	login, consents := false, false
	for name := range strings.FieldsSeq(text) {
		switch name {
		case "login":
			login = true
		case "consent":
			consents = true
		case "select_account":
			q.SelectsAccount = true
		default:
			return unknown
		}
	}
	switch {
	case login:
		q.Prompt, q.Consents = "login", consents
	case consents:
		q.Prompt = "consent"
	}
	return nil
}

const (
	maxLoginHint = 255
	maxLocales   = 10
	maxLocale    = 35 // RFC 5646, section 4.4.1
)

// loginHint returns a hint that can be shown, or "".
func loginHint(text string) string {
	if len(text) > maxLoginHint || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return text
}

// locales returns the language tags of a list, or nil if one is malformed or there are too many.
func locales(text string) []string {
	if len(text) > maxLocales*(maxLocale+1) {
		return nil
	}
	list := strings.Fields(text)
	if len(list) > maxLocales {
		return nil
	}
	for _, tag := range list {
		if len(tag) > maxLocale || strings.ContainsFunc(tag, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
		}) {
			return nil
		}
	}
	return list
}
