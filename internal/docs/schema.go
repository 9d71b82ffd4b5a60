package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

type column struct{ name, postgres, sqlite, since, note string }

type table struct {
	name, since, note string
	columns           []*column
	keys, indexes     []string
}

var (
	createTable = regexp.MustCompile(`^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+) \((.*?)\)(?: WITHOUT ROWID| WITH \([^()]*\))?$`)
	addColumn   = regexp.MustCompile(`^ALTER TABLE (\w+) ADD COLUMN (\w+) (.*)$`)
	createIndex = regexp.MustCompile(`^CREATE (UNIQUE )?INDEX \w+ ON (\w+) (.*)$`)
	ownRecord   = regexp.MustCompile(`^INSERT INTO vestibule_migrations `)
	noTable     = regexp.MustCompile(`^(CREATE (OR REPLACE )?FUNCTION|CREATE (CONSTRAINT )?TRIGGER|DO \$\$|ALTER TABLE \w+ ENABLE ALWAYS TRIGGER|LOCK TABLE|INSERT INTO vestibule_(bus|changes)) ?`)
	comments    = regexp.MustCompile(`(?m)--.*$`)
)

// schema writes the tables of the SQL store, as the migrations make them.
func schema(root string) ([]byte, error) {
	postgres, err := migrate(root, "postgres")
	if err != nil {
		return nil, err
	}
	sqlite, err := migrate(root, "sqlite")
	if err != nil {
		return nil, err
	}
	last, err := newest(root)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(front{"Storage schema", "The tables, columns and indexes that the migrations create.", "reference", "operator, developer"}.header())
	b.WriteString("# Storage schema\n\n" + generated)
	fmt.Fprintf(&b, "`vestibule migrate` and `Store.Migrate` create these tables, in PostgreSQL and in SQLite. Columns whose names end with `_us` are microseconds since 1970 in UTC. \"Since\" is the version of the schema; the newest is %s. "+
		"The role of a server needs SELECT, INSERT, UPDATE and DELETE on all of them; the role that migrates owns them. How to use your own user table: [storage](../storage.md).\n", last)
	for _, t := range postgres {
		other := &table{}
		if len(sqlite) > 0 && sqlite[0].name == t.name {
			other, sqlite = sqlite[0], sqlite[1:]
		}
		if other.name == "" { // only in PostgreSQL
			other = t.without()
		} else if len(other.columns) != len(t.columns) || !slices.Equal(other.keys, t.keys) || !slices.Equal(other.indexes, t.indexes) {
			return nil, fmt.Errorf("table %s differs between SQLite and PostgreSQL", t.name)
		}
		fmt.Fprintf(&b, "\n## %s\n\n", t.name)
		if t.note != "" {
			b.WriteString(escape.Replace(t.note) + "\n\n")
		}
		b.WriteString(row("Column", "PostgreSQL", "SQLite", "Since", "Note") + row("---", "---", "---", "---", "---"))
		for j, c := range t.columns {
			if other.columns[j].name != c.name {
				return nil, fmt.Errorf("column %s of %s differs", c.name, t.name)
			}
			declared := "`" + other.columns[j].sqlite + "`"
			if other.columns[j].sqlite == "" {
				declared = "-"
			}
			b.WriteString(row("`"+c.name+"`", "`"+c.postgres+"`", declared, c.since, escape.Replace(c.note)))
		}
		for _, list := range [][]string{t.keys, t.indexes} {
			for i, k := range list {
				if i == 0 {
					b.WriteString("\n")
				}
				b.WriteString("- " + k + "\n")
			}
		}
	}
	if len(sqlite) > 0 {
		return nil, fmt.Errorf("table %s is not in PostgreSQL, or in another order", sqlite[0].name)
	}
	b.WriteString("\n## Triggers\n\n" + triggerNote)
	return []byte(b.String()), nil
}

const triggerNote = "With PostgreSQL, triggers named `vestibule_bus_…` on these tables write the messages of the courier that `vestibule_bus` names, so that the caches of all processes learn of each change, whichever program makes it. " +
	"Their functions run with the rights of the owner of the schema. See [several replicas](../production/replicas.md).\n"

// without returns the same table as a database without it has it.
func (t *table) without() *table {
	other := *t
	other.columns = nil
	for _, c := range t.columns {
		other.columns = append(other.columns, &column{name: c.name})
	}
	return &other
}

// newest returns the number of the newest migration, which need not change a table.
func newest(root string) (string, error) {
	files, err := filepath.Glob(filepath.Join(root, "storage/gormstore/migrations/postgres/*.up.sql"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("no migrations: %v", err)
	}
	return strings.TrimLeft(path.Base(files[len(files)-1])[:4], "0"), nil
}

// migrate applies the migrations of a dialect to a list of tables. A statement that it does not
// know is an error, so that the page is never wrong.
func migrate(root, dialect string) (tables []*table, err error) {
	files, err := filepath.Glob(filepath.Join(root, "storage/gormstore/migrations", dialect, "*.up.sql"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no migrations of %s: %v", dialect, err)
	}
	byName := map[string]*table{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		since := strings.TrimLeft(path.Base(file)[:4], "0")
		for _, statement := range statements(string(text)) {
			note, sql := statement[0], statement[1]
			if m := createTable.FindStringSubmatch(sql); m != nil {
				t := &table{name: m[1], since: since, note: note}
				byName[t.name] = t
				tables = append(tables, t)
				t.define(m[2], since)
			} else if m := addColumn.FindStringSubmatch(sql); m != nil && byName[m[1]] != nil {
				byName[m[1]].columns = append(byName[m[1]].columns, &column{m[2], m[3], m[3], since, note})
			} else if m := createIndex.FindStringSubmatch(sql); m != nil && byName[m[2]] != nil {
				byName[m[2]].indexes = append(byName[m[2]].indexes, "`"+m[1]+"INDEX "+m[3]+"`, since "+since)
			} else if !ownRecord.MatchString(sql) && !noTable.MatchString(sql) {
				return nil, fmt.Errorf("%s: a statement that this command does not know: %s", file, sql)
			}
		}
	}
	return tables, nil
}

// statements returns the statements of a file, each in one line and after its comment.
func statements(text string) (all [][2]string) {
	body := false // of a function, between two $$
	var whole []string
	for s := range strings.SplitSeq(text, ";\n") {
		whole = append(whole, s)
		if strings.Count(s, "$$")%2 == 1 {
			body = !body
		}
		if body {
			continue
		}
		s, whole = strings.Join(whole, ";\n"), nil
		var note []string
		for _, c := range comments.FindAllString(s, -1) {
			note = append(note, strings.TrimSpace(strings.TrimPrefix(c, "--")))
		}
		sql := strings.Join(strings.Fields(comments.ReplaceAllString(s, "")), " ")
		if sql != "" {
			all = append(all, [2]string{strings.Join(note, " "), strings.TrimSuffix(sql, ";")})
		}
	}
	return all
}

// define adds the columns and the keys of a CREATE TABLE.
func (t *table) define(body, since string) {
	depth, begin := 0, 0
	parts := []string{}
	for i, r := range body + "," {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			parts = append(parts, strings.TrimSpace(body[begin:i]))
			begin = i + 1
		}
	}
	for _, p := range parts {
		name, kind, _ := strings.Cut(p, " ")
		if name == strings.ToUpper(name) { // PRIMARY KEY (…), UNIQUE (…)
			t.keys = append(t.keys, "`"+p+"`")
			continue
		}
		kind = strings.TrimSpace(kind)
		t.columns = append(t.columns, &column{name, kind, kind, since, ""})
	}
}
