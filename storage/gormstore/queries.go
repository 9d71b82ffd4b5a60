package gormstore

import "strings"

// queries are the statements that name the table of accounts.
type queries struct {
	userByID, userByName, listUsers             string
	createUser, setPassword, replaceHash        string
	setActive, deleteUser                       string
	tokenByDigest, insertToken, replaceToken    string
	mayHold, lockUser                           string
	tokenOf, listTokens, dropToken, dropTokenOf string
	epoch, bump, bumpTo                         string
}

func newQueries(d dialect, u *userSQL) queries {
	const tokenColumns = "t.subject, t.digest, t.salt, t.key_id, t.epoch, t.created_us"
	userColumns := u.text("u.id") + ", u.name, u.email, u.password, u.active, u.roles, u.created_us, COALESCE(s.epoch, 0)"
	fromUsers := " FROM " + u.source + " u LEFT JOIN vestibule_subjects s ON s.subject = " + u.text("u.id")
	bytewise := "u.name COLLATE BINARY"
	greatest := "MAX"
	if d == postgres {
		bytewise = `u.name COLLATE "C"`
		greatest = "GREATEST"
	}
	// The subject exists, is active, and has the epoch.
	mayHold := "SELECT 1" + fromUsers + " WHERE u.id = " + u.cast("?") + " AND u.active AND COALESCE(s.epoch, 0) = ?"
	table, id := d.quote(u.Table), d.quote(u.ID)
	byID := " WHERE " + id + " = " + u.cast("?")
	bump := "INSERT INTO vestibule_subjects (subject, epoch) VALUES (?, {now}) ON CONFLICT (subject) DO UPDATE SET epoch = " +
		greatest + "(vestibule_subjects.epoch + 1, EXCLUDED.epoch) RETURNING epoch"
	q := queries{
		userByID:   "SELECT " + userColumns + fromUsers + " WHERE u.id = " + u.cast("?"),
		userByName: "SELECT " + userColumns + fromUsers + " WHERE u.name = ?",
		listUsers:  "SELECT " + userColumns + fromUsers + " WHERE " + bytewise + " > ? ORDER BY " + bytewise + " LIMIT ?",
		createUser: u.insert(),
		deleteUser: "DELETE FROM " + table + byID,

		tokenByDigest: "SELECT " + tokenColumns + ", " + userColumns +
			" FROM vestibule_static_tokens t JOIN " + u.source + " u ON u.id = " + u.cast("t.subject") +
			" LEFT JOIN vestibule_subjects s ON s.subject = t.subject WHERE t.digest = ?",
		tokenOf:    "SELECT " + tokenColumns + " FROM vestibule_static_tokens t WHERE t.subject = ?",
		listTokens: "SELECT " + tokenColumns + " FROM vestibule_static_tokens t WHERE t.subject > ? ORDER BY t.subject LIMIT ?",
		mayHold:    mayHold,
		lockUser:   "SELECT 1 FROM " + table + byID + d.forUpdate(),
		insertToken: "INSERT INTO vestibule_static_tokens (subject, digest, salt, key_id, epoch, created_us) SELECT " +
			d.typed("?", "TEXT") + ", " + d.typed("?", "BYTEA") + ", " + d.typed("?", "BYTEA") + ", " + d.typed("?", "TEXT") + ", " +
			d.typed("?", "BIGINT") + ", " + d.typed("?", "BIGINT") + " WHERE EXISTS (" + mayHold + ") ON CONFLICT DO NOTHING",
		replaceToken: "UPDATE vestibule_static_tokens SET digest = ?, salt = ?, key_id = ?, epoch = ?, created_us = ? WHERE subject = ? AND digest = ?" +
			" AND NOT EXISTS (SELECT 1 FROM vestibule_static_tokens x WHERE x.digest = ?) AND EXISTS (" + mayHold + ")",
		dropToken:   "DELETE FROM vestibule_static_tokens WHERE digest = ?",
		dropTokenOf: "DELETE FROM vestibule_static_tokens WHERE subject = ?",

		epoch:  "SELECT epoch FROM vestibule_subjects WHERE subject = ?",
		bump:   strings.Replace(bump, "{now}", "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)", 1),
		bumpTo: strings.Replace(bump, "{now}", "?", 1),
	}
	if u.Password != "" {
		p := d.quote(u.Password)
		q.setPassword = "UPDATE " + table + " SET " + p + " = ?" + byID
		q.replaceHash = "UPDATE " + table + " SET " + p + " = ?" + byID + " AND " + p + " = ?"
	}
	if u.canActive {
		q.setActive = "UPDATE " + table + " SET " + d.quote(u.Active) + " = ?" + byID
	}
	for _, s := range []*string{
		&q.userByID, &q.userByName, &q.listUsers, &q.createUser, &q.setPassword, &q.replaceHash, &q.setActive, &q.deleteUser,
		&q.tokenByDigest, &q.insertToken, &q.replaceToken, &q.mayHold, &q.lockUser, &q.tokenOf, &q.listTokens, &q.dropToken, &q.dropTokenOf,
		&q.epoch, &q.bump, &q.bumpTo,
	} {
		*s = d.bind(*s)
	}
	return q
}

// forUpdate ends a SELECT whose rows stay as they are until the transaction ends.
// SQLite has one writer, which the transaction is from its beginning.
func (d dialect) forUpdate() string {
	if d == postgres {
		return " FOR UPDATE"
	}
	return ""
}

// typed tells PostgreSQL the type of a parameter that it can not infer.
func (d dialect) typed(value, kind string) string {
	if d == postgres {
		return "CAST(" + value + " AS " + kind + ")"
	}
	return value
}

// insert is the statement of CreateUser, whose arguments are those of values.
func (u *userSQL) insert() string {
	names, marks := []string{u.dialect.quote(u.ID), u.dialect.quote(u.Name)}, []string{u.cast("?"), "?"}
	for _, name := range []string{u.Email, u.Password, u.Created} {
		if name != "" {
			names, marks = append(names, u.dialect.quote(name)), append(marks, "?")
		}
	}
	if u.canActive {
		names, marks = append(names, u.dialect.quote(u.Active)), append(marks, "?")
	}
	if column.MatchString(u.Roles) {
		names, marks = append(names, u.dialect.quote(u.Roles)), append(marks, "?")
	}
	return "INSERT INTO " + u.dialect.quote(u.Table) + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ") ON CONFLICT DO NOTHING"
}
