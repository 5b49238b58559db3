//go:build interop

// Package interop checks rollcall against DuckDB, in both directions: DuckDB reads what rollcall writes and finds what
// was meant, and rollcall reads what DuckDB writes and gives the users the assignments that a plain CSV of them gives.
// And against Amplitude's clients: those of JavaScript get from `rollcall serve` what a snapshot says.
//
//	make interop
//
// It is a test and nothing else, with the build tag interop, because it needs Node and the packages in testdata/node.
//
//   - main_test.go builds the command and starts one Node process, duckdb.cjs, which runs SQL for all tests.
//   - users_test.go has the users: those of testdata/users.csv, and some that nobody would want in a file.
//   - expect_test.go says what an output of them means, from the users and Amplitude's engine, not from another output;
//     and compares it with what DuckDB found, value by value, type by type.
//   - write_test.go runs the command and has its outputs read, with default options.
//   - read_test.go has DuckDB write the users in every encoding that it has, and the command read them.
//   - decimals_test.go has decimals of every size go all the way, from DuckDB's file to ours and back.
//   - readme_test.go runs the load statements of the README.
//   - dbt_test.go runs the queries of testdata/recipes/dbt on what load loads.
//   - clients_test.go has Amplitude's clients, in clients.cjs and poll.cjs, ask `rollcall serve`, and runs the README's
//     code for them.
package interop
