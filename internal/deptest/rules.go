// Package deptest holds the import rules of the module. Its tests prove them with
// go list, so that a user who imports one scheme compiles one scheme.
package deptest

// rule says what a package may depend on, through whatever packages in between.
// The standard library is always allowed. A name that ends with /... stands for
// all packages below it; names without a dot in their first element are packages
// of this module.
type rule struct {
	pkg   string
	allow []string
}

const (
	anything   = "*" // for packages that only tests import
	gorm       = "gorm.io/gorm/..."
	sqlite     = "gorm.io/driver/sqlite"
	mattn      = "github.com/mattn/go-sqlite3"
	pg         = "gorm.io/driver/postgres"
	pgx        = "github.com/jackc/..."
	xtext      = "golang.org/x/text/..."
	xcrypto    = "golang.org/x/crypto/..."
	xsys       = "golang.org/x/sys/cpu" // x/crypto's and xxhash's look at the processor
	xsync      = "golang.org/x/sync/..."
	golangJWT  = "github.com/golang-jwt/jwt/v5"
	goOAuth2   = "github.com/go-oauth2/oauth2/v4" // its frame; never its stores
	otpLibrary = "github.com/pquerna/otp/..."
	barcode    = "github.com/boombuler/barcode/..." // otp's, for QR codes
	inflect    = "github.com/jinzhu/..."            // gorm's
	goRedis    = "github.com/redis/go-redis/..."
	xxhash     = "github.com/cespare/xxhash/..." // go-redis'
	atomic     = "go.uber.org/atomic"            // go-redis'
)

// oauth2Deps is what the resource side of OAuth2 needs, serverDeps what its server adds.
var (
	oauth2Deps = []string{"internal/actors", "internal/publicfetch", "authn", "authn/audit", "storage", "jose", "keys", golangJWT, "schemes/oauth2/internal/syntax", "credential", "credential/rotation", "internal/bounded", "internal/elapsed", "internal/flight", "internal/network", "internal/params", "internal/same", "internal/style"}
	serverDeps = append([]string{"authn/throttle", "authn/csrf", "internal/rate", "schemes/oauth2/internal/clientdoc", goOAuth2, goOAuth2 + "/errors", goOAuth2 + "/models", goOAuth2 + "/server"}, oauth2Deps...)
)

// toolkit is what every scheme may use: the public packages that somebody else's scheme is
// built from too.
var toolkit = []string{"authn", "authn/audit", "authn/login", "authn/csrf", "credential", "storage", "keys", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}

// always is the package that every other may report to. It imports the standard library only.
const always = "observe"

// rules has a line for each package of the library; examples and commands are
// free. A package without a line fails the test.
var rules = []rule{
	{"authn", []string{"internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"authn/audit", []string{"authn", "storage", "keys", "credential", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"authn/login", []string{"authn", "authn/csrf", "authn/audit", "storage", "keys", "credential", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"authn/authntest", []string{"authn", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"authn/authntest/internal/broken", []string{anything}}, // only its tests import it
	{"authn/csrf", []string{"authn", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"authn/cookie", []string{"authn", "authn/csrf", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"authn/proxy", []string{"authn", "authn/csrf", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"authn/link", []string{"authn", "authn/audit", "storage", "keys", "credential", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"authn/password", []string{"authn", "authn/audit", "authn/throttle", "storage", "keys", "credential", xcrypto, xsys, xtext, "internal/bounded", "internal/elapsed", "internal/flight", "internal/network", "internal/params", "internal/same", "internal/style", "internal/rate"}},
	{"authn/recovery", []string{"authn", "authn/csrf", "authn/audit", "authn/login", "authn/password", "authn/throttle", "storage", "keys", "credential", xcrypto, xsys, xtext, "internal/bounded", "internal/elapsed", "internal/flight", "internal/network", "internal/params", "internal/same", "internal/style", "internal/rate"}},
	{"authn/throttle", []string{"authn", "storage", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style", "internal/rate"}},
	{"authn/totp", []string{"authn", "authn/csrf", "authn/audit", "authn/login", "storage", "keys", "credential", "credential/rotation", otpLibrary, barcode, "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"authn/username", []string{xtext}},
	{"authz", []string{"authn", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"django", []string{xcrypto, xsys}},
	{"credential", []string{"authn", "storage", "keys", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"credential/rotation", []string{"internal/network", "storage"}},
	{"keys", nil},
	{"jose", []string{"keys", "internal/elapsed", "internal/flight", "internal/same", golangJWT}},
	{"observe", nil},
	{"observe/health", nil},
	{"storage", nil},
	{"storage/bus", []string{"storage"}},
	{"storage/memory", []string{"storage"}},
	{"storage/cached", []string{"internal/actors", "storage", "storage/bus", "internal/bounded", "internal/elapsed", "internal/flight", "internal/flood", "internal/network", "internal/recent"}},
	{"storage/redisstore", []string{"storage", goRedis, xxhash, atomic, xsys}},
	{"storage/storagetest", []string{"storage"}},
	{"storage/gormstore", []string{"internal/actors", "storage", "storage/bus", gorm, inflect, xtext}},
	{"storage/gormstore/sqlite", []string{"internal/actors", "storage", "storage/bus", "storage/gormstore", gorm, inflect, xtext, sqlite, mattn}},
	{"storage/gormstore/postgres", []string{"internal/actors", "storage", "storage/bus", "storage/gormstore", gorm, inflect, xtext, xsync, pg, pgx, xcrypto}},
	{"storage/gormstore/byurl", []string{"internal/actors", "storage", "storage/bus", "storage/gormstore/...", gorm, inflect, xtext, xsync, sqlite, mattn, pg, pgx, xcrypto}},
	{"schemes/session", append([]string{"credential/rotation", "internal/bounded", "internal/rate", "github.com/gorilla/..."}, toolkit...)},
	{"schemes/remoteuser", toolkit},
	{"schemes/basic", toolkit},
	{"schemes/jwt", append([]string{"internal/actors", "jose", "credential/rotation", golangJWT, "internal/bounded", "internal/flight"}, toolkit...)},
	{"schemes/jwt/issuers", append([]string{"internal/actors", "schemes/jwt", "jose", "credential/rotation", golangJWT, "internal/bounded", "internal/flight"}, toolkit...)},
	{"schemes/oauth2", append([]string{"schemes/oauth2/dpop"}, oauth2Deps...)},
	{"schemes/oauth2/backchannel", append([]string{"schemes/oauth2", "schemes/oauth2/dpop"}, oauth2Deps...)},
	{"schemes/oauth2/resource", append([]string{"schemes/oauth2", "schemes/oauth2/dpop"}, oauth2Deps...)},
	{"schemes/oauth2/internal/page", []string{"authn", "authn/audit", "credential", "keys", "storage", "internal/bounded", "internal/elapsed", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"schemes/oauth2/server", append([]string{"schemes/oauth2", "schemes/oauth2/dpop"}, serverDeps...)},
	{"schemes/oauth2/registration", append([]string{"schemes/oauth2", "schemes/oauth2/dpop", "schemes/oauth2/server"}, serverDeps...)},
	{"schemes/oauth2/globalrevocation", append([]string{"schemes/oauth2", "schemes/oauth2/dpop", "schemes/oauth2/server"}, serverDeps...)},
	{"schemes/oauth2/exchange", append([]string{"schemes/oauth2", "schemes/oauth2/dpop", "schemes/oauth2/server"}, serverDeps...)},
	{"schemes/oauth2/openid", append([]string{"schemes/oauth2", "schemes/oauth2/dpop", "schemes/oauth2/server", "schemes/oauth2/internal/page", "authn/csrf"}, serverDeps...)},
	{"schemes/oauth2/consent", append([]string{"schemes/oauth2", "schemes/oauth2/dpop", "schemes/oauth2/server", "schemes/oauth2/internal/page", "authn/csrf"}, serverDeps...)},
	{"schemes/oauth2/internal/syntax", nil},
	{"schemes/oauth2/internal/clientdoc", append([]string{"schemes/oauth2", "schemes/oauth2/dpop"}, oauth2Deps...)},
	{"schemes/oauth2/dpop", []string{"storage", "jose", "keys", golangJWT, "schemes/oauth2/internal/syntax", "internal/elapsed", "internal/flight", "internal/same"}},
	{"schemes/oauth2/introspect", []string{"internal/actors", "authn", "authn/audit", "jose", "keys", golangJWT, "schemes/oauth2/internal/syntax", "credential", "storage", "internal/bounded", "internal/elapsed", "internal/flight", "internal/flood", "internal/network", "internal/params", "internal/same", "internal/style"}},
	{"schemes/token", toolkit},
	{"schemes/knox", toolkit},
	{"internal/comparison", []string{anything}},
	{"internal/actors", nil},
	{"internal/conformance", nil}, // only tests
	{"internal/bounded", nil},
	{"internal/elapsed", nil},
	{"internal/rate", nil},
	{"internal/recent", nil},
	{"internal/scaling", nil},
	{"internal/flight", nil},
	{"internal/flood", []string{"internal/network", "storage"}},
	{"internal/network", nil},
	{"internal/params", nil},
	{"internal/publicfetch", nil},
	{"internal/publicfetch/fetchtest", nil}, // only tests import it
	{"internal/same", nil},
	{"internal/style", nil},
	{"internal/pgtest", []string{"internal/servertest", pgx, xtext, xsync, xcrypto}},
	{"internal/redistest", []string{"internal/servertest", goRedis, xxhash, atomic, xsys}},
	{"internal/servertest", nil},
	{"internal/storetest", []string{"internal/actors", "internal/bounded", "internal/elapsed", "internal/flight", "internal/flood", "internal/recent", "internal/network", "internal/pgtest", "internal/servertest", "storage", "storage/...", gorm, inflect, xtext, xsync, sqlite, mattn, pg, pgx, xcrypto}},
	{"internal/faults", []string{anything}}, // a program
	{"internal/faults/balanced", nil},       // tests only
	{"internal/faults/history", []string{"github.com/anishathalye/porcupine"}},
	{"internal/faults/proxy", nil},
	{"internal/oauthtest", []string{anything}},
	{"internal/schemetest", []string{anything}},
	{"internal/foreigntokens", []string{"jose", "keys", "internal/elapsed", "internal/flight", "internal/same", golangJWT}},
	{"internal/deptest", nil},
	{"internal/passwordtest", []string{anything}}, // only tests import it
	{"internal/attacks", nil},
	{"internal/benchgate", nil},
	{"internal/docs", nil},
	{"internal/interop", nil},
	{"internal/interop/visitor", nil}, // only tests and their clients import it
}

// forbidden pairs hold whatever the lines above say: from, to.
var forbidden = [][2]string{
	{"schemes/...", "schemes/..."},
	{"schemes/...", "authz"},
	{"schemes/...", "storage/*"},
	{"storage/...", "authn/..."},
	{"storage/...", "authz"},
	{"storage/...", "schemes/..."},
	{anything, "internal/schemetest"}, // only tests import it
	{anything, "internal/foreigntokens"},
}
