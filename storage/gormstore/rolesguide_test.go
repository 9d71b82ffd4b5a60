package gormstore_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// The statement of docs/permissions.md changes the roles of an account.
func TestRolesOfTheGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`Exec\("(UPDATE vestibule_users [^"]+)", "([^"]+)"`).FindStringSubmatch(string(guide))
	if m == nil {
		t.Fatal("the guide has no statement")
	}
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			s := migrated(t, open(t, &gormstore.Options{}))
			if err := s.CreateUser(t.Context(), storage.User{ID: "1", Name: "alice", Active: true, Roles: []string{"reader"}}); err != nil {
				t.Fatal(err)
			}
			if err := s.DB(t.Context()).Exec(m[1], m[2], "1").Error; err != nil {
				t.Fatal(err)
			}
			if u, err := s.UserByID(t.Context(), "1"); err != nil || !slices.Equal(u.Roles, strings.Split(m[2], ",")) {
				t.Errorf("%v, %v", u.Roles, err)
			}
		})
	}
}
