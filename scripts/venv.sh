#!/bin/sh
# Makes the virtual environment if it is absent, and installs this checkout into it: venv.sh PYTHON VENV WHAT
set -eu
python=$1 venv=$2 what=$3

fail() {
    echo "make: $*" >&2
    exit 2
}

command -v "$python" >/dev/null 2>&1 || fail "there is no $python. Install Python 3.11 or newer, or name yours: make ... PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is $("$python" -V 2>&1), and Farandole needs 3.11 or newer. Name another: make ... PYTHON=python3.12"
"$python" -c 'import ensurepip' 2>/dev/null ||
    fail "$python cannot make virtual environments. On Debian: apt-get install python3-venv"

# An environment of another Python, or one whose Python is gone, is made anew.
want=$("$python" -c 'import sys; print(sys.version_info[:2])')
have=$("$venv/bin/python" -c 'import sys; print(sys.version_info[:2])' 2>/dev/null || true)
[ "$want" = "$have" ] || { rm -rf "$venv" && "$python" -m venv "$venv"; }

echo "installing $what into $venv ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable "$what"
