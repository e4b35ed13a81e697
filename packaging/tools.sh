# What packaging/build and packaging/check work with, in target/tools: cargo-deb, and a small Debian with lintian in a folder.
# Nothing is installed on the machine. Sourced by both, in the project's folder.

# shellcheck source=../tests/servers/debian.sh
source tests/servers/debian.sh

tools=$PWD/target/tools
cargo_deb_version=3.8.0
suite=bookworm
root=$tools/$suite
# Beside what is needed to install the package: what looks at it, and the shells that its completions are for.
root_packages=(adduser bash-completion fish lintian man-db sqlite3 systemd zsh)

die() {
    printf 'packaging/%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Runs a command, and shows what it prints only if it fails.
quietly() {
    local log=$tools/log
    "$@" >"$log" 2>&1 && return
    printf '\n%s failed; the end of what it printed:\n' "$1" >&2
    tail -n 25 "$log" >&2
    return 1
}

fetch_cargo_deb() {
    [[ $("$tools/bin/cargo-deb" --version 2>/dev/null) == *" $cargo_deb_version" ]] && return
    echo "cargo-deb $cargo_deb_version into target/tools"
    # Without its default features it leaves the compression to the xz of the machine.
    quietly env -u CARGO_TARGET_DIR cargo install --root "$tools" --locked --no-default-features --version "=$cargo_deb_version" cargo-deb
}

# The Debian in a folder, made once by debootstrap. It has to be root's: it has devices and files of many accounts.
fetch_root() {
    local recipe="$suite ${root_packages[*]}"
    [[ $(cat "$root/complete" 2>/dev/null) == "$recipe" ]] && return
    ((EUID == 0)) || die "a Debian to try the package in is made with debootstrap, which only root can: run it as root, or in a container"
    echo "Debian $suite into target/tools"
    # In namespaces of its own: what debootstrap mounts and starts ends with it.
    export -f make_root apt_state apt_update apt_in mirror keyring
    quietly unshare --mount --pid --fork --kill-child bash -euo pipefail -c 'make_root "$@"' make_root "$suite" "$root" "${root_packages[@]}"
    echo "$recipe" >"$root/complete"
}

# $1: suite, $2: folder, $3...: packages
make_root() {
    local suite=$1 folder=$2 apt=$2.apt address keys
    mount -t proc proc /proc
    address=${ROSTERD_DEBIAN_MIRROR:-$(mirror)}
    keys=$(keyring)
    rm -rf "$folder" "$apt"
    apt_state "$apt" "$suite"
    apt_update "$apt" "$suite"
    (cd "$apt" && apt_in "$apt" download debootstrap)
    dpkg-deb -x "$apt"/debootstrap_*.deb "$apt/debootstrap"
    DEBOOTSTRAP_DIR=$apt/debootstrap/usr/share/debootstrap "$apt/debootstrap/usr/sbin/debootstrap" \
        --variant=minbase --keyring="$keys" "$suite" "$folder" "$address"
    # No service is started in it, and nothing is written through to the disk.
    printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d"
    chmod 755 "$folder/usr/sbin/policy-rc.d"
    echo force-unsafe-io >"$folder/etc/dpkg/dpkg.cfg.d/unsafe-io"
    DEBIAN_FRONTEND=noninteractive chroot "$folder" apt-get --quiet --yes --no-install-recommends install "${@:3}"
    chroot "$folder" apt-get clean
    rm -rf "$apt"
}
