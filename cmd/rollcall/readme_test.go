package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// TestREADME runs the README: its example must print what it says, and its recipes must work, in their order, in
// one folder. They ask the Evaluation API of this machine, by way of ROLLCALL_SERVER.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testdata, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"rollcall": self, "testdata": testdata} {
		if err := os.Symlink(to, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	var users strings.Builder
	users.WriteString("uid,country,plan,email\n")
	for i := range 60 {
		users.WriteString("user-" + string(rune('A'+i%26)) + string(rune('a'+i/26)) + ",Germany,pro,me@example.com\n")
	}
	for name, text := range map[string]string{"users.csv": users.String(),
		"flags.txt": "checkout-redesign\npricing-test\n", "key": "canary"} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	eng := testEngine(t)
	api := evalserver.New(eng, evalserver.Config{})
	server, err := evalserver.Start("127.0.0.1:0", api)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close() //nolint:errcheck // the test is over
	shell := func(script string, env ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", script)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), append(env, "PATH="+folder+":"+os.Getenv("PATH"))...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v, it printed:\n%s", script, err, out)
		}
		return string(out)
	}

	// The example: commands after "$ ", and what each prints.
	for _, block := range blocks(string(readme), "console") {
		for _, step := range strings.Split("\n"+block, "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			got := strings.TrimSuffix(shell(command), "\n")
			if diff := cmp.Diff(steady(want), steady(got)); diff != "" {
				t.Errorf("the README says that %q prints something else (-README +got):\n%s", command, diff)
			}
		}
	}
	// The recipes. Their key is in a file elsewhere.
	recipes := blocks(string(readme), "sh")
	if len(recipes) < 4 {
		t.Fatalf("the README has %d recipes, want at least 4", len(recipes))
	}
	for _, script := range recipes {
		script = strings.ReplaceAll(script, "/run/secrets/amplitude", "key")
		shell(script, "ROLLCALL_SERVER="+server.URL(), keyVariable+"=canary")
	}
	if stats := api.Stats(); stats.Tracked != 0 || stats.Requests == 0 {
		t.Errorf("the recipes made %d requests, of which %d were tracked; want some and none", stats.Requests, stats.Tracked)
	}
}

// blocks are the fenced code blocks of a language.
func blocks(markdown, language string) []string {
	var found []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(markdown, -1) {
		found = append(found, strings.TrimSuffix(match[1], "\n"))
	}
	return found
}

// steady replaces what differs from run to run: the time that it took, and the rate.
func steady(text string) string {
	for _, p := range []string{`in [0-9.hms]+`, `\([0-9.]+/s\)`} {
		text = regexp.MustCompile(p).ReplaceAllString(text, "…")
	}
	return text
}
