#!/bin/sh
# Install what the libvirt and containers engines, their test bed and its guests need, on Debian and its kin.
# Does nothing, quickly, when everything is there.
set -eu

"$(dirname "$0")/../../plugins/containers/vhal_containers/setup.sh"

# Not libvirt-daemon-system: it would start a libvirtd for the machine itself. The test bed runs its
# own ones, and only while it is up.
packages="
    libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients
    qemu-system-x86 qemu-utils seabios ipxe-qemu
    iproute2 util-linux
    gcc libc6-dev binutils
    libxml2-utils
    libvirt-dev pkg-config python3-dev
"
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

# Docker is unpacked into a folder and not installed: its package would start a daemon for the machine itself. The
# folder gets its name when all is in it.
docker=/opt/vhal-docker
dockers=""
[ -x "$docker/usr/sbin/dockerd" ] || dockers="docker.io containerd"

[ -n "$missing$absent$lists$dockers" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "setup.sh: run as root; missing:$missing$absent${lists:+ package lists}${dockers:+ $docker}" >&2
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
if [ -n "$dockers" ]; then
    mkdir -p "$(dirname "$docker")"
    work=$(mktemp -d "$(dirname "$docker")/.vhal-docker-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    # apt checks what it downloads against the signed lists.
    # shellcheck disable=SC2086
    (cd "$work" && apt-get --quiet --quiet --option=APT::Sandbox::User=root \
        --option=APT::Get::AllowUnauthenticated=false download $dockers)
    for package in "$work"/*.deb; do
        dpkg-deb --extract "$package" "$work/files"
    done
    # What starts daemons or is never run stays out.
    mkdir -p "$work/new/usr"
    mv "$work/files/usr/bin" "$work/files/usr/sbin" "$work/new/usr/"
    chmod 0755 "$work/new"
    rm -rf "$docker"
    mv -T "$work/new" "$docker"
fi
