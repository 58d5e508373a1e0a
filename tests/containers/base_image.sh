#!/usr/bin/env bash
# Makes a stand-in for python:VERSION-slim-SUITE out of Debian's own packages, where no image registry is reached:
# base_image.sh VERSION SUITE amd64|arm64|armhf FILE.tar. Packages are unpacked, not configured, so no foreign code runs.
# It differs from the real one in where its Python is: under /usr; Docker's official images have it under /usr/local.
set -euo pipefail
version=$1 suite=$2 arch=$3 out=$4
packages=python3,python3-venv,python3-pip-whl,libpython$version-dev,libexpat1-dev,zlib1g-dev
packages+=,ca-certificates,base-files,base-passwd,dash,coreutils,findutils,sed,grep,tzdata,netbase,libc-bin
if [ "$arch" = "$(dpkg --print-architecture)" ]; then # what Dockerfile installs by apt-get in the real one
  packages+=,gcc-arm-linux-gnueabihf,libc6-dev-armhf-cross
fi
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
: "${mirror:?is unknown: this machine has no Debian package source}"
in_root() { printf -- '--extract-hook=cd "$1"; %s' "$1"; }
mmdebstrap --quiet --variant=extract --architectures="$arch" --include="$packages" --format=tar \
  "$(in_root 'cp usr/share/base-passwd/passwd.master etc/passwd; cp usr/share/base-passwd/group.master etc/group')" \
  "$(in_root 'mkdir -p root tmp usr/local/bin; chmod 1777 tmp; [ -e bin/sh ] || ln -s dash bin/sh')" \
  "$(in_root "for name in python python3; do ln -sf /usr/bin/python$version usr/local/bin/\$name; done")" \
  "$(in_root 'cat usr/share/ca-certificates/mozilla/*.crt > etc/ssl/certs/ca-certificates.crt')" \
  "$(in_root 'rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/info var/lib/apt/lists/* var/cache/apt')" \
  "$suite" "$out" "deb $mirror $suite main"
