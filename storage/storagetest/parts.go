package storagetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// Part names one interface of package storage, such as Sessions for storage.Sessions.
type Part string

// The parts that a store can have.
const (
	Users          Part = "Users"
	Accounts       Part = "Accounts"
	Subjects       Part = "Subjects"
	Permissions    Part = "Permissions"
	StaticTokens   Part = "StaticTokens"
	Credentials    Part = "Credentials"
	CredentialList Part = "CredentialList"
	Sessions       Part = "Sessions"
	SessionList    Part = "SessionList"
	Families       Part = "Families"
	Blocklist      Part = "Blocklist"
	Replays        Part = "Replays"
	SigningKeys    Part = "SigningKeys"
	OneTimeTokens  Part = "OneTimeTokens"
	Clients        Part = "Clients"
	Codes          Part = "Codes"
	AccessTokens   Part = "AccessTokens"
	AuthRequests   Part = "AuthRequests"
	DeviceGrants   Part = "DeviceGrants"
	Attempts       Part = "Attempts"
	Consents       Part = "Consents"
	Factors        Part = "Factors"
	Links          Part = "Links"
	Pruner         Part = "Pruner"
	Transactor     Part = "Transactor"
)

// lent are the parts that Opened.Beside can provide.
var lent = [...]Part{Users, Accounts, Subjects, Clients, Families}

// everything is a store whose parts come from one or two stores. A part that neither store has is
// nil, so a rule that calls it must name it in kit.needs first.
type everything struct {
	storage.Users
	storage.Accounts
	storage.Subjects
	storage.Permissions
	storage.StaticTokens
	storage.Credentials
	storage.CredentialList
	storage.Sessions
	storage.SessionList
	storage.Families
	storage.Blocklist
	storage.Replays
	storage.SigningKeys
	storage.OneTimeTokens
	storage.Clients
	storage.Codes
	storage.AccessTokens
	storage.AuthRequests
	storage.DeviceGrants
	storage.Attempts
	storage.Consents
	storage.Factors
	storage.Links
	storage.Pruner
	storage.Transactor
}

// AllParts returns every part, in the order in which this package tests them.
func AllParts() (list []Part) {
	for f := range reflect.TypeFor[everything]().Fields() {
		list = append(list, Part(f.Name))
	}
	return list
}

// PartsOf returns the parts that store has.
func PartsOf(store any) (list []Part) {
	for _, p := range AllParts() {
		if p.of(store) {
			list = append(list, p)
		}
	}
	return list
}

// of reports whether store has the part.
func (p Part) of(store any) bool {
	f, known := reflect.TypeFor[everything]().FieldByName(string(p))
	return known && store != nil && reflect.TypeOf(store).Implements(f.Type)
}

// missing returns the methods of the part that store lacks or has with another signature.
func (p Part) missing(store any) string {
	f, known := reflect.TypeFor[everything]().FieldByName(string(p))
	if !known {
		return "package storage has no such interface"
	}
	if store == nil {
		return "it is nil"
	}
	var list []string
	for m := range f.Type.Methods() {
		got, ok := reflect.TypeOf(store).MethodByName(m.Name)
		switch {
		case !ok:
			list = append(list, "no method "+m.Name)
		case withoutReceiver(got.Type) != m.Type.String():
			list = append(list, fmt.Sprintf("%s is %s instead of %s", m.Name, withoutReceiver(got.Type), m.Type))
		}
	}
	return strings.Join(list, ", ")
}

// withoutReceiver returns the type of a method as it is written in an interface.
func withoutReceiver(f reflect.Type) string {
	var in, out []reflect.Type
	for i := 1; i < f.NumIn(); i++ {
		in = append(in, f.In(i))
	}
	for i := range f.NumOut() {
		out = append(out, f.Out(i))
	}
	return reflect.FuncOf(in, out, f.IsVariadic()).String()
}

// compose returns a store for the rules, and the parts that o.Store itself implements.
func compose(o Opened) (*everything, map[Part]bool) {
	s, own := new(everything), make(map[Part]bool)
	v := reflect.ValueOf(s).Elem()
	for _, p := range AllParts() {
		from := o.Store
		if !p.of(from) {
			if from = o.Beside; !slices.Contains(lent[:], p) || !p.of(from) {
				continue
			}
		} else {
			own[p] = true
		}
		v.FieldByName(string(p)).Set(reflect.ValueOf(from))
	}
	if own[Credentials] && !own[CredentialList] {
		seen := &seenCredentials{Credentials: s.Credentials}
		s.Credentials, s.CredentialList = seen, seen
	}
	if own[Sessions] && !own[SessionList] {
		seen := &seenSessions{Sessions: s.Sessions}
		s.Sessions, s.SessionList = seen, seen
	}
	return s, own
}

// names joins the names of parts for a message.
func names(list []Part) string {
	if len(list) == 0 {
		return "none"
	}
	var b strings.Builder
	for i, p := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(p))
	}
	return b.String()
}
