#!/usr/bin/env bash
# Installs what make release-dry reads packages with, where it is missing: rpm. It needs Debian or Ubuntu, and root or
# sudo.
set -euo pipefail
command -v rpm >/dev/null && exit 0
fail() {
	echo "make release-dry needs rpm, and it could not be installed: $1" >&2
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
"${root[@]}" apt-get install -y -qq --no-install-recommends rpm || fail "apt-get install failed"
