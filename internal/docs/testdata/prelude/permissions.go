package p

type Note struct{ ID, Owner string }

func (n Note) owner() string { return n.Owner }

func loadNote(r *http.Request) (Note, error)
func putNote(w http.ResponseWriter, r *http.Request, n Note)
func list(w http.ResponseWriter, r *http.Request)
func remove(w http.ResponseWriter, r *http.Request)
func change(w http.ResponseWriter, r *http.Request)
func me(w http.ResponseWriter, r *http.Request)
func walk(http.Handler) iter.Seq2[string, http.Handler]

var chat http.Handler
