#!/bin/sh
# Installs what the lockfile names, once: `npm run lab` and `npm test` are the only commands a fresh clone needs.
# A stamp beside the installed tree says which lockfile it came from, so that a pull with new dependencies installs again.
set -eu
cd "$(dirname "$0")/.."
stamp=node_modules/.warren-lock
if [ -f src/packet/kernels/kernels.wasm ] && cmp -s package-lock.json "$stamp"; then exit 0; fi
echo "warren: installing the packages named in package-lock.json (once)" >&2
npm ci --no-audit --no-fund --loglevel=error >&2
cp package-lock.json "$stamp"
