package gormstore_test

import (
	"strings"
	"testing"
)

// An account can have very many families that have ended, and live ones of many clients. The look-ups
// of one client's read those alone, in the order of an index, and a count reads no ended ones.
func TestManyFamiliesHaveAnIndex_attack_373(t *testing.T) {
	sequential(t)
	ctx := t.Context()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			s := migrated(t, databases[kind](t, nil))
			numbers := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) "
			explain := "EXPLAIN QUERY PLAN "
			if kind == "postgres" {
				explain = "EXPLAIN "
			}
			for _, sql := range []string{
				"INSERT INTO vestibule_families (id, purpose, subject, client, confirm, name, epoch, auth_time_us, created_us, expires_us, ended) " + numbers +
					"SELECT 'f' || i, 'p', 'u' || (i % 2), 'c' || (i % 400), '', '', 0, 0, i, i, i % 20 > 0 FROM n",
				"ANALYZE",
			} {
				if err := s.DB(ctx).Exec(sql).Error; err != nil {
					t.Fatal(err)
				}
			}
			pool, err := s.DB(ctx).DB()
			if err != nil {
				t.Fatal(err)
			}
			for what, args := range map[string][]any{
				"families of a client": {"u1", "p", "u1", "c1", 1, 100}, "count of families": {"u1", "p", "u1"}, "family": {"u1", "p", "u1", "f21"},
			} {
				rows, err := pool.QueryContext(ctx, explain+s.HotQueries()[what], args...)
				if err != nil {
					t.Fatal(err)
				}
				plan := ""
				for rows.Next() {
					var a, b, c, line string
					dest := []any{&a, &b, &c, &line}
					if kind == "postgres" {
						dest = dest[3:]
					}
					if err := rows.Scan(dest...); err != nil {
						t.Fatal(err)
					}
					plan += line + "\n"
				}
				rows.Close()
				index := "vestibule_families_live"
				switch {
				case what == "family" && kind == "sqlite":
					index = "PRIMARY KEY (id=?)"
				case what == "family":
					index = "vestibule_families_pkey"
				}
				if !strings.Contains(plan, index) {
					t.Errorf("%s does not use %s:\n%s", what, index, plan)
				}
				if what == "families of a client" && (strings.Contains(plan, "Sort") || strings.Contains(plan, "TEMP B-TREE")) {
					t.Errorf("%s is sorted:\n%s", what, plan)
				}
			}
		})
	}
}
