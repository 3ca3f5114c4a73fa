# Shared by scripts/quickstart and scripts/test: checks Node, installs and builds when needed. Sourced, not run.

require_node() {
  if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    echo "Node.js 20 or later and npm are needed: https://nodejs.org" >&2
    exit 69
  fi
  local major
  major="$(node -p 'process.versions.node.split(".")[0]')"
  if [ "$major" -lt 20 ]; then
    echo "Node.js 20 or later is needed; this is $(node --version)" >&2
    exit 69
  fi
}

# Installs exactly what package-lock.json says, unless that has been done already.
prepare_dependencies() {
  require_node
  local stamp=node_modules/.package-lock.json
  if [ -f "$stamp" ] && [ ! package-lock.json -nt "$stamp" ] && [ -x node_modules/.bin/tsc ]; then
    return
  fi
  # Files of a fresh clone may look newer than an installation that fits: let npm itself judge before reinstalling.
  if [ -x node_modules/.bin/tsc ] && npm ls --all >/dev/null 2>&1; then
    touch "$stamp"
    return
  fi
  echo "installing dependencies (npm ci) ..." >&2
  # The lock file may lack optional packages of platforms that its registry did not offer; npm ci refuses then, and
  # npm install keeps to the versions that are locked and adds what this platform needs.
  npm ci --no-audit --no-fund --loglevel=silent </dev/null ||
    npm install --no-save --no-audit --no-fund --loglevel=error </dev/null
}

prepare_build() {
  echo "building ..." >&2
  npm run --silent build </dev/null
}
