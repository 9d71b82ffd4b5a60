package benchmarks

import (
	"errors"
	"net/http"

	"github.com/casbin/casbin/v3"
	"github.com/casbin/casbin/v3/model"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authz"
)

// decided is work that asks one question, whose answer is yes, and proves that it is no for
// somebody else.
func decided(ask func(who string) (bool, error)) *Work {
	w := &Work{Do: func() error {
		ok, err := ask("alice")
		if err == nil && !ok {
			err = errors.New("refused")
		}
		return err
	}}
	w.Check = func() error {
		if ok, err := ask("bob"); ok || err != nil {
			return errors.Join(err, errors.New("bob passes"))
		}
		return w.Do()
	}
	return w
}

func casbinModel() (model.Model, error) {
	return model.NewModelFromString(`
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
`)
}

// policy gives role admin one path, and the role to alice.
func policy(e casbin.IEnforcer) error {
	_, err := e.AddPolicy("admin", "/api/admin", "GET")
	if err == nil {
		_, err = e.AddGroupingPolicy("alice", "admin")
	}
	return err
}

func casbinWork(*Env) (*Work, error) {
	m, err := casbinModel()
	if err != nil {
		return nil, err
	}
	e, err := casbin.NewEnforcer(m)
	if err != nil {
		return nil, err
	}
	return decided(func(who string) (bool, error) { return e.Enforce(who, "/api/admin", "GET") }), policy(e)
}

func casbinCached(*Env) (*Work, error) {
	m, err := casbinModel()
	if err != nil {
		return nil, err
	}
	e, err := casbin.NewCachedEnforcer(m)
	if err != nil {
		return nil, err
	}
	return decided(func(who string) (bool, error) { return e.Enforce(who, "/api/admin", "GET") }), policy(e)
}

// guardWork asks a guard about a request whose identity has been found.
func guardWork(*Env) (*Work, error) {
	g := authz.Require(authz.HasRole("admin"))
	alice := authntest.As(request(http.Header{}), authn.Identity{Subject: subject, Scheme: "token", Roles: []string{"admin"}})
	bob := authntest.As(request(http.Header{}), authn.Identity{Subject: "id-bob", Scheme: "token"})
	return decided(func(who string) (bool, error) {
		r := alice
		if who == "bob" {
			r = bob
		}
		err := g.Check(r)
		var refused *authn.Error
		if errors.As(err, &refused) {
			return false, nil
		}
		return err == nil, err
	}), nil
}

// roleFloor is a map of roles in a map of paths.
func roleFloor(*Env) (*Work, error) {
	may := map[string]map[string]bool{"/api/admin": {"admin": true}}
	roles := map[string][]string{"alice": {"admin"}}
	return decided(func(who string) (bool, error) {
		for _, role := range roles[who] {
			if may["/api/admin"][role] {
				return true, nil
			}
		}
		return false, nil
	}), nil
}
