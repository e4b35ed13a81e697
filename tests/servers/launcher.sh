# How a program of unpacked packages is started. Sourced by fetch and fetch-anchors.

# $1: folder, $2: name, $3...: the command line, in which "$root" is the folder of the unpacked packages.
write_launcher() {
    mkdir -p "$1/bin"
    printf '#!/bin/sh\nroot=$(cd "${0%%/*}/../root" && pwd -P)\nexec %s "$@"\n' "${*:3}" >"$1/bin/$2"
    chmod 755 "$1/bin/$2"
}
