package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// released is the version of a released binary, set by the linker (see the Makefile); "" elsewhere.
var released string

// version is the version of this binary, as manifests and the User-Agent carry it.
func version() string {
	if released != "" {
		return released
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func versionCommand(env *env) *cobra.Command {
	return &cobra.Command{
		Use: "version", DisableFlagsInUseLine: true, Short: "Print the version",
		Args: checkArgs(cobra.NoArgs, "it takes none"),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(env.Stdout, "rollcall %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS,
				runtime.GOARCH)
			return err
		},
	}
}
