// Package benchmarks does the same work with Vestibule, with its peers and by hand, in one
// run. It is a module of its own, so that their dependencies stay out of the library's.
//
// Contenders is the table of who does what; a new one is a line there and a function.
// Whoever is measured has proved before that the right credential passes and no other does.
//
//	make bench                          # all; replaces the tables and charts of docs/benchmarks/
//	make bench BENCHFLAGS='-sections work -run authenticate/jwt'
//	make peers BENCH=Work/login         # as Go benchmarks
//
// A part, or fewer than 3 rounds, goes to a new temporary folder unless -out names one.
//
// Django is measured where its reference project is: VESTIBULE_REFERENCE names the folder,
// VESTIBULE_PYTHON a Python that has its packages (scripts/drf-install), VESTIBULE_KNOX a
// folder with the package knox, which is none of Debian's. Everything that is asked over
// HTTP is on this machine and ends with the run.
package benchmarks
