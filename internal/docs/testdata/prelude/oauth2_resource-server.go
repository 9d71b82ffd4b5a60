package p

func notes(w http.ResponseWriter, r *http.Request)
