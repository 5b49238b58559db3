package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
	"github.com/rollcall-cli/rollcall/pipeline/local"
)

func serveCommand(env *env, con *console) *cobra.Command {
	var configs, semanticsName, listen, fail string
	var latency time.Duration
	var limit float64
	var cohorts cohortOptions
	var common commonOptions
	cmd := &cobra.Command{
		Use: "serve --flag-configs FILE [options]", DisableFlagsInUseLine: true,
		Short: "A stand-in for Amplitude on this machine, for tests",
		Long: `serve stands in for Amplitude: it answers the Evaluation API and Amplitude's
clients (/v1/vardata, /sdk/v2/vardata, /v1/flags, /sdk/v2/flags) from a file of
flag configurations, and tracks nothing. It accepts any key, or only the one in
` + keyVariable + ` where that is set. When the file is edited, the next
answer is from the new flags.

With --cohorts or --cohort it knows in which cohorts users are, and answers
/sdk/v1/cohort/ID to clients that sync them, with any project keys, or only
those in AMPLITUDE_API_KEY and AMPLITUDE_SECRET_KEY. It reads these files when
it starts.

--fail makes it misbehave: a list of FAULT:SHARE, where a fault is an HTTP
status or one of reset truncate html slow hang null empty redirect trailing.`,
		Example: `  rollcall serve --flag-configs testdata/flags.json
  rollcall serve --flag-configs flags.json --latency 50ms --limit 100
  rollcall serve --flag-configs flags.json --fail 503:0.05,reset:0.01`,
		Args: checkArgs(cobra.NoArgs, "flag configurations are named with --flag-configs"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := common.start(cmd, env, con); err != nil {
				return err
			}
			if configs == "" {
				return pipeline.WithHint(usageErrorf("serve needs --flag-configs FILE"),
					"`rollcall flags --save FILE` downloads them")
			}
			if configs == "fetch" {
				return pipeline.WithHint(usageErrorf("serve does not fetch flag configurations"),
					"`rollcall flags --save flags.json` downloads them; then --flag-configs flags.json")
			}
			if latency < 0 || limit < 0 {
				return usageErrorf("--latency and --limit cannot be negative")
			}
			if !(limit <= maxRate) { // or NaN
				return usageErrorf("--limit cannot be %g: it is at most %d", limit, maxRate)
			}
			semantics, err := parseSemantics(semanticsName)
			if err != nil {
				return err
			}
			faults, err := evalserver.ParseFaults(fail)
			if err != nil {
				return wrapUsage("--fail", err)
			}
			api := &liveServer{path: configs, con: con, often: rate.NewLimiter(1000, 100), parse: func() (*engine.Engine, error) {
				data, err := readFlagConfigs(env.Soft, env.Stores, configs)
				if err != nil {
					return nil, err
				}
				return parseFlagConfigs(configs, data, nil, semantics, false, con)
			}}
			api.seen, _ = os.Stat(configs) // before it is read, so that an edit in between is seen
			eng, err := api.parse()
			if err != nil {
				return err
			}
			set, err := cohorts.load(env)
			if err != nil {
				return err
			}
			config := evalserver.Config{Latency: latency, Limit: limit, Faults: faults}
			config.Key, _ = env.LookupEnv(keyVariable)
			apiKey, _ := env.LookupEnv("AMPLITUDE_API_KEY")
			secretKey, _ := env.LookupEnv("AMPLITUDE_SECRET_KEY")
			if apiKey != "" && secretKey != "" {
				config.CohortKey = apiKey + ":" + secretKey
			}
			if cohorts.given() {
				served, err := serveCohorts(env, set)
				if err != nil {
					return err
				}
				config.Cohort = func(id string) *evalserver.Cohort { return served[id] }
				members := local.AllCohorts(set) // the flags may be edited
				config.AddCohorts = func(u *pipeline.User) { *u = *members.Tell(u, &local.Scratch{}) }
			} else {
				warnOfCohorts(eng, con)
			}
			api.Server = evalserver.New(eng, config)
			server, err := evalserver.Start(listen, api)
			if err != nil {
				return explainListen(listen, err)
			}
			defer func() { _ = server.Close() }()
			what := text.Count(int64(len(eng.Flags())), "flag")
			if n := len(set.All()); n > 0 {
				what += " and " + text.Count(int64(n), "cohort")
			}
			con.Log.Info(fmt.Sprintf("serving %s on %s; end with Ctrl-C", what, server.URL()))
			<-env.Soft.Done()
			if err := server.Close(); err != nil {
				return err
			}
			return context.Cause(env.Soft)
		},
	}
	options := cmd.Flags()
	group(options, "Options", func() {
		options.StringVar(&configs, "flag-configs", "", "`FILE` flag configurations, as /v1/flags answers them")
		defineSemantics(options, &semanticsName)
		options.StringVar(&listen, "listen", "127.0.0.1:8787", "`ADDR` where to listen [127.0.0.1:8787]")
		options.DurationVar(&latency, "latency", 0, "`TIME` how long an answer takes")
		options.Float64Var(&limit, "limit", 0, "`N` answer 429 to more requests a second")
		options.StringVar(&fail, "fail", "", "`FAULT:SHARE,..` make that share of the requests fail")
		cohorts.define(options)
		common.define(options)
	})
	return cmd
}

// warnOfCohorts names the flags that look at cohorts, where none are given.
func warnOfCohorts(eng *engine.Engine, con *console) {
	var flags []string
	for _, u := range eng.Unknowable(nil) {
		if u.Cohorts {
			flags = append(flags, u.Flag)
		}
	}
	if len(flags) > 0 {
		con.Warn("flags look at cohorts, and users are only in those that a request names: "+text.List(flags, 5),
			"--cohorts DIR or --cohort NAME=FILE gives the members", about{code: warnCohortsOfRequest, subjects: flags})
	}
}

// explainListen says what to do about an address that cannot be listened on.
func explainListen(addr string, err error) error {
	if _, _, bad := net.SplitHostPort(addr); bad != nil {
		return pipeline.WithHint(wrapUsage("--listen", err), "it is HOST:PORT, such as 127.0.0.1:8787")
	}
	return pipeline.WithHint(err, "--listen 127.0.0.1:0 takes any free port")
}

// liveServer is a server that reads its flag configurations again when their file has changed, before it answers the
// next request. If the file is not valid, for example because it is being written, the server keeps the flags it has.
type liveServer struct {
	*evalserver.Server
	path  string
	parse func() (*engine.Engine, error)
	con   *console

	// often limits how often the file is looked at for answers about users: looking takes a tenth of the time of an
	// answer. A thousand times a second, no edit is missed for longer than a millisecond.
	often *rate.Limiter

	mu   sync.Mutex
	seen os.FileInfo // of the file when it was last read; nil: it could not be looked at
}

func (l *liveServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/flags") || l.often.Allow() {
		l.reload()
	}
	l.Server.ServeHTTP(w, r)
}

// reload reads the file if it has changed. Only regular files are: a pipe gives its content once.
func (l *liveServer) reload() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, err := os.Stat(l.path)
	if err != nil || !now.Mode().IsRegular() || l.seen != nil && os.SameFile(l.seen, now) &&
		now.Size() == l.seen.Size() && now.ModTime().Equal(l.seen.ModTime()) {
		return
	}
	l.seen = now
	eng, err := l.parse()
	if err != nil {
		l.con.Warn(err.Error(), "the flags before the change are still served", about{code: warnReload})
		return
	}
	l.SetEngine(eng)
	l.con.Log.Info(fmt.Sprintf("%s has changed: serving %s", text.Clean(l.path), text.Count(int64(len(eng.Flags())), "flag")))
}
