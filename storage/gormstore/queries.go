package gormstore

import "strings"

// queries are the statements that depend on the account table.
type queries struct {
	userByID, userByName, listUsers             string
	createUser, setPassword, replaceHash        string
	setActive, setRoles, deleteUser             string
	tokenByDigest, insertToken, replaceToken    string
	mayHold, lockUser                           string
	tokenOf, listTokens, dropToken, dropTokenOf string
	epoch, bump, bumpTo                         string
	least, raise, batch, nextBatch              string
	credentialByDigest, refreshByDigest         string
	sessionByDigest, oneTimeByDigest, linkOf    string
	claim, claimAt, standing, userStanding      string
	codeByDigest, accessByDigest, signedAccess  string
	decideDevice                                string
	listCredentials, listPurposes               string
	listSessions, listFamilies                  string
	sessionByID, listFamiliesOf, familyByID     string
	countFamilies                               string
	countSessions, countCredentials             string
	block                                       string
}

func newQueries(d dialect, u *userSQL) queries {
	const tokenColumns = "t.subject, t.digest, t.salt, t.key_id, t.epoch, t.created_us"
	bytewise := "CAST(" + u.login + " AS TEXT) COLLATE BINARY"
	greatest := "MAX"
	if d == postgres {
		bytewise = `CAST(` + u.login + ` AS TEXT) COLLATE "C"`
		greatest = "GREATEST"
	}
	// The record of the space determines the minimum epoch of its subjects. Without the record the
	// epoch is NULL, which Scan rejects, so a process notices at its next statement that its space
	// was renamed.
	record := " FROM vestibule_spaces b WHERE b.name = '" + u.space + "' AND NOT b.retired"
	epochOf := func(epoch string) string {
		if d == sqlite { // MAX is NULL if an argument is; the subquery runs once
			return "MAX(COALESCE(" + epoch + ", 0), (SELECT b.epoch" + record + "))"
		}
		return "(SELECT GREATEST(COALESCE(" + epoch + ", 0), b.epoch)" + record + ")"
	}
	joined := epochOf("s.epoch")
	present := epochOf("(SELECT epoch FROM vestibule_subjects WHERE subject = ?)")
	accountColumns := u.subject("u.id") + ", u.name, u.email, u.password, u.active, u.roles, u.created_us, "
	userColumns := accountColumns + joined
	// A record's subject includes the space, so nothing is found after the space was renamed.
	// Therefore the lookup of a request does not fail without the record. It reads the minimum
	// epoch, because storage.LogoutAll raises it while processes run.
	own := greatest + "(COALESCE(s.epoch, 0), COALESCE((SELECT b.epoch" + record + "), 0))"
	ownerColumns := accountColumns + own
	// The account and the epoch of a record's subject.
	owner := func(subject string) string {
		return " JOIN " + u.source + " u ON u.id = " + u.cast(subject) + " LEFT JOIN vestibule_subjects s ON s.subject = " + subject
	}
	fromUsers := " FROM " + u.source + " u LEFT JOIN vestibule_subjects s ON s.subject = " + u.subject("u.id")
	// The subject exists, is enabled, and has the epoch.
	mayHold := "SELECT 1" + fromUsers + " WHERE u.id = " + u.param() + " AND u.active AND " + joined + " = ?"
	table, id := d.quote(u.Table), d.quote(u.ID)
	byID := " WHERE " + id + " = " + u.param()
	bump := "INSERT INTO vestibule_subjects (subject, epoch) SELECT " + d.typed("?", "TEXT") + ", " + greatest + "({now}, b.epoch + 1)" + record + " ON CONFLICT (subject) DO UPDATE SET epoch = " +
		greatest + "(vestibule_subjects.epoch + 1, EXCLUDED.epoch) RETURNING epoch"
	// The clock is read once, so the grace period begins at the time of the claim.
	claim := "UPDATE vestibule_refresh_tokens SET next = ?, claimed_us = c.us, sealed = ?, sealed_until_us = CASE WHEN " +
		d.typed("?", "BIGINT") + " > 0 THEN c.us + " + d.typed("?", "BIGINT") + " ELSE 0 END FROM (SELECT {now} AS us) c WHERE digest = ? AND claimed_us = 0"
	const blocked = "EXISTS (SELECT 1 FROM vestibule_blocklist WHERE block_key IN (?, ?, ?))"
	now := "0"
	if d == postgres {
		now = serverNow
	}
	// Above every epoch but those of a wrong clock. The record stays as it is if it was raised since.
	raise := "UPDATE vestibule_spaces SET epoch = " + greatest + "(epoch + 1, " + d.typed("?", "BIGINT") +
		", COALESCE((SELECT MAX(s.epoch) FROM vestibule_subjects s WHERE s.epoch <= " + d.typed("?", "BIGINT") + "), 0) + 1), recorded_us = ?" +
		" WHERE name = '" + u.space + "' AND NOT retired AND (epoch = 0 OR recorded_us < ?)"
	// Subjects in the order of the table's ID, which has an index.
	batch := "SELECT " + u.subject("u."+id) + " FROM " + table + " u LEFT JOIN vestibule_subjects s ON s.subject = " + u.subject("u."+id) +
		" WHERE {after}(COALESCE(s.epoch, 0) < " + d.typed("?", "BIGINT") + " OR COALESCE(s.epoch, 0) > " + d.typed("?", "BIGINT") + ") ORDER BY u." + id + " LIMIT ?"
	q := queries{
		userByID: "SELECT " + userColumns + fromUsers + " WHERE u.id = " + u.param(),
		// The first condition can use an index, whatever its collation; the second compares byte
		// for byte.
		userByName: "SELECT " + userColumns + fromUsers + " WHERE " + u.login + " = ? AND " + bytewise + " = ? ORDER BY u.active DESC, u.id LIMIT 2",
		listUsers:  "SELECT " + userColumns + fromUsers + " WHERE " + bytewise + " > ? ORDER BY " + bytewise + ", u.active DESC LIMIT ?",
		createUser: u.insert(),
		deleteUser: "DELETE FROM " + table + byID,

		tokenByDigest: "SELECT " + tokenColumns + ", " + ownerColumns +
			" FROM vestibule_static_tokens t" + owner("t.subject") + " WHERE t.digest = ?",
		tokenOf:    "SELECT " + tokenColumns + " FROM vestibule_static_tokens t WHERE t.subject = ?",
		listTokens: "SELECT " + tokenColumns + " FROM vestibule_static_tokens t WHERE t.subject > ?" + u.onlyMine("t.subject") + " ORDER BY t.subject LIMIT ?",
		mayHold:    mayHold,
		lockUser:   "SELECT " + u.subject(id) + " FROM " + table + byID + d.forUpdate(),
		insertToken: "INSERT INTO vestibule_static_tokens (subject, digest, salt, key_id, epoch, created_us) SELECT " +
			d.typed("?", "TEXT") + ", " + d.typed("?", "BYTEA") + ", " + d.typed("?", "BYTEA") + ", " + d.typed("?", "TEXT") + ", " +
			d.typed("?", "BIGINT") + ", " + d.typed("?", "BIGINT") + " WHERE EXISTS (" + mayHold + ") ON CONFLICT DO NOTHING",
		replaceToken: "UPDATE vestibule_static_tokens SET digest = ?, salt = ?, key_id = ?, epoch = ?, created_us = ? WHERE subject = ? AND digest = ?" +
			" AND NOT EXISTS (SELECT 1 FROM vestibule_static_tokens x WHERE x.digest = ?) AND EXISTS (" + mayHold + ")",
		dropToken:   "DELETE FROM vestibule_static_tokens WHERE digest = ?",
		dropTokenOf: "DELETE FROM vestibule_static_tokens WHERE subject = ?",

		epoch:  "SELECT " + present,
		bump:   strings.Replace(bump, "{now}", serverNow, 1),
		bumpTo: strings.Replace(bump, "{now}", d.typed("?", "BIGINT"), 1),

		least:     "SELECT b.epoch" + record,
		raise:     raise,
		batch:     strings.Replace(batch, "{after}", "", 1),
		nextBatch: strings.Replace(batch, "{after}", "u."+id+" > "+u.param()+" AND ", 1),

		credentialByDigest: "SELECT " + credentialColumns + ", " + ownerColumns + " FROM vestibule_device_tokens t" + owner("t.subject") + " WHERE t.digest = ? AND t.purpose = ?",
		sessionByDigest: "SELECT " + sessionColumns + ", t.data, COALESCE(" + u.subject("u.id") + ", ''), COALESCE(u.name, ''), COALESCE(u.email, ''), COALESCE(u.password, '')," +
			" COALESCE(u.active, FALSE), COALESCE(u.roles, ''), COALESCE(u.created_us, 0), " + own +
			" FROM vestibule_sessions t LEFT" + owner("t.subject") + " WHERE t.digest = ?",
		oneTimeByDigest: "SELECT t.purpose, t.subject, t.epoch, t.bound, t.created_us, t.expires_us, " + ownerColumns +
			" FROM vestibule_onetimes t" + owner("t.subject") + " WHERE t.digest = ?",
		linkOf: "SELECT t.id, t.subject, t.created_us, " + ownerColumns + " FROM vestibule_links t" + owner("t.subject") +
			" WHERE t.space = '" + u.space + "' AND t.issuer = ? AND t.foreign_id = ?",
		codeByDigest: "SELECT " + codeColumns + ", " + ownerColumns + " FROM vestibule_codes t" + owner("t.subject") + " WHERE t.digest = ?",
		accessByDigest: "SELECT " + accessColumns + ", c.disabled OR t.family IS NOT NULL AND COALESCE(f.ended, TRUE), " +
			"COALESCE(" + u.subject("u.id") + ", ''), COALESCE(u.name, ''), COALESCE(u.email, ''), COALESCE(u.password, '')," +
			" COALESCE(u.active, FALSE), COALESCE(u.roles, ''), COALESCE(u.created_us, 0), " + own +
			" FROM vestibule_access_tokens t JOIN vestibule_clients c ON c.id = t.client LEFT JOIN vestibule_families f ON f.id = t.family" +
			" LEFT" + owner("t.subject") + " WHERE t.digest = ?",
		signedAccess: "SELECT " + blocked + " OR NOT EXISTS (SELECT 1 FROM vestibule_clients WHERE id = ? AND NOT disabled)" +
			" OR " + d.typed("?", "TEXT") + " <> '' AND NOT EXISTS (SELECT 1 FROM vestibule_families WHERE id = ? AND NOT ended), " +
			"COALESCE(" + u.subject("u.id") + ", ''), COALESCE(u.name, ''), COALESCE(u.email, ''), COALESCE(u.password, '')," +
			" COALESCE(u.active, FALSE), COALESCE(u.roles, ''), COALESCE(u.created_us, 0), CASE WHEN t.subject IS NULL THEN" +
			" COALESCE((SELECT " + greatest + "(created_us, revoked_us) FROM vestibule_clients WHERE id = ?), 0) ELSE " + joined + " END" +
			" FROM (SELECT " + d.typed("?", "TEXT") + " AS subject) t LEFT" + owner("t.subject"),
		refreshByDigest: "SELECT r.family, r.created_us, r.expires_us, r.claimed_us, r.sealed, r.sealed_until_us, r.narrowed, " +
			"COALESCE(n.claimed_us, 0), " + now + ", " + familyColumns + ", " + ownerColumns +
			" FROM vestibule_refresh_tokens r JOIN vestibule_families f ON f.id = r.family" + owner("f.subject") +
			" LEFT JOIN vestibule_refresh_tokens n ON n.digest = r.next WHERE r.digest = ?",
		claim:            strings.Replace(claim, "{now}", serverNow, 1),
		decideDevice:     strings.Replace(decideDeviceGrant, "{mayHold}", mayHold, 1),
		claimAt:          strings.Replace(claim, "{now}", d.typed("?", "BIGINT"), 1),
		listCredentials:  strings.Replace(listCredentials, "{epoch}", present, 1),
		listPurposes:     strings.Replace(listPurposes, "{epoch}", present, 1),
		listSessions:     strings.Replace(listSessions, "{epoch}", present, 1),
		sessionByID:      strings.Replace(sessionByID, "{epoch}", present, 1),
		listFamilies:     strings.Replace(listFamilies, "{epoch}", present, 1),
		listFamiliesOf:   strings.Replace(listFamiliesOf, "{epoch}", present, 1),
		familyByID:       strings.Replace(familyByID, "{epoch}", present, 1),
		countFamilies:    strings.NewReplacer("{epoch}", present, "{integer}", d.integer()).Replace(countFamilies),
		countSessions:    strings.Replace(countSessions, "{epoch}", present, 1),
		countCredentials: strings.Replace(countCredentials, "{epoch}", present, 1),
		standing:         "SELECT " + present + ", " + blocked,
		userStanding:     "SELECT " + blocked + ", " + userColumns + fromUsers + " WHERE u.id = " + u.param(),
	}
	if u.Password != "" {
		p := d.quote(u.Password)
		q.setPassword = "UPDATE " + table + " SET " + p + " = ?" + byID
		q.replaceHash = "UPDATE " + table + " SET " + p + " = ?" + byID + " AND " + p + " = ?"
	}
	if u.canRoles {
		q.setRoles = "UPDATE " + table + " SET " + d.quote(u.Roles) + " = ?" + byID
	}
	if u.canActive {
		q.setActive = "UPDATE " + table + " SET " + d.quote(u.Active) + " = ?" + byID
	}
	for _, s := range []*string{
		&q.userByID, &q.userByName, &q.listUsers, &q.createUser, &q.setPassword, &q.replaceHash, &q.setActive, &q.setRoles, &q.deleteUser,
		&q.tokenByDigest, &q.insertToken, &q.replaceToken, &q.mayHold, &q.lockUser, &q.tokenOf, &q.listTokens, &q.dropToken, &q.dropTokenOf,
		&q.epoch, &q.bump, &q.bumpTo, &q.least, &q.raise, &q.batch, &q.nextBatch, &q.credentialByDigest, &q.sessionByDigest, &q.oneTimeByDigest, &q.linkOf, &q.refreshByDigest, &q.claim, &q.claimAt, &q.standing, &q.userStanding, &q.codeByDigest, &q.accessByDigest, &q.signedAccess, &q.decideDevice,
		&q.listCredentials, &q.listPurposes, &q.listSessions, &q.listFamilies,
		&q.sessionByID, &q.listFamiliesOf, &q.familyByID, &q.countFamilies, &q.countSessions, &q.countCredentials,
	} {
		*s = d.bind(*s)
	}
	return q
}

// serverNow is the clock of PostgreSQL, in microseconds since 1970.
const serverNow = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"

// forUpdate is the end of a SELECT that locks its rows until the transaction ends. With SQLite the
// transaction is the only writer from its beginning.
func (d dialect) forUpdate() string {
	if d == postgres {
		return " FOR UPDATE"
	}
	return ""
}

// skipLocked is forUpdate for a SELECT that leaves out the rows that another transaction holds.
func (d dialect) skipLocked() string {
	if d == postgres {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// forShare is the end of a SELECT that locks its rows against changes until the transaction ends.
// Several transactions can hold such a lock.
func (d dialect) forShare() string {
	if d == postgres {
		return " FOR SHARE"
	}
	return ""
}

// integer is the type to which sums of counts are cast. PostgreSQL returns a decimal otherwise.
func (d dialect) integer() string {
	if d == postgres {
		return "BIGINT"
	}
	return "INTEGER"
}

// typed declares the type of a parameter that PostgreSQL cannot infer.
func (d dialect) typed(value, kind string) string {
	if d == postgres {
		return "CAST(" + value + " AS " + kind + ")"
	}
	return value
}

// insert returns the statement of CreateUser, which builds its arguments in the same order.
func (u *userSQL) insert() string {
	names, marks := []string{u.dialect.quote(u.ID), u.dialect.quote(u.Name)}, []string{u.param(), "?"}
	for _, name := range []string{u.Email, u.Password, u.Created} {
		if name != "" {
			names, marks = append(names, u.dialect.quote(name)), append(marks, "?")
		}
	}
	if u.canActive {
		names, marks = append(names, u.dialect.quote(u.Active)), append(marks, "?")
	}
	if u.canRoles {
		names, marks = append(names, u.dialect.quote(u.Roles)), append(marks, "?")
	}
	return "INSERT INTO " + u.dialect.quote(u.Table) + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ") ON CONFLICT DO NOTHING"
}
