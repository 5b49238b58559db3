// Package ops tests what surrounds a run in production with the programs that are there: `make ops` installs them and
// runs it. Its files have the build tag ops.
//
//   - load_test.go starts PostgreSQL, which runs what `rollcall load --for postgres` prints.
//   - metrics_test.go has promtool check what --metrics writes, and the alerts on it (testdata/recipes/prometheus).
//   - recipes_test.go parses every command line of testdata/recipes, and runs what the tests of each recipe run.
//   - airflow_test.go compiles the DAG, and runs the commands of its tasks.
//   - github_test.go has actionlint read the workflow, and runs its steps.
//   - kubernetes_test.go checks the manifests with the code of Kubernetes' API server (tools/kubecheck), and runs the
//     container's command as a pod does.
//   - sigterm_test.go ends the command as container platforms do.
//   - systemd_test.go has systemd-analyze check the units, and runs the service's command.
package ops
