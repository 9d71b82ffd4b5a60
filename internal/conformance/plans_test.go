package conformance

import (
	"slices"
	"strings"
)

// row is a module of a plan.
type row struct {
	module string
	check  func(*party) // nil if the module is not written, because the server lacks what it tests
	// broken are servers on which the module must fail.
	broken []mutation
	// want is the expected result on the true server if it is not passed: skipped or warning. The
	// reason is in note.
	want string
	// missing is set if the server does not meet the module yet: what it lacks.
	missing string
	note    string
}

// plan is a test plan of the suite.
type plan struct {
	test   string // the name of the Go test
	name   string // of the suite
	prefix string // of the modules in the suite, which the names of the tests may lack
	about  string
	rows   []row
	// formPost adds response_mode=form_post to every request.
	formPost bool
}

// status is the word of the table on the page.
func (r row) status() string {
	switch {
	case r.missing != "":
		return "not met yet"
	case r.want != "":
		return "on purpose"
	}
	return "met"
}

// remark is the note of the table on the page.
func (r row) remark() string {
	switch {
	case r.missing != "":
		return r.missing
	case r.want != "":
		return strings.ToUpper(r.want[:1]) + r.want[1:] + ": " + r.note
	}
	return r.note
}

// plans are all plans. They are the source of the page and of the tests.
func plans() []plan {
	return []plan{
		{test: "TestOIDFBasic", name: "oidcc-basic-certification-test-plan", about: "OpenID Connect Core, code flow", rows: basicRows()},
		{test: "TestOIDFConfig", name: "oidcc-config-certification-test-plan", about: "OpenID Connect Discovery", rows: configRows()},
		{test: "TestOIDFLogout", name: "oidcc-rp-initiated-logout-certification-test-plan", about: "RP-Initiated Logout", rows: logoutRows()},
		{test: "TestOIDFBackchannel", name: "oidcc-backchannel-rp-initiated-logout-certification-test-plan", about: "Back-Channel Logout", rows: backchannelRows()},
		{test: "TestOIDFFormPost", name: "oidcc-formpost-basic-certification-test-plan", about: "the Basic plan with `response_mode=form_post`", rows: formPostRows(), formPost: true},
		{test: "TestFAPI2", name: "fapi2-security-profile-final-test-plan", prefix: "fapi2-security-profile-final-", about: "FAPI 2.0 Security Profile with `private_key_jwt` and DPoP, `plain_fapi` and `openid_connect`", rows: fapiRows()},
	}
}

// formPostRows are the rows of the Basic plan. Each also fails on a server that ignores
// response_mode, unless its result is a page.
func formPostRows() []row {
	rows := slices.Clone(basicRows())
	for i := range rows {
		if r := &rows[i]; !slices.Contains(endInPages, r.module) {
			r.broken = append(slices.Clone(r.broken), ignored(authorizePath, "response_mode"))
		}
	}
	return rows
}

// endInPages are the modules of the Basic plan that receive no response at a redirect URI.
var endInPages = []string{"oidcc-ensure-registered-redirect-uri", "oidcc-ensure-request-object-with-redirect-uri", "oidcc-idtoken-unsigned"}

func backchannelRows() []row {
	const missing = "the server sends no back-channel logout; it accepts logout tokens of other providers"
	return []row{
		{module: "oidcc-backchannel-logout-discovery-endpoint-verification", missing: missing},
		{module: "oidcc-backchannel-rp-initiated-logout", missing: missing},
	}
}
