#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Install the Debian packages that building and testing need: setup.sh [build|docs|lint|vm|debug|coverage|fuzz|deb|all]
#
#   build  compile the module, the tools and the tests
#   docs   build the documentation
#   lint   compilers and checkers of the static checks
#   deb    build and check the Debian packages
#   coverage  measure what tests execute
#   fuzz   compiler with libFuzzer
#   vm     make and run the virtual machines of tests/vm
#   debug  compile kernels that check themselves; `debug 6.1 6.12` names their series
#
# For a fresh Debian 12 as root. It is quick when nothing is missing: apt is not even called then.
set -euo pipefail

root=$(realpath "$(dirname "$0")/..")
# shellcheck source=tests/vm/lib/apt.sh
. "$root/tests/vm/lib/apt.sh"

build_packages=(gcc g++ g++-multilib make binutils git rsync python3 pkg-config bc kmod libelf-dev linux-headers-amd64
	libcli11-dev nlohmann-json3-dev libblkid-dev libbpf-dev zlib1g-dev libgtest-dev libboost-context-dev cmake)
docs_packages=(python3-sphinx)
lint_packages=(clang clang-format clang-tidy codespell shellcheck sparse)
fuzz_packages=(clang libclang-rt-dev)
deb_packages=(debhelper dh-dkms dkms dpkg-dev fakeroot lintian openssl)
vm_packages=(mmdebstrap cpio xz-utils e2fsprogs xfsprogs python3 kmod debian-archive-keyring)
debug_packages=(flex bison bc cpio kmod libelf-dev libssl-dev xz-utils)

# The emulator of Debian 12 runs stale code after the kernel has patched its text while several virtual
# CPUs run in parallel: ftrace then seems to crash the kernel. Releases from this one on are clean.
qemu_minimum=1:10

say()
{
	echo "setup: $*"
}

installed()
{
	[[ $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) == 'install ok installed' ]]
}

install_missing()
{
	local package missing=()

	for package; do
		installed "$package" || missing+=("$package")
	done
	if ((${#missing[@]} == 0)); then
		say "nothing is missing of: $*"
		return
	fi
	say "installing ${missing[*]}"
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
		-o DPkg::Lock::Timeout=300 "${missing[@]}"
}

qemu_is_good()
{
	installed qemu-system-x86 &&
		dpkg --compare-versions "$(dpkg-query -W -f '${Version}' qemu-system-x86)" ge "$qemu_minimum"
}

# The source list and the index live in the build directory, so that the machine's apt stays as it is.
install_qemu_from_backports()
{
	local dir=$root/build/apt
	local apt=(apt-get -q -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=-
		-o "Dir::State::Lists=$dir/lists" -o DPkg::Lock::Timeout=300)

	mkdir -p "$dir/lists/partial"
	debian_sources backports >"$dir/sources.list" && "${apt[@]}" update &&
		DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends \
			-t "$(debian_release)-backports" qemu-system-x86
}

install_qemu()
{
	if qemu_is_good; then
		say 'QEMU is recent enough'
		return
	fi
	say "installing QEMU from $(debian_release)-backports"
	if install_qemu_from_backports && qemu_is_good; then
		return
	fi
	say 'backports cannot be had: using the older QEMU with one emulation thread (no real parallelism)'
	install_missing qemu-system-x86
}

case ${1:-all} in
coverage)
	install_missing gcovr
	;;
fuzz)
	install_missing "${build_packages[@]}" "${fuzz_packages[@]}"
	;;
build)
	install_missing "${build_packages[@]}"
	;;
debug)
	shift
	series=("${@:-6.1}")
	install_missing "${debug_packages[@]}" "${series[@]/#/linux-source-}"
	;;
lint)
	install_missing "${lint_packages[@]}"
	;;
docs)
	install_missing "${docs_packages[@]}"
	;;
deb)
	install_missing "${build_packages[@]}" "${deb_packages[@]}"
	;;
vm)
	install_missing "${vm_packages[@]}"
	install_qemu
	;;
all)
	install_missing "${build_packages[@]}" "${lint_packages[@]}" "${vm_packages[@]}"
	install_qemu
	;;
*)
	echo "usage: $0 [build|docs|lint|vm|debug|coverage|fuzz|deb|all]" >&2
	exit 2
	;;
esac
