#!/bin/sh
# npm's `prepare`: what is left to do once the packages are there.
set -eu
cd "$(dirname "$0")/.."

# npm 10 unlinks node again: the package for the other architecture claims the same name, and goes with all it claims.
if [ ! -e node_modules/.bin/node ]; then
  for node in node_modules/node-linux-*/bin/node; do
    if [ -x "$node" ]; then
      mkdir -p node_modules/.bin
      ln -sf "../${node#node_modules/}" node_modules/.bin/node
    fi
  done
fi

exec node scripts/compile-kernels.mjs
