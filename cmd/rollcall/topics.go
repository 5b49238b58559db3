package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// topics are the help topics: what several commands have in common. Each is a command without a run.
func topics() []*cobra.Command {
	return []*cobra.Command{{
		Use: "exit-codes", Short: "What each exit code means",
		Long: `0    All users were answered, or as many as --max-errors asks. report, check,
     diff and verify: everything holds.
1    Failed; nothing was published.
3    Published, but some users failed, and no --max-errors said how many may.
     The error records say who and why.
4    A check does not hold, a difference is too large, or a file is not as it
     was written.
64   A mistake in the command line, a config file or a rules file.
75   Stopped by an outage, a full disk, another run of the same outputs, or an
     input that changed; nothing was published. Run the same command again: it
     goes on from there.
130  Interrupted by Ctrl-C, and 143 by SIGTERM, as container platforms send it:
     nobody more is asked, and requests in flight have --grace to end. The same
     command goes on from there.
141  Standard output was closed before all was written to it.

Whatever the code, an output file is complete or not there. On cron, run the
command again while it ends with 75; anything else but 0 needs a person.`,
	}, {
		Use: "environment", Short: "The environment variables that are read",
		Long: `AMPLITUDE_DEPLOYMENT_KEY  the deployment key; --key-file is safer. Never an
                          option: other users of the machine see command lines.
AMPLITUDE_API_KEY         the project's API key, and
AMPLITUDE_SECRET_KEY      its secret key, for --cohorts fetch
ROLLCALL_<OPTION>         the value of any option that is not given:
                          ROLLCALL_MAX_ERRORS is --max-errors
CREDENTIALS_DIRECTORY     where --key-file looks first for a name without a
                          directory, as systemd's LoadCredential= sets it
HTTPS_PROXY, HTTP_PROXY,  the proxy, as other programs take it
NO_PROXY
SSL_CERT_FILE,            the certificates to trust, in place of the system's
SSL_CERT_DIR
TMPDIR                    where a dry run copies an input that can be read once,
                          and where rows of many partitions are put in order
GOMEMLIMIT, GOGC,         of the Go runtime: the memory that the collector aims
GOMAXPROCS                at, how often it runs, and how many cores are used

An option on the command line comes first, then ROLLCALL_<OPTION>, then the
file of --config.`,
	}, {
		Use: "files", Short: "The files that a run writes, and their names",
		Long: `OUT                    the assignments, as --out names them
COL=VALUE/NAME-00000.EXT  beside it instead, with --partition-by; with
                       --rows-per-file alone NAME-00000.EXT and so on
NAME.errors.jsonl      the users that failed: row of the input, kind of failure and
                       its text; --errors names it. NAME is the first OUT without
                       its extension.
OUT.manifest.json      the record of the run, beside the first OUT: checksums,
                       counts, options, columns, warnings. It is published last:
                       where it is, all other files are complete.
OUT.flags.json         the flag configurations, where they were downloaded
OUT.cohorts/           the cohorts, where they were downloaded
NAME.crosscheck.jsonl  what --cross-check found

Hidden files beside the first OUT, which the end of the run removes:

.OUT.rollcall          the journal: the answers so far. The same command goes on
                       from it. It is locked while a run writes.
.OUT.rollcall.stdin    a copy of standard input, for the run that goes on
.OUT.rollcall-*.tmp    outputs that are not complete

With --work-dir DIR the first two are in DIR, as .OUT-HASH.rollcall, and beside
OUT is a lock alone. Runs find a journal by the same DIR only.

In a store they are objects, so that another machine can go on:

.OUT.rollcall-journal/ the journal, an object for every two seconds or 1 MiB
.OUT.rollcall-lease    who writes: host, process, since when. A run renews it
                       every 5 s. Another run that sees that ends with 75; if
                       nobody renews it for 15 s, it takes the outputs over.

Standard input is not kept there: a run that goes on is given it again, unless
it has --work-dir.

rollcall clean removes what runs have left that nobody resumed.

--manifest names the record of the run, and where it stands are then the other
files, too, but the assignments: so a query can read all of OUT's directory.
  --out 'a/dt={date}/part.parquet' --manifest 'a/{date}.manifest.json'
verify, report, check and diff find it beside OUT, or above directories like
dt=2026-11-28; otherwise name it. From it they find OUT in its directory or
below, wherever that is now, so all files of the run have to be there.
--latest FILE is a copy of the manifest that each run replaces at its end,
without --overwrite: rollcall report a/latest.json is about today's run.

The names of all these options can hold when the run began, in UTC:
{date} is 2026-11-28, {hour} is 05, and {run_id} is the run's id, which no other
run has. A run that goes on on another day has the names of when it began. With
--shard, {shard} is the shard's number: 00002 for --shard 3/24.
Directories from the first placeholder on are made:
  --out assignments/dt={date}/part.parquet
The journal stands before that: assignments/.dt={date}%2Fpart.parquet.rollcall,
and OUT.cohorts, too. Two runs of one such name keep each other off.`,
	}, {
		Use: "stores", Short: "Files in object stores, and where credentials come from",
		Long: `What is read can be in an object store: s3://BUCKET/KEY, gs://BUCKET/OBJECT,
az://CONTAINER/BLOB. That is INPUT of snapshot and explain; the outputs and
manifests that verify, report, check, diff and load read; rules files, --config,
--flag-configs, --flags-from, --cohorts, --cohort. Keys are never read from
there. serve reads a file that is there once, when it starts.

Globs of INPUT work as for files, and ** stands for any directories:
's3://b/users/**/*.parquet'.
A directory of Parquet files, or of others in partitions (country=DE/), is read
as one table.

The files of a manifest are looked for in its directory and below it. What it
names elsewhere has to be named, too: verify OUT s3://other/OUT.errors.jsonl.

--html and --missing of report, --html and --out of diff and flags --save can be
there, too, and so can the outputs of snapshot: --out, --errors, --summary, and
what goes beside them.
Each appears whole or not at all, the manifest last; it replaces nothing, or,
with --overwrite, only the version that was there when the run began. What is
written is uploaded in parts meanwhile, which nobody sees; of each output up to
24 MiB are in memory. A store that fails is like a full disk: exit 75, and the
same command goes on. Uploads of a run that has died are aborted by the next
one; a lifecycle rule (AbortIncompleteMultipartUpload) is for those that none
follows. Google and Azure discard them by themselves, after a week.

Nothing is downloaded to disk. Reads are ranged, and bound to the version that
the object had at first: if it is replaced meanwhile, the command ends with 75 and
publishes nothing. What fails for a moment (5xx, SlowDown, a broken connection)
is read again, six times at most; then the command ends with 75, too.

s3:// takes credentials from the first of these that has some:
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
  AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, as Kubernetes sets them on EKS
  the profile AWS_PROFILE of ~/.aws/config and ~/.aws/credentials: keys, SSO
    (after aws sso login), credential_process
  the container's role (ECS, EKS pod identity), the instance's role (EC2)
A profile that assumes a role by role_arn is not read; this makes it work:
  eval "$(aws configure export-credentials --format env)"
AWS_REGION is the region; without it, the bucket is asked.
AWS_ENDPOINT_URL, or AWS_ENDPOINT_URL_S3, is the server, where it is not
Amazon's: MinIO, Ceph, R2 and others.
Needed: s3:GetObject, and s3:ListBucket for globs and directories, and to tell
that an object is not there; s3:PutObject for what is written, and for outputs
s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads.

gs:// takes them from the first of these that is there:
  GOOGLE_APPLICATION_CREDENTIALS, a file: a service account's key, or workload
    identity federation
  gcloud auth application-default login
  the metadata server: GKE workload identity, Cloud Run, Compute Engine
STORAGE_EMULATOR_HOST is an emulator, which gets no credentials.
Needed: the role Storage Object Viewer, for outputs Storage Object User.

az:// takes them from the first of these that is set:
  AZURE_STORAGE_CONNECTION_STRING
  AZURE_STORAGE_ACCOUNT, the name of the account, with
    AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or else
    AZURE_TENANT_ID, AZURE_CLIENT_ID and a secret or certificate, AKS workload
    identity, the managed identity, az login, azd auth login
Needed: Storage Blob Data Reader, for outputs Storage Blob Data Contributor.`,
	}}
}

// helpCommand is the command help, which knows commands and topics.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND|TOPIC]", Short: "Help about a command or a topic", DisableFlagsInUseLine: true,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return commandNames(root), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return root.Help()
			}
			for _, cmd := range root.Commands() {
				if cmd.Name() == args[0] {
					return cmd.Help()
				}
			}
			return pipeline.WithHint(usageErrorf("unknown command or topic %q", args[0]),
				pipeline.Suggest(args[0], commandNames(root)))
		},
	}
}

func commandNames(root *cobra.Command) (names []string) {
	for _, cmd := range root.Commands() {
		names = append(names, cmd.Name())
	}
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "__") })
}
