// Package ops tests what surrounds a run in production with the programs that are there: `make ops` installs them and
// runs it. Its files have the build tag ops.
//
//   - load_test.go starts PostgreSQL, which runs what `rollcall load --for postgres` prints.
package ops
