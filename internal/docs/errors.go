package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// answer is one way in which the library answers an error code.
type answer struct {
	status    int
	dir, text string
	oauth     bool
}

// statusOf has the status of codes that the source sets on an error that it has already.
var statusOf = map[string]int{
	"token_not_valid": http.StatusUnauthorized, "invalid_token": http.StatusUnauthorized, "insufficient_scope": http.StatusForbidden,
	"second_factor_required": http.StatusUnauthorized,
}

// outcomeTable says how each outcome of an authentication is answered.
const outcomeTable = `| Outcome | Status | Body and headers |
| --- | --- | --- |
| No credentials, and the route requires some | 401 | code ` + "`not_authenticated`" + `; ` + "`WWW-Authenticate`" + ` with the challenge of each scheme; 403 if no scheme has a challenge |
| Credentials rejected | 401, or the status of the error | the challenge of the scheme that rejected them |
| Accepted, permission denied | 403; 404 if the object is hidden | code ` + "`permission_denied`" + ` or ` + "`insufficient_scope`" + ` |
| Error: a dependency failed | 503 | code ` + "`unavailable`" + `; ` + "`Retry-After`" + ` |
| Error: a bug in the program | 500 | code ` + "`error`" + `; no detail |
`

// errorCodes writes a section for each error code that a client can receive.
func errorCodes(root string) ([]byte, error) {
	list, err := library(root)
	if err != nil {
		return nil, err
	}
	codes := map[string][]answer{}
	for _, s := range list {
		if s.dir == "authn/authntest" {
			continue // its errors are test data
		}
		if err := s.answers(codes); err != nil {
			return nil, err
		}
	}
	names := slices.Sorted(maps.Keys(codes))
	var b strings.Builder
	b.WriteString(front{"Error codes and HTTP answers", "Every error code with its status and text, and the answer to each outcome.", "reference", "developer, security"}.header())
	b.WriteString("# Error codes and HTTP answers\n\n" + generated)
	b.WriteString("Errors of an API are `{\"detail\": \"...\"}`, or `{\"<field>\": [\"...\"]}` for one field; with `authn.WriteProblem` they have the form of RFC 9457, with the code. " +
		"Errors of an OAuth 2.0 endpoint are `{\"error\": \"<code>\", \"error_description\": \"...\"}` (RFC 6749, section 5.2).\n\n## Outcomes\n\n" + outcomeTable)
	b.WriteString("\n## Codes by package\n\n" + row("Package", "Codes") + row("---", "---"))
	for _, s := range list {
		var own []string
		for _, code := range names {
			var seen []string
			for _, a := range codes[code] {
				if a.dir == s.dir {
					seen = append(seen, fmt.Sprint(a.status))
				}
			}
			if len(seen) > 0 {
				slices.Sort(seen)
				own = append(own, fmt.Sprintf("[%s](#%s) %s", escape.Replace(code), code, strings.Join(slices.Compact(seen), ", ")))
			}
		}
		if len(own) > 0 {
			b.WriteString(row("`"+s.dir+"`", strings.Join(own, "; ")))
		}
	}
	for _, code := range names {
		fmt.Fprintf(&b, "\n## %s\n\n", code)
		b.WriteString(row("Status", "Form", "Package", "Text") + row("---", "---", "---", "---"))
		rows := map[string]bool{}
		for _, a := range codes[code] {
			form := "API"
			if a.oauth {
				form = "OAuth 2.0"
			}
			r := row(fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), form, "`"+a.dir+"`", escape.Replace(a.text))
			if !rows[r] {
				rows[r] = true
				b.WriteString(r)
			}
		}
	}
	return []byte(b.String()), nil
}

// answers adds the errors that the package creates.
func (s *source) answers(codes map[string][]answer) (err error) {
	texts := map[string]string{"authn.CodeInsufficientScope": "insufficient_scope"}
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok {
				for i, name := range v.Names {
					if i < len(v.Values) {
						if text, ok := literal(v.Values[i]); ok {
							texts[name.Name] = text
						}
					}
				}
			}
			return true
		})
	}
	value := func(e ast.Expr) string { // the text of an expression: … stands for what is not constant
		if text, ok := literal(e); ok {
			return text
		}
		if text, ok := texts[s.show(e)]; ok {
			return text
		}
		switch e := e.(type) {
		case *ast.CallExpr:
			if len(e.Args) > 0 && s.show(e.Fun) == "fmt.Sprintf" {
				text, _ := literal(e.Args[0])
				return strings.NewReplacer("%d", "…", "%q", "…", "%s", "…").Replace(text)
			}
		case *ast.BinaryExpr:
			text, _ := literal(e.X)
			return text + "…"
		}
		return ""
	}
	oauthPackage := strings.HasPrefix(s.dir, "schemes/oauth2")
	add := func(status int, code, text string, oauth bool) {
		if code != "" {
			codes[code] = append(codes[code], answer{status: status, dir: s.dir, text: text, oauth: oauth})
		}
	}
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				kind := s.show(n.Type)
				if kind != "Error" && kind != "authn.Error" && kind != "oauth2.Error" {
					break
				}
				if s.dir == "schemes/oauth2/dpop" && len(n.Elts) > 0 { // 400 of the server's endpoints, 401 of an API
					add(http.StatusBadRequest, value(n.Elts[0]), "", true)
					add(http.StatusUnauthorized, value(n.Elts[0]), "", false)
					break
				}
				part := map[string]ast.Expr{}
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						part[s.show(kv.Key)] = kv.Value
					}
				}
				status, text := statusCode(s.show(part["Status"])), ""
				if part["Detail"] != nil {
					text = value(part["Detail"])
				} else if part["Description"] != nil {
					text = value(part["Description"])
				}
				if part["Code"] == nil || value(part["Code"]) == "" {
					break // built by a function, whose calls are counted
				}
				if status == 0 {
					status = varied[value(part["Code"])]
				}
				if status == 0 {
					err = fmt.Errorf("%s: the status of %s is not constant", s.dir, value(part["Code"]))
				}
				add(status, value(part["Code"]), text, kind == "oauth2.Error" || kind == "Error" && oauthPackage)
			case *ast.CallExpr:
				switch name := s.show(n.Fun); {
				case name == "newError" && s.dir == "authn":
					text := value(n.Args[2])
					if text == "" {
						text = value(n.Args[3])
					}
					add(statusCode(s.show(n.Args[0])), value(n.Args[1]), text, false)
				case name == "oauth2.NewError" || name == "NewError" && s.dir == "schemes/oauth2":
					add(http.StatusBadRequest, value(n.Args[0]), value(n.Args[1]), true)
				}
			case *ast.AssignStmt:
				if left, ok := n.Lhs[0].(*ast.SelectorExpr); ok && n.Tok == token.ASSIGN && left.Sel.Name == "Code" && len(n.Lhs) == 1 {
					if code := value(n.Rhs[0]); code != "" {
						if statusOf[code] == 0 {
							err = fmt.Errorf("%s: add the status of %s to statusOf", s.dir, code)
						}
						add(statusOf[code], code, "", false)
					}
				}
			}
			return true
		})
	}
	return err
}

// varied has the status of errors whose status is a variable in the source.
var varied = map[string]int{
	"error": http.StatusInternalServerError, "unavailable": http.StatusServiceUnavailable, "temporarily_unavailable": http.StatusTooManyRequests,
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	return constant.StringVal(constant.MakeFromLiteral(l.Value, token.STRING, 0)), true
}

// statusCode returns the number of an expression such as http.StatusNotFound, or 0.
func statusCode(expr string) int {
	name, ok := strings.CutPrefix(expr, "http.Status")
	for code := 100; ok && code < 600; code++ {
		if name == strings.NewReplacer(" ", "", "-", "", "'", "").Replace(http.StatusText(code)) {
			return code
		}
	}
	special := map[string]int{"RequestURITooLong": 414, "RequestedRangeNotSatisfiable": 416, "Teapot": 418, "NonAuthoritativeInfo": 203}
	return special[name]
}
