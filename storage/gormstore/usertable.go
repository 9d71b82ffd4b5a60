package gormstore

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// UserTable maps storage.User to a table of the application. The table must have an immutable ID
// that is never given to another account, and a unique canonical name. If the application deletes
// an account itself, it must call [Store.DeleteSubject].
//
// Table, ID, Name, Email, Password and Created are plain names ("accounts", "public.accounts"),
// spelled as in the database. Active, Roles and RolesList are SQL expressions over the table's
// columns; never build them from input. If the table does not match, every call returns an error;
// [Store.CheckSchema] reports the differences.
type UserTable struct {
	Table string
	ID    string
	// IDType is "text" (also ""), "integer" or "uuid". CheckSchema compares it with the column.
	IDType string
	// Name is compared byte for byte, whatever the column's collation.
	Name string
	// Email is optional; "" means no column.
	Email string
	// Password holds the encoded hash. "" means that the table has no passwords. Then no login with
	// a password is possible, and setting one returns an error.
	Password string
	// Active is a condition, such as "deleted_at IS NULL AND NOT banned". It is required, because
	// it must be possible to disable every account. If it is a plain column name, SetActive sets
	// the column. For any other expression SetActive returns an error; the application changes its
	// columns itself and calls BumpEpoch.
	Active string
	// Roles is a column or an expression that returns the role names separated by commas, such as
	// "CASE WHEN is_staff THEN 'admin' ELSE '' END". "" means no roles. If the names come from
	// rows, use RolesList: a name with a comma would become two roles, so New rejects string_agg
	// and similar functions here. SetRoles sets a plain column. For any other expression it returns
	// an error; the application changes its rows itself.
	Roles string
	// RolesList is an expression that returns the role names as a JSON list of texts. In PostgreSQL
	// this is for example "(SELECT json_agg(r.name) FROM user_roles r WHERE r.user_id =
	// accounts.id)"; SQLite has json_group_array. NULL means no roles. Set at most one of Roles and
	// RolesList.
	//
	// A role must be a non-empty text without commas and NUL, and without white space at its ends.
	// If one role of the list breaks this rule, the account has no roles, and the store logs an
	// error.
	RolesList string
	// Created is a column of microseconds since 1970. It is optional; "" means no column.
	Created string
}

var ownUsers = UserTable{
	Table: "vestibule_users", ID: "id", Name: "name", Email: "email",
	Password: "password", Active: "active", Roles: "roles", Created: "created_us",
}

// userSQL is a UserTable in the form that the queries need.
type userSQL struct {
	UserTable
	dialect   dialect
	space     string // name space of the subjects
	prefix    string // prefix of subjects: the space and a colon, or ""
	own       bool   // the table is vestibule_users
	source    string // for FROM; has id, name, email, password, active, roles, created_us
	login     string // the column of source that is compared with a name; may be NULL
	idIsText  bool
	castID    string // format that casts a text to the column's type
	canActive bool   // Active is a plain column
	canRoles  bool   // Roles is a plain column
	ofRow     bool   // the account depends on its row alone
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
		return nil, fmt.Errorf("gormstore: user table: invalid Table %q (a-z, A-Z, 0-9 and _, with at most one dot)", t.Table)
	}
	for what, name := range map[string]string{"ID": t.ID, "Name": t.Name} {
		if !column.MatchString(name) {
			return nil, fmt.Errorf("gormstore: user table: invalid %s %q (a-z, A-Z, 0-9 and _)", what, name)
		}
	}
	for what, name := range map[string]string{"Email": t.Email, "Password": t.Password, "Created": t.Created} {
		if name != "" && !column.MatchString(name) {
			return nil, fmt.Errorf("gormstore: user table: invalid %s %q (a-z, A-Z, 0-9 and _)", what, name)
		}
	}
	if strings.TrimSpace(t.Active) == "" {
		return nil, fmt.Errorf("gormstore: user table: Active is required")
	}
	if strings.Contains(t.Active+t.Roles+t.RolesList, "?") {
		return nil, fmt.Errorf("gormstore: user table: an expression contains a question mark (not allowed)")
	}
	switch {
	case t.Roles != "" && t.RolesList != "":
		return nil, fmt.Errorf("gormstore: user table: both Roles and RolesList are set (at most one)")
	case joining.MatchString(t.Roles):
		return nil, fmt.Errorf("gormstore: user table: Roles joins names of rows, so a name with a comma would become two roles (use RolesList with %s)", d.listAggregate())
	}
	u.canRoles = column.MatchString(t.Roles)
	u.canActive = column.MatchString(t.Active) && !strings.EqualFold(t.Active, "true") && !strings.EqualFold(t.Active, "false")
	u.ofRow = t.RolesList == "" && (u.canActive || ofTheRow(t.Active)) && ofTheRow(t.Roles)
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
		return nil, fmt.Errorf("gormstore: user table: unknown IDType %q (text, integer or uuid)", t.IDType)
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

// listAggregate returns the SQL function that builds a JSON list of rows.
func (d dialect) listAggregate() string {
	if d == postgres {
		return "json_agg"
	}
	return "json_group_array"
}

// quote quotes a plain name. SQLite treats an unknown name in double quotes as a text, so a
// misspelled column would have a value. It treats a name in backquotes only as a name.
func (d dialect) quote(name string) string {
	mark := `"`
	if d == sqlite {
		mark = "`"
	}
	return mark + strings.ReplaceAll(name, ".", mark+"."+mark) + mark
}

// param returns a parameter, cast to the type of the ID column. The parameter is a subject that has
// accepts.
func (u *userSQL) param() string {
	if u.prefix == "" {
		return fmt.Sprintf(u.castID, "?")
	}
	return fmt.Sprintf(u.castID, fmt.Sprintf("substr(CAST(? AS TEXT), %d)", len(u.prefix)+1))
}

// cast returns a column of subjects, cast to the type of the ID column. It is NULL for a subject of
// another space.
func (u *userSQL) cast(subject string) string {
	if u.prefix != "" {
		subject = fmt.Sprintf("CASE WHEN substr(%[1]s, 1, %[2]d) = '%[3]s' THEN NULLIF(substr(%[1]s, %[4]d), '') END", subject, len(u.prefix), u.prefix, len(u.prefix)+1)
	}
	return fmt.Sprintf(u.castID, subject)
}

// onlyMine returns the condition that a column holds a subject of this space.
func (u *userSQL) onlyMine(subject string) string {
	if u.prefix == "" {
		return ""
	}
	return fmt.Sprintf(" AND substr(%s, 1, %d) = '%s'", subject, len(u.prefix), u.prefix)
}

// holder returns the value of a subject column for subject. For "" (no user) it is NULL or, in a
// space, only the prefix, so that records without a user belong to one space, too.
func (u *userSQL) holder(subject string) *string {
	if subject == "" {
		if u.prefix == "" {
			return nil
		}
		return &u.prefix
	}
	return &subject
}

// held reverses holder. The column must have "" for NULL. It returns false for a record without a
// user of another space.
func (u *userSQL) held(subject *string) bool {
	if u.prefix != "" && *subject == u.prefix {
		*subject = ""
		return true
	}
	return u.prefix == "" || *subject != ""
}

// subject returns the expression for the subject of an ID column.
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

// has reports whether subject can be a subject of the table. A subject of another space, or one
// that is not in the canonical form of the column's type, has no account.
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
		return fmt.Errorf("%w: subject is not in the space %q", storage.ErrInvalid, u.space)
	}
	return nil
}

var (
	texts      = regexp.MustCompile(`'[^']*'`)
	moments    = regexp.MustCompile(`(?i)'[^']*(now|today|tomorrow|yesterday)[^']*'`) // as dates
	operators  = regexp.MustCompile(`^[A-Za-z0-9_ ()=<>!,."\s+*|-]*$`)
	calls      = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_]*"?)\s*\(`)
	identifier = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)

	mayPrecedeParenthesis = []string{"AND", "OR", "NOT", "IN", "WHEN", "THEN", "ELSE", "CASE", "COALESCE", "NULLIF"}
	notOfTheRow           = []string{"SELECT", "EXISTS", "CAST", "LOCALTIME", "LOCALTIMESTAMP", "USER", "SESSION_USER", "SYSTEM_USER", "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "INTERVAL"}
)

// ofTheRow reports whether an expression depends only on the columns of its row: it calls nothing but
// COALESCE and NULLIF, casts nothing, reads no table, and has no value of the moment or the session.
func ofTheRow(expression string) bool {
	rest := texts.ReplaceAllString(expression, "")
	if moments.MatchString(expression) || !operators.MatchString(rest) {
		return false
	}
	for _, m := range calls.FindAllStringSubmatch(rest, -1) {
		if !slices.Contains(mayPrecedeParenthesis, strings.ToUpper(m[1])) {
			return false
		}
	}
	return !slices.ContainsFunc(identifier.FindAllString(rest, -1), func(w string) bool {
		w = strings.ToUpper(w)
		return strings.HasPrefix(w, "CURRENT_") || slices.Contains(notOfTheRow, w)
	})
}
