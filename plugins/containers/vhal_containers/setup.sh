#!/bin/sh
# Install what the containers engine needs on Debian 12: podman with runc from the system's own release, and a CRIU
# that works on current kernels. Does nothing, quickly, when everything is there.
#
#   setup.sh [FOLDER]      FOLDER is where CRIU goes, /opt/vhal-criu without it
#
# Debian 12's own CRIU cannot read the vDSO of kernels from 6.16 on, and up to 4.1 CRIU can't save a socket there. So
# a newer one comes from Debian's unstable release, unpacked into a folder of its own together with its loader and
# libraries. None of it is installed as a package: the system's packages and C library stay as they are.
#
# runc looks for `criu` on the PATH of the process that calls it. That is why /usr/local/sbin/criu is made a link to
# FOLDER/bin/criu, unless there is a CRIU already that is new enough, or something else of that name in that place.
set -eu

folder=${1:-/opt/vhal-criu}
link=/usr/local/sbin/criu
oldest=4.2
suite=sid
keys=/usr/share/keyrings/debian-archive-keyring.gpg

# runc because Debian 12's crun is built without CRIU; busybox for small images; the rest is what podman runs.
packages="
    podman runc conmon netavark aardvark-dns catatonit
    iptables nftables iproute2 util-linux procps busybox-static
    ca-certificates debian-archive-keyring
"

fail() {
    echo "setup.sh: $*" >&2
    exit 1
}

# The version that a CRIU says it has, or nothing when it doesn't run.
version_of() {
    "$@" --version 2>/dev/null | sed -n 's/^Version: *//p'
}

new_enough() {
    [ -n "$1" ] && dpkg --compare-versions "$1" ge "$oldest"
}

need_root() {
    [ "$(id -u)" -eq 0 ] || fail "run as root; missing: $*"
}

update_lists() {
    apt-get --quiet --quiet update || fail "apt can't update its lists of packages"
}

install_packages() {
    need_root "$@"
    update_lists
    export DEBIAN_FRONTEND=noninteractive
    apt-get --quiet --quiet --option=DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@" >/dev/null ||
        fail "these can't be installed: $*"
}

# The archive this system is installed from has the unstable release as well. Its label is in the lists.
archive() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1
}

install_criu() {
    need_root "CRIU $oldest in $folder"
    [ -r "$keys" ] || fail "$keys is missing, so nothing from Debian can be verified"
    from=$(archive)
    if [ -z "$from" ]; then
        update_lists
        from=$(archive)
    fi
    [ -n "$from" ] || fail "apt knows no Debian archive on this system; add one to its sources"

    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$(dirname "$folder")/.vhal-criu-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/files" "$work/new/bin" "$work/new/lib"
    : >"$work/status"
    # A mirror may serve the unstable release's index past its date; the signature is verified all the same.
    echo "deb [signed-by=$keys check-valid-until=no] $from $suite main" >"$work/sources.list"
    # The status file is empty, so apt fetches all that CRIU needs, the C library included. Nothing of apt's own
    # state is read or written.
    set -- --quiet --quiet \
        --option="Dir::Etc::sourcelist=$work/sources.list" --option=Dir::Etc::sourceparts=/dev/null \
        --option=Dir::Etc::preferences=/dev/null --option=Dir::Etc::preferencesparts=/dev/null \
        --option="Dir::State::Lists=$work/lists" --option="Dir::State::status=$work/status" \
        --option="Dir::Cache=$work/cache" --option=APT::Install-Recommends=false \
        --option=APT::Sandbox::User=root --option=APT::Get::AllowUnauthenticated=false \
        --option=Acquire::Languages=none --option=Acquire::Retries=3 --option=Debug::NoLocking=1
    apt-get "$@" update || fail "the index of Debian's $suite can't be had from $from"
    apt-get "$@" install --yes --download-only criu >/dev/null || fail "CRIU can't be had from Debian's $suite"
    for package in "$work"/cache/archives/*.deb; do
        dpkg-deb --extract "$package" "$work/files"
    done

    program=$(find "$work/files" -type f -path '*/sbin/criu')
    loader=$(find "$work/files/usr/lib" -path '*-linux-gnu*/ld-linux*.so.*' | head -n 1)
    [ -n "$program" ] && [ -n "$loader" ] || fail "Debian's CRIU isn't laid out as expected"
    cp "$program" "$work/new/criu.bin"
    cp -L "$loader" "$work/new/lib/"
    "$loader" --library-path "$(dirname "$loader")" --list "$work/new/criu.bin" |
        sed -n 's/.* => \(\/.*\) (0x.*/\1/p' >"$work/needed"
    loader=$(basename "$loader")
    while read -r library; do
        cp -L "$library" "$work/new/lib/"
    done <"$work/needed"
    cat >"$work/new/bin/criu" <<END
#!/bin/sh
exec $folder/lib/$loader --library-path $folder/lib $folder/criu.bin "\$@"
END
    chmod 0755 "$work/new" "$work/new/bin/criu" "$work/new/criu.bin"

    set -- "$work/new/lib/$loader" --library-path "$work/new/lib" "$work/new/criu.bin"
    found=$(version_of "$@")
    new_enough "$found" || fail "CRIU from Debian's $suite is '$found', but $oldest or later is needed"
    # Only what works takes the place of what was there.
    "$@" check >"$work/said" 2>&1 || fail "CRIU $found does not work on kernel $(uname -r): $(cat "$work/said")"
    rm -rf "$folder"
    mv -T "$work/new" "$folder"
    rm -rf "$work"
    trap - EXIT HUP INT TERM
}

case $folder in
    /*) ;;
    *) fail "the folder for CRIU must be an absolute path, not $folder" ;;
esac
case $folder in
    *[!A-Za-z0-9_./-]*) fail "the folder for CRIU may have letters, digits and _ . / - in its name, not $folder" ;;
esac
command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
    fail "this is not a Debian-like system; install CRIU $oldest and the equivalents of:$packages"
if [ -e "$folder" ] && [ ! -e "$folder/criu.bin" ] && [ -n "$(ls -A "$folder")" ]; then
    fail "$folder has other files in it; name an empty folder, or none"
fi

# shellcheck disable=SC2086
there=$(dpkg-query --show --showformat=':${db:Status-Status}:${Package}:\n' $packages 2>/dev/null || true)
missing=""
for package in $packages; do
    case $there in
        *":installed:$package:"*) ;;
        *) missing="$missing $package" ;;
    esac
done
# shellcheck disable=SC2086
[ -z "$missing" ] || install_packages $missing

new_enough "$(version_of "$folder/bin/criu")" || install_criu

if [ "$(readlink "$link" 2>/dev/null)" != "$folder/bin/criu" ]; then
    if [ ! -e "$link" ] && ! new_enough "$(version_of criu)"; then
        need_root "$link"
        # A link that leads nowhere is of no use to anyone.
        ln -sfn "$folder/bin/criu" "$link"
    elif ! new_enough "$(version_of criu)"; then
        fail "$link is in the way, so runc won't find $folder/bin/criu: remove it, and run this again"
    fi
fi
