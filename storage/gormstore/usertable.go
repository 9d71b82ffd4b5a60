package gormstore

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// UserTable maps storage.User onto a table of the application. The
// table must have an immutable identifier that is never given to another account,
// and a unique canonical name. The application calls DeleteSubject when it
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
	// It is required: an account that cannot be disabled is no account.
	Active string
	// Roles is a column, or an expression, that gives the role names separated by commas, such
	// as "CASE WHEN is_staff THEN 'admin' ELSE '' END"; "" means no roles. Use RolesList
	// where the names come from rows: a name with a comma would become two roles, so New
	// refuses string_agg and the like here. SetRoles changes a plain column; for any other
	// expression it is an error, and the application changes its rows itself.
	Roles string
	// RolesList is an expression that gives the role names as a JSON list of texts, such as
	// "(SELECT json_agg(r.name) FROM user_roles r WHERE r.user_id = accounts.id)" on
	// PostgreSQL, and with json_group_array on SQLite. NULL means no roles. At most one of
	// Roles and RolesList is set.
	//
	// An account whose list holds a role that is empty, has a comma, NUL, or a blank at an
	// end, or is no text, has no roles at all; the store logs it as an error.
	RolesList string
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
	space     string // name space of the subjects
	prefix    string // of subjects: the space and a colon, or nothing
	own       bool   // vestibule_users
	source    string // of FROM: has id, name, email, password, active, roles, created_us
	login     string // the column of source that is compared with a name; may be NULL
	idIsText  bool
	castID    string // makes a value of the column's type of a text
	canActive bool   // Active is a plain column
	canRoles  bool   // Roles is
}

var (
	plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`)
	column    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	joining   = regexp.MustCompile(`(?i)\b(string_agg|group_concat|array_to_string)\s*\(`)
)

func newUserSQL(d dialect, t *UserTable, space string) (*userSQL, error) {
	if t == nil {
		t = &ownUsers
	}
	if err := storage.CheckSpace(space); err != nil {
		return nil, fmt.Errorf("gormstore: Options.Space: %w", err)
	}
	u := &userSQL{UserTable: *t, dialect: d, castID: "%s", space: space, own: *t == ownUsers, login: "u.name"}
	if space != "" {
		u.prefix = space + ":"
	}
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
	if strings.Contains(t.Active+t.Roles+t.RolesList, "?") {
		return nil, fmt.Errorf("gormstore: user table: an expression holds a question mark")
	}
	switch {
	case t.Roles != "" && t.RolesList != "":
		return nil, fmt.Errorf("gormstore: user table: both Roles and RolesList are set (at most one)")
	case joining.MatchString(t.Roles):
		return nil, fmt.Errorf("gormstore: user table: Roles joins names of rows, so a name with a comma would become two roles (use RolesList with %s)", d.listAggregate())
	}
	u.canRoles = column.MatchString(t.Roles)
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
	if u.own {
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
	if t.RolesList != "" {
		roles = "COALESCE(CAST((" + t.RolesList + ") AS TEXT), '')"
	}
	u.login = "u.login" // without COALESCE, so that an index finds it
	u.source = fmt.Sprintf("(SELECT %s AS id, %s AS name, %s AS login, %s AS email, %s AS password, COALESCE((%s), FALSE) AS active, %s AS roles, %s AS created_us FROM %s)",
		d.quote(t.ID), text(t.Name), d.quote(t.Name), text(t.Email), text(t.Password), active, roles, created, d.quote(t.Table))
	return u, nil
}

// listAggregate is the function that makes a JSON list of rows.
func (d dialect) listAggregate() string {
	if d == postgres {
		return "json_agg"
	}
	return "json_group_array"
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

// param makes a value of the id column's type of a parameter, a subject that has accepts.
func (u *userSQL) param() string {
	if u.prefix == "" {
		return fmt.Sprintf(u.castID, "?")
	}
	return fmt.Sprintf(u.castID, fmt.Sprintf("substr(CAST(? AS TEXT), %d)", len(u.prefix)+1))
}

// cast makes a value of the id column's type of a column of subjects; NULL of a subject of
// another space.
func (u *userSQL) cast(subject string) string {
	if u.prefix != "" {
		subject = fmt.Sprintf("CASE WHEN substr(%[1]s, 1, %[2]d) = '%[3]s' THEN NULLIF(substr(%[1]s, %[4]d), '') END", subject, len(u.prefix), u.prefix, len(u.prefix)+1)
	}
	return fmt.Sprintf(u.castID, subject)
}

// onlyMine is the condition that a column of subjects holds one of this space.
func (u *userSQL) onlyMine(subject string) string {
	if u.prefix == "" {
		return ""
	}
	return fmt.Sprintf(" AND substr(%s, 1, %d) = '%s'", subject, len(u.prefix), u.prefix)
}

// holder is what a column of subjects holds of subject, where "" is nobody: NULL, or in a
// space the prefix alone, so that what belongs to nobody belongs to one space too.
func (u *userSQL) holder(subject string) *string {
	if subject == "" {
		if u.prefix == "" {
			return nil
		}
		return &u.prefix
	}
	return &subject
}

// held reverses holder, of a column with "" for NULL. It reports false for what belongs to
// nobody of another space.
func (u *userSQL) held(subject *string) bool {
	if u.prefix != "" && *subject == u.prefix {
		*subject = ""
		return true
	}
	return u.prefix == "" || *subject != ""
}

// subject makes a subject of the id column.
func (u *userSQL) subject(id string) string {
	if !u.idIsText {
		id = "CAST(" + id + " AS TEXT)"
	}
	if u.prefix != "" {
		return "('" + u.prefix + "' || " + id + ")"
	}
	return id
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// has reports whether subject can be one of the table's: what is of another space, or not in
// the canonical form of the column's type, names nobody.
func (u *userSQL) has(subject string) bool {
	if !storage.BelongsTo(u.space, subject) || len(subject) > storage.MaxIDBytes {
		return false
	}
	id := subject[len(u.prefix):]
	switch u.IDType {
	case "integer":
		n, err := strconv.ParseInt(id, 10, 64)
		return err == nil && strconv.FormatInt(n, 10) == id
	case "uuid":
		return uuid.MatchString(id)
	}
	return storage.CheckID("user id", id) == nil
}

// mine returns ErrInvalid unless subject can be a subject of this store's space.
func (u *userSQL) mine(subject string) error {
	if err := storage.CheckID("subject", subject); err != nil {
		return err
	}
	if !storage.BelongsTo(u.space, subject) {
		return fmt.Errorf("%w: the subject is not of the space %q", storage.ErrInvalid, u.space)
	}
	return nil
}
