# Sourced by the scripts beside it: makes .venv and installs Lesto into it, editable, with the dev extra.
# Reuses what is there while pyproject.toml and the interpreter are unchanged. Override with LESTO_VENV and LESTO_PYTHON.

lesto_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
lesto_venv="${LESTO_VENV:-$lesto_root/.venv}"

lesto_find_python() {
    local candidate
    for candidate in ${LESTO_PYTHON:-} python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "error: Lesto needs Python 3.11 or newer; none found on PATH. Install one, or set LESTO_PYTHON=/path/to/python3." >&2
    return 1
}

lesto_setup_venv() {
    local python stamp want
    stamp="$lesto_venv/.lesto-installed"
    # One set-up at a time: two scripts started together must not install into one another's half-made venv.
    mkdir -p "$(dirname "$lesto_venv")"
    exec 9>"$lesto_venv.lock"
    if command -v flock >/dev/null; then flock 9; fi
    if [ ! -x "$lesto_venv/bin/python" ]; then
        python="$(lesto_find_python)" || return 1
        echo "--- creating $lesto_venv with $python"
        rm -rf "$lesto_venv"
        "$python" -m venv "$lesto_venv" || return 1
    fi
    want="$({ cat "$lesto_root/pyproject.toml"; "$lesto_venv/bin/python" -VV; echo "$lesto_root"; } | cksum)"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
        echo "--- installing lesto[dev] into $lesto_venv"
        "$lesto_venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$lesto_root[dev]" || return 1
        echo "--- compiling kernels (once; cached on disk)"
        "$lesto_venv/bin/python" -P -c "from lesto.kernels import warm; warm()" || return 1
        echo "$want" >"$stamp"
    fi
    exec 9>&-
    export PATH="$lesto_venv/bin:$PATH" VIRTUAL_ENV="$lesto_venv"
    unset PYTHONPATH PYTHONHOME
}

lesto_setup_venv || exit 1
