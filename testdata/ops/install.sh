#!/usr/bin/env bash
# Installs what make ops runs, where it is missing: PostgreSQL, promtool, systemd-analyze, shellcheck and Python.
# It needs Debian or Ubuntu, and root or sudo.
set -euo pipefail
missing=()
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
command -v promtool >/dev/null || missing+=(prometheus)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v shellcheck >/dev/null || missing+=(shellcheck)
command -v python3 >/dev/null || missing+=(python3)
[ ${#missing[@]} -gt 0 ] || exit 0
fail() {
	echo "make ops needs ${missing[*]}, and it could not be installed: $1" >&2
	echo "install it yourself, and run it again" >&2
	exit 1
}
command -v apt-get >/dev/null || fail "there is no apt-get here"
root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || fail "neither root nor sudo"
	root=(sudo -n)
fi
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get update -qq || fail "apt-get update failed"
"${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" || fail "apt-get install failed"
