package gormstore

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// UserTable maps storage.User onto a table of the application (RULES I3). The
// table must have an immutable identifier that is never given to another account,
// and a unique canonical name. The application calls ForgetSubject when it
// deletes an account by itself.
//
// Table, ID, Name, Email and Password are plain names ("accounts",
// "public.accounts"), spelled as in the database. Active and Roles are SQL
// expressions over the table's columns, written by the programmer and never from
// input. What the table does not have makes every call an error; CheckSchema says
// what is amiss.
type UserTable struct {
	Table string
	ID    string
	// IDType is "text" (also where ""), "integer" or "uuid"; CheckSchema compares it
	// with the column.
	IDType string
	// Name is compared byte for byte, whatever collation the column has.
	Name string
	// Email may be "": there is none.
	Email string
	// Password holds the encoded hash. "" means that passwords are elsewhere:
	// nobody can log in with one, and setting one is an error.
	Password string
	// Active is a condition, such as "deleted_at IS NULL AND NOT banned". A plain
	// column name can be set by SetActive; for any other expression SetActive is an
	// error, and the application changes its columns itself and calls BumpEpoch.
	// It is required: an account that can not be disabled is no account.
	Active string
	// Roles is an expression that gives the role names separated by commas, such
	// as "CASE WHEN is_staff THEN 'admin' ELSE '' END"; "" means no roles.
	Roles string
	// Created is a column of microseconds since 1970; "" where there is none.
	Created string
}

var ownUsers = UserTable{
	Table: "vestibule_users", ID: "id", Name: "name", Email: "email",
	Password: "password", Active: "active", Roles: "roles", Created: "created_us",
}

// userSQL is a UserTable as the queries need it.
type userSQL struct {
	UserTable
	dialect   dialect
	source    string // of FROM: has id, name, email, password, active, roles, created_us
	idIsText  bool
	castID    string // makes a value of the column's type of a text
	canActive bool   // Active is a plain column
}

var (
	plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`)
	column    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func newUserSQL(d dialect, t *UserTable) (*userSQL, error) {
	if t == nil {
		t = &ownUsers
	}
	u := &userSQL{UserTable: *t, dialect: d, castID: "%s"}
	if !plainName.MatchString(t.Table) {
		return nil, fmt.Errorf("gormstore: user table %q is no plain name", t.Table)
	}
	for what, name := range map[string]string{"ID": t.ID, "Name": t.Name} {
		if !column.MatchString(name) {
			return nil, fmt.Errorf("gormstore: user table: column %s %q is no plain name", what, name)
		}
	}
	for what, name := range map[string]string{"Email": t.Email, "Password": t.Password, "Created": t.Created} {
		if name != "" && !column.MatchString(name) {
			return nil, fmt.Errorf("gormstore: user table: column %s %q is no plain name", what, name)
		}
	}
	if strings.TrimSpace(t.Active) == "" {
		return nil, fmt.Errorf("gormstore: user table: Active is required")
	}
	if strings.Contains(t.Active+t.Roles, "?") {
		return nil, fmt.Errorf("gormstore: user table: an expression holds a question mark")
	}
	u.canActive = column.MatchString(t.Active) && !strings.EqualFold(t.Active, "true") && !strings.EqualFold(t.Active, "false")
	switch t.IDType {
	case "", "text":
		u.idIsText = true
	case "integer":
		u.castID = "CAST(%s AS BIGINT)"
		if d == sqlite {
			u.castID = "CAST(%s AS INTEGER)"
		}
	case "uuid":
		if d == postgres {
			u.castID = "CAST(%s AS UUID)"
		}
	default:
		return nil, fmt.Errorf("gormstore: user table: IDType %q: want text, integer or uuid", t.IDType)
	}
	if *t == ownUsers {
		u.source = t.Table // has these columns, none of them NULL
		return u, nil
	}
	text := func(name string) string {
		if name == "" {
			return "''"
		}
		return "COALESCE(" + d.quote(name) + ", '')"
	}
	created := "0"
	if t.Created != "" {
		created = "COALESCE(" + d.quote(t.Created) + ", 0)"
	}
	active, roles := t.Active, "''"
	if u.canActive {
		active = d.quote(active)
	}
	if t.Roles != "" {
		roles = "COALESCE((" + t.Roles + "), '')"
	}
	if column.MatchString(t.Roles) {
		roles = text(t.Roles)
	}
	u.source = fmt.Sprintf("(SELECT %s AS id, %s AS name, %s AS email, %s AS password, COALESCE((%s), FALSE) AS active, %s AS roles, %s AS created_us FROM %s)",
		d.quote(t.ID), d.quote(t.Name), text(t.Email), text(t.Password), active, roles, created, d.quote(t.Table))
	return u, nil
}

// quote quotes a plain name. SQLite takes a name in double quotes that it does not
// know for a text, so that a misspelled column would have a value; in backquotes a
// name is a name.
func (d dialect) quote(name string) string {
	mark := `"`
	if d == sqlite {
		mark = "`"
	}
	return mark + strings.ReplaceAll(name, ".", mark+"."+mark) + mark
}

// cast makes a value of the id column's type of an SQL text value.
func (u *userSQL) cast(value string) string { return fmt.Sprintf(u.castID, value) }

// text makes a text of the id column.
func (u *userSQL) text(id string) string {
	if u.idIsText {
		return id
	}
	return "CAST(" + id + " AS TEXT)"
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// has reports whether id can be one of the table's: what is not in the canonical
// form of the column's type names nobody.
func (u *userSQL) has(id string) bool {
	switch u.IDType {
	case "integer":
		n, err := strconv.ParseInt(id, 10, 64)
		return err == nil && strconv.FormatInt(n, 10) == id
	case "uuid":
		return uuid.MatchString(id)
	}
	return storage.CheckID("user id", id) == nil
}
