#!/usr/bin/env bash
# wine.sh PACKAGE...: runs the tests of packages as Windows programs, under Wine. It installs Debian's wine64 and
# binutils-mingw-w64-x86-64 where they are missing; that needs root or sudo. CI does not run it.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Debian puts them outside of PATH.
wine=$(command -v wine64 || echo /usr/lib/wine/wine64)
missing=()
[ -x "$wine" ] || missing+=(wine64)
command -v x86_64-w64-mingw32-ld >/dev/null || missing+=(binutils-mingw-w64-x86-64)
if [ ${#missing[@]} -gt 0 ]; then
	root=()
	[ "$(id -u)" -eq 0 ] || root=(sudo -n)
	"${root[@]}" apt-get update -qq
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

work=$(mktemp -d)
export WINEPREFIX="$work/wine" WINEDEBUG=-all DISPLAY=
server=$(command -v wineserver || echo /usr/lib/wine/wineserver64)
trap '"$server" -k || true; "$server" -w || true; rm -rf "$work"' EXIT
"$wine" wineboot --init >/dev/null 2>&1

# Go takes its random numbers from a library that Wine has since version 9 only. This one passes the call on.
system32="$WINEPREFIX/drive_c/windows/system32"
if [ ! -e "$system32/bcryptprimitives.dll" ]; then
	printf 'LIBRARY bcryptprimitives.dll\nEXPORTS\nProcessPrng = ADVAPI32.SystemFunction036\n' >"$work/prng.def"
	x86_64-w64-mingw32-as -o "$work/empty.o" /dev/null
	x86_64-w64-mingw32-ld -shared -e 0 -o "$system32/bcryptprimitives.dll" "$work/empty.o" "$work/prng.def"
fi

# os.RemoveAll, with which tests clean up, asks for a way to delete that Wine lacks, and does not see that it does.
source=$(go env GOROOT)/src/internal/syscall/windows/at_windows.go
sed 's/^var TestDeleteatFallback bool/var TestDeleteatFallback = true/' "$source" >"$work/at_windows.go"
printf '{"Replace": {"%s": "%s"}}\n' "$source" "$work/at_windows.go" >"$work/overlay.json"

for package in "$@"; do
	GOOS=windows go test -overlay "$work/overlay.json" -c -o "$work/test.exe" "$package"
	(cd "$package" && "$wine" "$work/test.exe" -test.timeout 10m) && echo "ok $package, under $("$wine" --version)"
done
