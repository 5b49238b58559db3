package main

import (
	"encoding/json"
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

// versionInfo is the version, for a program.
type versionInfo struct {
	Version string `json:"version"`
	Go      string `json:"go"` // that built it
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func versionCommand(env *env) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "version [options]", DisableFlagsInUseLine: true, Short: "Print the version",
		Args: checkArgs(cobra.NoArgs, "it takes none"),
		RunE: func(*cobra.Command, []string) error {
			switch format {
			case "text":
				_, err := fmt.Fprint(env.Stdout, describeVersion())
				return err
			case "json":
				return json.NewEncoder(env.Stdout).Encode(versionInfo{version(), runtime.Version(), runtime.GOOS, runtime.GOARCH})
			}
			return usageErrorf("--format %q is not known: it is one of text json", format)
		},
	}
	group(cmd.Flags(), "Options", func() { cmd.Flags().StringVar(&format, "format", "text", "`F` text json [text]") })
	return cmd
}

// describeVersion is what --version and version print.
func describeVersion() string {
	return fmt.Sprintf("rollcall %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
