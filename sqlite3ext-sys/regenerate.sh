#!/bin/sh
# Generates src/bindings.rs from SQLite's public headers.
#
#   usage: ./regenerate.sh DIR
#
# DIR holds sqlite3.h and sqlite3ext.h.
#
# The checked-in file came from SQLite 3.40.1 (sqlite3.h and sqlite3ext.h of
# Debian 12's libsqlite3-dev), with bindgen-cli 0.72.1 and libclang 18.1.1:
#
#   cargo install bindgen-cli --version 0.72.1 --locked
#
# bindgen looks for libclang in the usual places, or in $LIBCLANG_PATH. Set
# $BINDGEN to use a bindgen that is not on the PATH. rustfmt must be on the PATH.
# After a change of SQLite version, correct the version above and in src/lib.rs.

set -eu

bindgen_version=0.72.1
bindgen=${BINDGEN:-bindgen}

if [ $# -ne 1 ]; then
    echo "usage: $0 DIR   (DIR holds sqlite3.h and sqlite3ext.h)" >&2
    exit 2
fi
for header in sqlite3.h sqlite3ext.h; do
    if [ ! -f "$1/$header" ]; then
        echo "$0: no $header in $1" >&2
        exit 1
    fi
done
found=$("$bindgen" --version)
if [ "$found" != "bindgen $bindgen_version" ]; then
    echo "$0: want bindgen $bindgen_version, found: $found" >&2
    exit 1
fi

headers=$(CDPATH= cd -- "$1" && pwd)
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# sqlite3.h includes <stdarg.h>, and no other header, for va_list. The real type
# differs from one ABI to the next; this stub makes the output the same on all.
echo 'typedef void *va_list;' >"$work/stdarg.h"

"$bindgen" "$headers/sqlite3ext.h" \
    --allowlist-type 'sqlite3.*' \
    --allowlist-var 'SQLITE_.*' \
    --no-doc-comments \
    --no-layout-tests \
    --rust-target 1.70 \
    --rust-edition 2021 \
    --output "$work/bindings.rs" \
    -- -I "$work" -I "$headers"

mv "$work/bindings.rs" "$here/src/bindings.rs"

version=$(sed -n 's/^#define SQLITE_VERSION  *"\(.*\)"$/\1/p' "$headers/sqlite3.h")
echo "src/bindings.rs: generated from SQLite $version"
