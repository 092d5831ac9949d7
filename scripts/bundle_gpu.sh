#!/usr/bin/env bash
# Set up (once), then pack a bundle that checks and measures compiled models on a machine with an NVIDIA GPU: one file below 60 MB. Arguments
# go to scripts/bundling/make.py; see --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${VENV:-$root/.venv}
"$root/scripts/setup_env" "$venv"
exec "$venv/bin/python" "$root/scripts/bundling/make.py" "$@"
