package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
	"github.com/rollcall-cli/rollcall/pipeline/local"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// serverOptions say whose API is asked, and with which key.
type serverOptions struct {
	server          string
	flagConfigs     string
	flagMode        string
	semantics       string // see defineSemantics
	skipUnsupported bool
	flagParam       string
	keyFile         string
	allowHTTP       bool
	allowTracking   bool
	strict          bool
	timeout         time.Duration

	cohorts *cohort.Set // of the embedded server

	configs []byte           // see readConfigs
	stores  *blob.Stores     // where they may be
	dialed  amplitude.Config // of the last client, for others that ask the same server; see dial
}

const keyVariable = "AMPLITUDE_DEPLOYMENT_KEY"

func (o *serverOptions) define(options *pflag.FlagSet) {
	options.StringVar(&o.server, "server", "us", "`us|eu|URL` or embedded: whose API [us]")
	options.StringVar(&o.flagConfigs, "flag-configs", "", "`FILE` flag configurations, or fetch; for local and embedded")
	o.defineFlagMode(options, "local")
	options.BoolVar(&o.skipUnsupported, "skip-unsupported", false, "leave flags whose regex cannot run here unanswered")
	options.StringVar(&o.flagParam, "flag-param", "flag_keys",
		"`NAME` flag_keys, or flag_key for an older API [flag_keys]")
	o.defineConnection(options)
}

// defineFetch adds the options of a command that can fetch flag configurations, and asks nothing else.
func (o *serverOptions) defineFetch(options *pflag.FlagSet) {
	o.flagParam = "flag_keys"
	options.StringVar(&o.server, "server", "us", "`us|eu|URL` where fetch asks [us]")
	o.defineFlagMode(options, "all")
	o.defineConnection(options)
}

func (o *serverOptions) defineFlagMode(options *pflag.FlagSet, mode string) {
	options.StringVar(&o.flagMode, "flag-mode", mode, "`local|all` fetch: all has flags of remote mode, too ["+mode+"]")
}

func (o *serverOptions) defineConnection(options *pflag.FlagSet) {
	options.StringVar(&o.keyFile, "key-file", "", "`FILE` with the key [$"+keyVariable+"]")
	options.DurationVar(&o.timeout, "timeout", 15*time.Second, "`TIME` for one attempt [15s]")
	options.BoolVar(&o.allowHTTP, "allow-http", false, "plain http to another machine: all can read the key")
}

func (o *serverOptions) embedded() bool { return o.server == "embedded" }

// check finds what is wrong without opening or asking anything.
func (o *serverOptions) check(local bool) error {
	if o.flagParam != "flag_keys" && o.flagParam != "flag_key" {
		return usageErrorf("--flag-param %q is not known: it is flag_keys or flag_key", o.flagParam)
	}
	if err := o.checkFlagMode(); err != nil {
		return err
	}
	if semantics, err := parseSemantics(o.semantics); err != nil {
		return err
	} else if semantics != engine.Hosted && !local && !o.embedded() {
		return pipeline.WithHint(usageErrorf("--semantics %s is for --evaluator local and --server embedded; %s has its own",
			semantics, text.Clean(o.server)), "add --evaluator local to evaluate on this machine, or leave --semantics out")
	}
	if local && o.flagConfigs == "" {
		return pipeline.WithHint(usageErrorf("--evaluator local needs --flag-configs"),
			"a FILE of flag configurations, or fetch, which downloads them")
	}
	if !o.embedded() {
		if o.flagConfigs != "" && !local {
			return pipeline.WithHint(usageErrorf("--flag-configs is for --evaluator local and --server embedded; %s has its own",
				text.Clean(o.server)),
				"add --evaluator local to evaluate on this machine, or leave --flag-configs out")
		}
		_, err := amplitude.BaseURL(o.server, o.allowHTTP)
		if err != nil {
			return &exitError{err, exitUsage}
		}
		return nil
	}
	switch o.flagConfigs {
	case "":
		return pipeline.WithHint(usageErrorf("--server embedded needs --flag-configs FILE"),
			"`rollcall flags --save FILE` downloads them")
	case "fetch":
		return pipeline.WithHint(usageErrorf("--flag-configs fetch has nowhere to fetch from: the embedded server has no "+
			"other flags"),
			"`rollcall flags --save flags.json` downloads them; then --flag-configs flags.json")
	}
	return nil
}

func (o *serverOptions) checkFlagMode() error {
	switch {
	case o.flagMode != "local" && o.flagMode != "all":
		return usageErrorf("--flag-mode %q is not known: it is local or all", o.flagMode)
	case o.flagMode == "all" && o.flagConfigs != "fetch":
		return pipeline.WithHint(usageErrorf("--flag-mode all is for --flag-configs fetch"),
			"a file has the flags that it has, and a server evaluates its own")
	}
	return nil
}

// key reads the deployment key, and says where it came from.
func (o *serverOptions) key(env *env, con *console) (amplitude.Key, string, error) {
	return readKey(env, con, "key", "key-file", o.keyFile, keyVariable, "deployment key",
		"(Amplitude: Experiment > Deployments; `--server embedded` needs none)")
}

// readKey reads a key from the file that an option names, or else from a variable, and says where it came from. It is
// never an argument, where every user of the machine could read it.
func readKey(env *env, con *console, what, option, file, variable, name, where string) (amplitude.Key, string, error) {
	if file == "" {
		value, _ := env.LookupEnv(variable)
		if value == "" {
			return amplitude.Key{}, "", pipeline.WithHint(&exitError{errors.New("no " + name), exitUsage},
				"set "+variable+", or name a file that only you can read with --"+option+"\n"+where)
		}
		key, err := amplitude.NewKey(value)
		return key, variable, wrapUsage("the "+what+" in "+variable, err)
	}
	path := keyPath(env, file)
	f, err := openFile(env.Soft, path)
	if err != nil {
		return amplitude.Key{}, "", usageErrorf("read --%s: %w", option, err)
	}
	defer f.Close() //nolint:errcheck // only read
	if err := checkKeyFile(env, con, f, option); err != nil {
		return amplitude.Key{}, "", err
	}
	content, err := await(env.Soft, func() ([]byte, error) { return readMost(f, path, maxKeyBytes) })
	if err != nil {
		return amplitude.Key{}, "", usageErrorf("read --%s %s: %w", option, text.Clean(path), err)
	}
	key, err := amplitude.NewKey(string(content))
	return key, "--" + option + " " + text.Clean(path), wrapUsage("the "+what+" in "+text.Clean(path), err)
}

// wrapUsage makes a usage error of err; nil stays nil.
func wrapUsage(what string, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{fmt.Errorf("%s: %w", what, err), exitUsage}
}

// connection is a client and what it needs while it is used.
type connection struct {
	*amplitude.Client
	key    amplitude.Key
	base   string              // the base URL
	server *evalserver.Running // embedded; nil: elsewhere
	eng    *engine.Engine      // of the embedded server
}

// Close ends the client and the embedded server.
func (c *connection) Close() {
	c.Client.Close()
	if c.server != nil {
		_ = c.server.Close() // it has answered all it was asked
	}
}

// dial makes the client of the API that the options name. For embedded it starts the server first.
func (o *serverOptions) dial(env *env, con *console, config amplitude.Config) (*connection, error) {
	config.FlagParam, config.Timeout, config.Logger = o.flagParam, o.timeout, con.Log
	config.UserAgent, config.Now, config.PreflightTime = "rollcall/"+version(), clock, env.PreflightTime
	c := &connection{}
	var err error
	if o.embedded() {
		if config.Key, err = amplitude.NewKey("embedded"); err != nil {
			return nil, err
		}
		if c.server, c.eng, err = o.startEmbedded(env.Soft, config.FlagKeys, con); err != nil {
			return nil, err
		}
		config.BaseURL, config.KeySource = c.server.URL(), "the embedded server"
	} else {
		if config.BaseURL, err = amplitude.BaseURL(o.server, o.allowHTTP); err != nil {
			return nil, err
		}
		if config.Key, config.KeySource, err = o.key(env, con); err != nil {
			return nil, err
		}
	}
	c.key, c.base, o.dialed = config.Key, config.BaseURL, config
	if c.Client, err = amplitude.New(config); err != nil && c.server != nil {
		err = errors.Join(err, c.server.Close())
	}
	return c, err
}

// redial is dial for a second client of the same API: the key is not read again, which a pipe gives once.
func (o *serverOptions) redial(env *env, con *console, config amplitude.Config) (*connection, error) {
	first := o.dialed
	if first.BaseURL == "" {
		return o.dial(env, con, config)
	}
	config.BaseURL, config.Key, config.KeySource = first.BaseURL, first.Key, first.KeySource
	config.FlagParam, config.Timeout, config.Logger = first.FlagParam, first.Timeout, first.Logger
	config.UserAgent, config.Now, config.PreflightTime = first.UserAgent, first.Now, first.PreflightTime
	c := &connection{key: config.Key, base: config.BaseURL}
	var err error
	c.Client, err = amplitude.New(config)
	return c, err
}

// startEmbedded starts the Evaluation API in this process. flags are those asked for; one that has no
// configuration is an error.
func (o *serverOptions) startEmbedded(ctx context.Context, flags []string, con *console) (*evalserver.Running,
	*engine.Engine, error) {
	data, err := o.readConfigs(ctx)
	if err != nil {
		return nil, nil, err
	}
	eng, err := o.parseFlagConfigs(o.flagConfigs, data, flags, con)
	if err != nil {
		return nil, nil, err
	}
	members := local.NewMembership(o.cohorts, eng.Cohorts(nil))
	server, err := evalserver.Start("127.0.0.1:0", evalserver.New(eng, evalserver.Config{
		AddCohorts: func(u *pipeline.User) { *u = *members.Tell(u, &local.Scratch{}) },
	}))
	return server, eng, err
}

// loadConfigs reads, or downloads, flag configurations, for a command that does nothing without them. from is their name.
func (o *serverOptions) loadConfigs(env *env, con *console) (from string, data []byte, err error) {
	if o.flagConfigs != "fetch" {
		data, err = readFlagConfigs(env.Soft, env.Stores, o.flagConfigs)
		return o.flagConfigs, data, err
	}
	f, err := o.fetchFlags(env.Soft, env, con, time.Minute)
	if err != nil {
		return "", nil, err
	}
	return f.name, f.Data, nil
}

// parseFlagConfigs compiles flag configurations as the options say.
func (o *serverOptions) parseFlagConfigs(from string, data []byte, flags []string, con *console) (*engine.Engine, error) {
	semantics, err := parseSemantics(o.semantics)
	if err != nil {
		return nil, err
	}
	return parseFlagConfigs(from, data, flags, semantics, o.skipUnsupported, con)
}

// readConfigs reads the file of flag configurations, the first time that it is called: a pipe gives them once.
func (o *serverOptions) readConfigs(ctx context.Context) ([]byte, error) {
	if o.configs == nil {
		data, err := readFlagConfigs(ctx, o.stores, o.flagConfigs)
		if err != nil {
			return nil, err
		}
		o.configs = data
	}
	return o.configs, nil
}

// parseFlagConfigs compiles flag configurations that come from a file or a server, and warns of what is odd about them.
// A flag that is asked for and has none is an error.
func parseFlagConfigs(from string, data []byte, flags []string, semantics engine.Semantics, skipUnsupported bool,
	con *console) (*engine.Engine, error) {
	parse := engine.Parse
	if skipUnsupported {
		parse = engine.ParseLenient
	}
	eng, err := parse(data, semantics)
	if _, ok := errors.AsType[*engine.RegexError](err); ok {
		err = pipeline.WithHint(err, "ask the API about this flag (--evaluator remote), or leave it unanswered with "+
			"--skip-unsupported")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text.Clean(from), err)
	}
	warnOfConfigs(from, eng, con)
	var unanswered []string
	for _, u := range eng.Unanswered() {
		unanswered = append(unanswered, u.Flag)
	}
	if len(unanswered) > 0 {
		con.Warn("flags that are left unanswered: "+text.List(unanswered, 10),
			"they, or what they depend on, have regular expressions that cannot run here; the API may assign them",
			about{code: warnUnanswered, subjects: unanswered})
	}
	var known []string
	for _, f := range eng.Flags() {
		known = append(known, f.Key)
	}
	return eng, checkKnown(flags, known, from)
}

// warnOfConfigs says what Amplitude's engine ignores without a word, and ours with it.
func warnOfConfigs(from string, eng *engine.Engine, con *console) {
	var problems []string
	for _, w := range eng.Warnings() {
		problems = append(problems, w.Error())
	}
	if len(problems) > 0 {
		con.Warn(text.Clean(from)+": "+text.List(problems, 3), "Amplitude ignores such parts, and so does rollcall",
			about{code: warnConfigProblems, subjects: problems})
	}
}

// fetched is flag configurations that were downloaded.
type fetched struct {
	amplitude.FlagConfigs
	name string // the URLs that they are from
}

// fetchFlags downloads the flag configurations of a deployment, and says from where. It waits that long for an API that
// is not there.
func (o *serverOptions) fetchFlags(ctx context.Context, env *env, con *console, maxOutage time.Duration) (*fetched,
	error) {
	c, err := o.dial(env, con, amplitude.Config{Rate: 100, Burst: 1, Concurrency: 1, MaxAttempts: 5, MaxOutage: maxOutage})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	f := &fetched{}
	f.FlagConfigs, err = c.FlagConfigs(ctx, amplitude.FlagConfigsRequest{RemoteMode: o.flagMode == "all"})
	if err != nil {
		return nil, err
	}
	for i, from := range f.From {
		f.name += []string{"", " and "}[min(i, 1)] + c.base + from
	}
	con.Log.Info("flag configurations are from " + text.Clean(f.name))
	switch f.RemoteMode {
	case amplitude.RemoteSame:
		con.Warn("--flag-mode all gave no more flags",
			"the server does not know eval_mode=remote, or there are no flags of remote evaluation mode",
			about{code: warnFlagMode})
	case amplitude.RemoteRefused:
		con.Warn("--flag-mode all: the server gives no flags of remote evaluation mode ("+text.Clean(f.Refused)+")",
			"the flags are those for local evaluation", about{code: warnFlagMode})
	}
	return f, nil
}

// source is what the manifest says of them.
func (f *fetched) source() *snapshot.FlagSource {
	return &snapshot.FlagSource{From: f.From, RemoteMode: string(f.RemoteMode)}
}
