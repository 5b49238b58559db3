#!/usr/bin/env bash
# Installs Chromium and a font for make browser, where there is none. It needs Debian or Ubuntu, and root or sudo.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
	if command -v "$name" >/dev/null; then exit 0; fi
done
fail() {
	echo "make browser needs Chromium, and it could not be installed: $1" >&2
	echo "install chromium and a font (fonts-dejavu-core) yourself, and run it again" >&2
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
"${root[@]}" apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core || fail "apt-get install failed"
command -v chromium >/dev/null || fail "the package has no command chromium"
