#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# XFS under load, with one snapshot after the other: see lib/file-system.sh.
# vm: own-boot root=applications disks=400M,600M,400M timeout=600 lasts=TEST_FS_MINUTES:10
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/../../suites/lib/snapshot.sh"
# shellcheck source=tests/vm/applications/lib/load.sh
. "$(dirname "$0")/../lib/load.sh"
# shellcheck source=tests/vm/applications/lib/file-system.sh
. "$(dirname "$0")/../lib/file-system.sh"

make_file_system()
{
	mkfs.xfs -q "$1"
}

mount_image()
{
	mount -t xfs -o nouuid "$1" "$2"
}

check_image()
{
	xfs_repair -n "$1"
}

# The root of the tree of inodes in the first group.
break_image()
{
	local root

	root=$(xfs_db -r -c 'agi 0' -c 'print root' "$1" | sed 's/.*= //')
	dd if=/dev/urandom of="$1" bs=4k seek="$root" count=1 oflag=direct status=none
}

plan 12
test_file_system xfs
