#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Ext4 under load, with one snapshot after the other: see lib/file-system.sh.
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
	mkfs.ext4 -q -b 4096 "$1"
}

mount_image()
{
	mount -t ext4 "$1" "$2"
}

check_image()
{
	e2fsck -fn "$1"
}

# The tables of inodes get garbage.
break_image()
{
	local block

	block=$(dumpe2fs "$1" 2>/dev/null | sed -n 's/.*Inode table at \([0-9]*\)-.*/\1/p' | head -n 1)
	dd if=/dev/urandom of="$1" bs=4k seek="$block" count=1 oflag=direct status=none
}

plan 12
test_file_system ext4
