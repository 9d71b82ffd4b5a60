//go:build interop

package interop

import "testing"

// An OpenID Connect client that nobody here wrote, and that checks more than most, logs in,
// reads who it is, renews, gives back, and logs out.
func TestOpenIDClient(t *testing.T) {
	is(t, walk(t, "openid.mjs", compare(t)), map[string]string{
		"discovery":             `[true,true,true]`,
		"id_token":              `[true,"demo-public",true,true,"alice","alice@example.com"]`,
		"code":                  `["bearer","openid profile email notes:read",3600]`,
		"profile":               `[200,"alice"]`,
		"userinfo":              `[true,"alice","alice@example.com"]`,
		"code_again":            `"invalid_grant"`,
		"after_code_again":      `[401,"Bearer error=\"invalid_token\", scope=\"profile\""]`,
		"another_issuer":        `"refused"`,
		"another_state":         `"refused"`,
		"another_nonce":         `"refused"`,
		"refresh":               `[true,true,true]`,
		"narrowed":              `"profile"`,
		"widened":               `"invalid_scope"`,
		"revoked":               `[401,"Bearer error=\"invalid_token\", scope=\"profile\""]`,
		"revoked_refresh":       `"invalid_grant"`,
		"pushed":                `["openid profile email notes:read","demo-confidential"]`,
		"introspection":         `[true,"demo-confidential","alice","Bearer",true]`,
		"foreign_introspection": `"activefalse"`,
		"client_credentials":    `[true,"profile",""]`,
		"wrong_secret":          `401`,
		"logout":                `"http://127.0.0.1/?state=gone"`,
		"after_logout":          `"login_required"`,
	})
}
