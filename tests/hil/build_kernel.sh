#!/usr/bin/env bash
# build_kernel.sh FOLDER: User Mode Linux, with simulated GPIO chips and I2C, out of Debian's kernel source.
# Three minutes on two cores; nothing when FOLDER holds what it would build.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
package=linux-source-6.1

command -v apt-cache >/dev/null || { echo "hil: a kernel is built of a Debian package, and there is no apt-get here"; exit 77; }
version=$(apt-cache policy "$package" | awk '/Candidate/ { print $2 }')
[ -n "$version" ] || { echo "hil: Debian 12's package $package is needed to build a kernel; apt-get does not know it"; exit 77; }
key="$(cat "$here/kernel.config" "$here/w1_sim.c" "$0" | sha256sum | cut -c1-12)-$version"
if [ "$(cat "$out/key" 2>/dev/null)" = "$key" ]; then exit 0; fi

missing=()
for tool in flex:flex bison:bison bc:bc xz:xz-utils make:make gcc:gcc; do
  command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "hil: install these first: ${missing[*]}"; exit 77; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" libc6-dev >/dev/null
fi

echo "hil: building a kernel ($version), three minutes"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq "$package" 2>/dev/null
dpkg-deb --fsys-tarfile "$package"_*.deb | tar -xf - --strip-components=3 "./usr/src/$package.tar.xz"
xz -dc -T0 "$package.tar.xz" | tar -xf -
cd "$package"
# All of UML's 64 interrupts are taken: gpio-sim's edges would fail with ENXIO.
sed -i 's/^#define NR_IRQS\(\s*\)UM_LAST_SIGNAL_IRQ$/#define NR_IRQS\1(UM_LAST_SIGNAL_IRQ + 256)/' arch/um/include/asm/irq.h
make -s ARCH=um KCONFIG_ALLCONFIG="$here/kernel.config" allnoconfig >/dev/null
make -s ARCH=um -j"$(nproc)" KCFLAGS="-O1 -pipe" linux modules >"$work/log" 2>&1 || { tail -30 "$work/log"; exit 1; }
mkdir "$work/w1_sim"
cp "$here/w1_sim.c" "$work/w1_sim/"
echo "obj-m := w1_sim.o" >"$work/w1_sim/Kbuild"
make -s ARCH=um M="$work/w1_sim" modules >>"$work/log" 2>&1 || { tail -30 "$work/log"; exit 1; }
strip -o "$out/linux" linux
cp drivers/i2c/i2c-stub.ko "$work/w1_sim/w1_sim.ko" "$out/"
echo "$key" >"$out/key"
