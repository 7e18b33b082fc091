#!/bin/sh
# Install what the libvirt and containers engines, their test bed and its guests need, on Debian and its kin.
# Does nothing, quickly, when everything is there. 'setup.sh bench' adds what only benchmarks compare with.
set -eu

"$(dirname "$0")/../../plugins/containers/vhal_containers/setup.sh"

# Not libvirt-daemon-system: it would start a libvirtd for the machine itself. The test bed runs its
# own ones, and only while it is up.
packages="
    libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients
    qemu-system-x86 qemu-utils seabios ipxe-qemu
    iproute2 util-linux openssh-client
    gcc libc6-dev binutils
    libxml2-utils
    libvirt-dev pkg-config python3-dev
"
[ "${1:-}" != bench ] || packages="$packages ganeti-htools"
# Where each host of a lab mounts its private folders.
folders="/etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt"

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "setup.sh: this is not a Debian-like system; install the equivalents of:$packages" >&2
    exit 1
fi

missing=""
for package in $packages; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
absent=""
for folder in $folders; do
    [ -d "$folder" ] || absent="$absent $folder"
done
# The counter guest is made from two packages which are downloaded but never installed.
lists=""
apt-cache show linux-image-cloud-amd64 busybox-static >/dev/null 2>&1 || lists=update

# Docker and sshd are unpacked into folders and not installed: their packages would start daemons for the machine itself.
# A folder gets its name when all is in it.
docker=/opt/vhal-docker
dockers=""
[ -x "$docker/usr/sbin/dockerd" ] || dockers="docker.io containerd"
sshd=/opt/vhal-sshd
sshds=""
[ -x "$sshd/usr/sbin/sshd" ] || sshds="openssh-server libwrap0 libnsl2 libtirpc3"

[ -n "$missing$absent$lists$dockers$sshds" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "setup.sh: run as root; missing:$missing$absent${lists:+ package lists}${dockers:+ $docker}${sshds:+ $sshd}" >&2
    exit 1
fi

if [ -n "$missing$lists" ]; then
    apt-get update --quiet
fi
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $missing
fi
if [ -n "$absent" ]; then
    # shellcheck disable=SC2086
    install -d -m 0755 $absent
fi
# unpack FOLDER SUBFOLDERS PACKAGE…: what starts daemons or is never run stays out.
unpack() {
    folder=$1
    kept=$2
    shift 2
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    # apt checks what it downloads against the signed lists.
    (cd "$work" && apt-get --quiet --quiet --option=APT::Sandbox::User=root \
        --option=APT::Get::AllowUnauthenticated=false download "$@")
    for package in "$work"/*.deb; do
        dpkg-deb --extract "$package" "$work/files"
    done
    # Some packages still have libraries outside of /usr.
    mkdir -p "$work/files/lib" "$work/files/usr/lib"
    cp -a "$work/files/lib/." "$work/files/usr/lib/"
    for part in $kept; do
        mkdir -p "$(dirname "$work/new/usr/$part")"
        mv "$work/files/usr/$part" "$work/new/usr/$part"
    done
    chmod 0755 "$work/new"
    rm -rf "$folder"
    mv -T "$work/new" "$folder"
    rm -rf "$work"
}

# shellcheck disable=SC2086
[ -z "$dockers" ] || unpack "$docker" "bin sbin" $dockers
# shellcheck disable=SC2086
[ -z "$sshds" ] || unpack "$sshd" "sbin lib/x86_64-linux-gnu" $sshds
