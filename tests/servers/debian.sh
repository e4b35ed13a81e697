# MariaDB and MySQL from Debian suites other than the machine's own, promtool, and a browser. Sourced by fetch.
#
# Each suite has a private apt state with an empty package list, so that apt resolves the whole closure down to the C
# library; the packages are unpacked, not installed, and run under their own dynamic loader.

debian_folder() {
    echo "$cache/$1"
}

# $1: folder, $2: suite, $3: mariadb or mysql, $4: how its version has to begin
debian_fetch() {
    local folder=$1 suite=$2 family=$3 version=$4
    local apt=$folder/apt packages=("$family-server-core" "$family-client-core") found
    apt_state "$apt" "$suite" || return
    apt_update "$apt" "$suite" || return
    found=$(apt_in "$apt" show "$family-server-core" | sed -n 's/^Version: //p')
    [[ $found == "$version"* ]] || {
        echo "$suite has $family-server-core $found, not $version*: change tests/servers/fetch"
        return 1
    }
    apt_in "$apt" --yes --download-only install "${packages[@]}" || return
    if [[ $family == mariadb ]]; then
        # Authentication plugins such as ed25519 and parsec; its dependencies are for running it as a service.
        (cd "$apt/cache/archives" && apt_in "$apt" download mariadb-server) || return
    fi
    unpack "$apt/cache/archives" "$folder/root" || return
    rm -rf "$apt"
    "${family}_launchers" "$folder" || return
    "${family}_template" "$folder"
}

promtool_folder() {
    debian_folder "$1"
}

# $1: folder, $2: suite. The program is in Prometheus' own package, and needs nothing but the C library.
promtool_fetch() {
    local folder=$1 suite=$2 apt=$1/apt
    apt_state "$apt" "$suite" || return
    apt_update "$apt" "$suite" || return
    mkdir -p "$folder/bin" || return
    (cd "$apt/cache/archives" && apt_in "$apt" download prometheus) || return
    dpkg-deb --fsys-tarfile "$apt"/cache/archives/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$folder/bin/promtool" || return
    chmod 755 "$folder/bin/promtool" || return
    rm -rf "$apt"
}

chromium_folder() {
    debian_folder "$1"
}

# $1: folder, $2: suite, $3...: packages of npm, with their versions: what drives the browser and what examines a page in it.
#
# It starts more of itself and finds its files by its own path, which under another loader would be the loader's. So it runs
# under the machine's own, without the C library of its suite: the machine's has to be as new.
chromium_fetch() {
    local folder=$1 suite=$2 apt=$1/apt package name
    apt_state "$apt" "$suite" || return
    apt_update "$apt" "$suite" || return
    apt_in "$apt" --yes --download-only install chromium-headless-shell fonts-dejavu-core || return
    rm -f "$apt"/cache/archives/libc6_*.deb
    unpack "$apt/cache/archives" "$folder/root" || return
    rm -rf "$apt"
    for package in "${@:3}"; do
        name=${package%@*}
        (cd "$folder" && npm pack --silent "$package") || return
        mkdir -p "$folder/node_modules/$name"
        tar -xzf "$folder/$name"-*.tgz -C "$folder/node_modules/$name" --strip-components=1 || return
        rm -f "$folder/$name"-*.tgz
    done
    cat >"$folder/fonts.conf" <<'CONF'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir prefix="relative">root/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
CONF
    chromium_launcher "$folder" || return
    "$folder/bin/chromium" --version
}

chromium_launcher() {
    local program path
    program=$(cd "$1/root" && find usr/lib -name 'chromium-headless-shell' -o -name headless_shell | head -n 1)
    [[ -n $program ]] || {
        echo "the packages hold no headless browser" >&2
        return 1
    }
    path=$(library_path "$1/root" lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu/{nss,pulseaudio})
    write_launcher "$1" chromium "env LD_LIBRARY_PATH=\"$path\" FONTCONFIG_FILE=\"\$root/../fonts.conf\" \"\$root/$program\""
}

# The mirror that this machine uses, whichever it is. sources.list has "deb [options] uri suite", *.sources "URIs: uri".
mirror() {
    local found
    found=$(
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
            sed -nE -e 's/^deb +(\[[^]]*\] *)?([^ ]+) .*/\2/p' -e 's/^URIs: *([^ ]+).*/\1/p' |
            grep -E '/debian(\.list)?/?$' | head -n 1
    ) || true
    [[ -n $found ]] || {
        echo "no Debian mirror in /etc/apt/sources.list*: set ROSTERD_DEBIAN_MIRROR to the address of one" >&2
        return 1
    }
    echo "$found"
}

keyring() {
    local file
    for file in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        [[ -r $file ]] && echo "$file" && return
    done
    echo "the Debian archive's keys are missing: install the package debian-archive-keyring" >&2
    return 1
}

# $1: apt folder, $2: suite, $3: keyring (this machine's unless given)
apt_state() {
    local apt=$1 suite=$2 address keys=${3:-}
    [[ -n $keys ]] || keys=$(keyring) || return
    address=${ROSTERD_DEBIAN_MIRROR:-$(mirror)} || return
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    echo "deb [signed-by=$keys arch=amd64 target=Packages] $address $suite main" >"$apt/sources.list"
    # The hooks are cleared because they clean the machine's own cache.
    cat >"$apt/apt.conf" <<CONF
#clear APT::Update;
#clear DPkg::Post-Invoke;
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "true";
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Cache::archives "$apt/cache/archives";
CONF
}

# $1: apt folder, $2...: command
apt_in() {
    local apt=$1
    case $2 in
        show) apt-cache -c "$apt/apt.conf" show --no-all-versions "${@:3}" ;;
        *) apt-get -c "$apt/apt.conf" -q "${@:2}" ;;
    esac
}

# Debian's newest suites may be signed only by keys that this machine's release does not have yet. Then the keys come
# from the package of the newest stable release that it can verify.
apt_update() {
    local apt=$1 suite=$2
    apt_in "$apt" --error-on=any update && return
    echo "trying again with the keys of trixie's debian-archive-keyring"
    apt_state "$apt/keys" trixie || return
    apt_in "$apt/keys" --error-on=any update || return
    (cd "$apt" && apt_in "$apt/keys" download debian-archive-keyring) || return
    dpkg-deb -x "$apt"/debian-archive-keyring_*.deb "$apt/keys/root" || return
    apt_state "$apt" "$suite" "$(readlink -f "$apt/keys/root/usr/share/keyrings/debian-archive-keyring.gpg")" || return
    apt_in "$apt" --error-on=any update
}

# $1: folder of .deb files, $2: where to
unpack() {
    local deb
    mkdir -p "$2"
    for deb in "$1"/*.deb; do
        case ${deb##*/} in
            # For mysqldumpslow alone.
            perl* | libperl*) ;;
            *) dpkg-deb -x "$deb" "$2" || return ;;
        esac
    done
    rm -rf "$2"/usr/share/{doc,man,locale,info,lintian}
}

# Those of the folders $2... that $1 has, as a launcher names them, with colons between.
library_path() {
    local prefix='$root' unpacked=$1 found=() directory
    for directory in "${@:2}"; do
        if [[ -d $unpacked/$directory ]]; then found+=("$prefix/$directory"); fi
    done
    local IFS=:
    printf '%s' "${found[*]}"
}

# A command line that runs a program of $1/root under that root's own loader. $2: program, $3...: its first arguments.
under_loader() {
    local folder=$1 program=$2 loader path
    loader=$(cd "$folder/root" && ls {,usr/}lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 2>/dev/null | head -n 1) || true
    [[ -n $loader && -x $folder/root/$program ]] || {
        echo "the packages hold no $program or no loader for it" >&2
        return 1
    }
    path=$(library_path "$folder/root" lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu usr/lib/mysql/private)
    printf '"$root/%s" --library-path "%s" "$root/%s" %s' "$loader" "$path" "$program" "${*:3}"
}

mariadb_launchers() {
    local line share=mariadb
    [[ -d $1/root/usr/share/mariadb/english ]] || share=mysql
    line=$(under_loader "$1" usr/sbin/mariadbd --no-defaults '--basedir="$root/usr"' \
        '--plugin-dir="$root/usr/lib/mysql/plugin"' "--lc-messages-dir=\"\$root/usr/share/$share\"" \
        "--character-sets-dir=\"\$root/usr/share/$share/charsets\"") || return
    write_launcher "$1" mariadbd "$line"
    line=$(under_loader "$1" usr/bin/mariadb) || return
    write_launcher "$1" mariadb "$line"
}

mysql_launchers() {
    local program line
    line=$(under_loader "$1" usr/sbin/mysqld --no-defaults '--basedir="$root/usr"' \
        '--plugin-dir="$root/usr/lib/mysql/plugin"') || return
    write_launcher "$1" mysqld "$line"
    for program in mysql mysqldump; do
        line=$(under_loader "$1" "usr/bin/$program") || return
        write_launcher "$1" "$program" "$line"
    done
}

# What mariadb-install-db does, without its checks of the machine: the shipped SQL in its order.
# A MariaDB that starts empties its folder of temporary tables: two that share one take each other's.
mariadb_template() {
    local folder=$1 sql=$1/root/usr/share/mariadb
    ls "$sql"/*_system_tables.sql >/dev/null 2>&1 || sql=$folder/root/usr/share/mysql
    mkdir "$folder/template" "$folder/tmp" || return
    {
        printf 'create database mysql;\nuse mysql;\n'
        cat "$sql"/*_system_tables.sql "$sql"/*_performance_tables.sql "$sql"/*_system_tables_data.sql \
            "$sql"/maria_add_gis_sp_bootstrap.sql "$sql"/*_sys_schema.sql
    } | "$folder/bin/mariadbd" --bootstrap --skip-grant-tables --user="$(id -un)" --datadir="$folder/template" \
        --tmpdir="$folder/tmp" || return
    rmdir "$folder/tmp"
}

mysql_template() {
    mkdir "$1/template" "$1/tmp" || return
    "$1/bin/mysqld" --initialize-insecure --user="$(id -un)" --datadir="$1/template" --tmpdir="$1/tmp" \
        --secure-file-priv=NULL --mysqlx=OFF || return
    rmdir "$1/tmp" || return
    # Every copy gets a server_uuid of its own.
    rm -f "$1/template/auto.cnf"
}
