//go:build ops

package ops

import (
	"encoding/csv"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLoadPostgres runs the statements twice, in a real server, and reads the table: the rows of the file, once.
func TestLoadPostgres(t *testing.T) {
	psql := startPostgres(t)
	directory := t.TempDir()
	for _, name := range []string{"it's.csv", "tabs.tsv"} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(directory, name)
			run(t, exec.Command(rollcall, "snapshot", "../users.csv", "--quiet", "--evaluator", "local", "--flag-configs",
				"../flags.json", "--carry", "country,name,note,lifetime_value", "--types", "lifetime_value:float",
				"--max-errors", "3", "--out", out))
			run(t, psql("-c", "CREATE SCHEMA IF NOT EXISTS exp"))
			table := "exp.assignments_" + filepath.Ext(name)[1:]
			sql := run(t, exec.Command(rollcall, "load", out, "--for", "postgres", "--table", table))
			for range 2 {
				cmd := psql("-f", "-")
				cmd.Stdin = strings.NewReader(sql)
				run(t, cmd)
			}
			got := run(t, psql("-c", `SET timezone = 'UTC'`, "-c", `\copy (SELECT row_number, user_id, device_id, flag_key, outcome, variant, `+
				`payload, experiment_key, country, name, note FROM `+table+` ORDER BY row_number, flag_key) TO STDOUT WITH (FORMAT csv)`))
			file, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			r := csv.NewReader(strings.NewReader(string(file)))
			if strings.HasSuffix(name, ".tsv") {
				r.Comma = '\t'
			}
			want := readRecords(t, r)[1:]
			for i := range want {
				want[i] = append(want[i][:8:8], want[i][9:12]...) // less evaluated_at and lifetime_value
			}
			if d := cmp.Diff(want, readRecords(t, csv.NewReader(strings.NewReader(strings.TrimPrefix(got, "SET\n"))))); d != "" || len(want) < 1000 {
				t.Errorf("%d rows of %s (-want +got):\n%s", len(want), name, d)
			}
			comment := run(t, psql("-c", "SELECT col_description('"+table+"'::regclass, 5)"))
			if want := "the flag\n"; comment != want {
				t.Errorf("comment on flag_key: %q, want %q", comment, want)
			}
		})
	}
}

func readRecords(t *testing.T, r *csv.Reader) [][]string {
	t.Helper()
	records, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// startPostgres starts a server that listens on a socket alone, and returns how to call psql. The server refuses to run
// as root: then it is the user nobody's.
func startPostgres(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		t.Fatalf("PostgreSQL is not installed (%v): run it by make ops, which does that", err)
	}
	bin := bins[len(bins)-1]
	directory, err := os.MkdirTemp("", "pg") // its name must be short: a socket has it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	var attr *syscall.SysProcAttr
	if os.Getuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		if err := os.Chown(directory, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = directory, attr
		return cmd
	}
	data := filepath.Join(directory, "data")
	run(t, command("initdb", "-D", data, "-U", "rollcall", "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync"))
	start := command("pg_ctl", "-D", data, "-w", "-t", "600", "-l", filepath.Join(directory, "log"),
		"-o", "-c listen_addresses='' -c fsync=off -k "+directory, "start")
	start.Stdout, start.Stderr = nil, nil // the server keeps them
	if err := start.Run(); err != nil {
		log, _ := os.ReadFile(filepath.Join(directory, "log"))
		t.Fatalf("start PostgreSQL: %v\n%s", err, log)
	}
	t.Cleanup(func() {
		if err := command("pg_ctl", "-D", data, "-m", "immediate", "stop").Run(); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, "psql"), append([]string{"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
			"-h", directory, "-U", "rollcall", "-d", "postgres"}, args...)...)
		return cmd
	}
}
