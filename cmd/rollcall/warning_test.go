package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestWarningsHaveCodes: every warning says for a program what it is: con.Warn(message, hint, about{code: ..}).
func TestWarningsHaveCodes(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		positions := token.NewFileSet()
		parsed, err := parser.ParseFile(positions, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			called, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || called.Sel.Name != "Warn" {
				return true
			}
			if of, ok := called.X.(*ast.SelectorExpr); ok && of.Sel.Name == "Log" { // the console's own call
				return true
			}
			if seen++; len(call.Args) != 3 {
				t.Errorf("%s: a warning without about{code: ..}, which warning.go lists", positions.Position(call.Pos()))
			}
			return true
		})
	}
	if seen < 30 {
		t.Errorf("%d warnings in these files, want more", seen)
	}
}
