#!/bin/sh
# Installs what the lockfile names, once: `npm run lab` and `npm test` are the only commands a fresh clone needs.
# A stamp inside the installed tree says which lockfile it came from. It is written last and npm deletes it first, so an
# installation that was interrupted, or that a pull has overtaken, is done again.
set -eu
cd "$(dirname "$0")/.."
stamp=node_modules/.warren-lock
kernels=src/packet/kernels

installed() { cmp -s package-lock.json "$stamp"; }
compiled() {
  [ -f "$kernels/kernels.wasm" ] &&
    [ -z "$(find scripts/compile-kernels.mjs "$kernels"/*.ts -newer "$kernels/kernels.wasm")" ]
}

if installed && compiled; then exit 0; fi

# Several may start at once: one installs, the others wait and find it done. The lock ends with the process.
exec 9<package-lock.json
if command -v flock >/dev/null; then flock 9; fi

if ! installed; then
  echo "warren: installing the packages named in package-lock.json (once)" >&2
  # By the npm that was called and its node: npm puts the pinned node first on the PATH, and this replaces it. What the
  # environment says to omit is needed here; where it switches scripts off, `prepare` is run below.
  case ${npm_execpath:-} in
    */npm-cli.js) set -- "$npm_node_execpath" "$npm_execpath" ;;
    *) set -- npm ;;
  esac
  "$@" ci --include=dev --include=optional --no-audit --no-fund --loglevel=error >&2 9<&-
  if [ ! -e node_modules/.bin/node ]; then sh scripts/prepare.sh 9<&-; fi
fi
if ! compiled; then sh scripts/prepare.sh 9<&-; fi
cp package-lock.json "$stamp"
