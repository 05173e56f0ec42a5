#!/bin/sh
# Makes the virtual environment FOLDER with the packages of LIST, or of libraries.txt, if it is not there, and prints its
# python.
# It is made once for a build folder; a run that ends early leaves nothing that the next one takes for whole.
set -eu
folder=$1
here=$(cd "$(dirname "$0")" && pwd)
list=${2:-$here/libraries.txt}
ready=$folder/ready-$(cksum <"$list" | cut -d ' ' -f 1)
mkdir -p "$folder"
exec 9>"$folder.lock"
flock 9
if [ ! -e "$ready" ]; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$list" >&2
    touch "$ready"
fi
echo "$folder/bin/python"
