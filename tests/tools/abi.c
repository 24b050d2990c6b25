// SPDX-License-Identifier: GPL-2.0
//
// The interface headers compile alone, in every language and word size, and their assertions hold.
#include "blksnap.h"
#include "blksnap_compat.h"
#include "blksnap.h"

// Every number is a constant that can label a case, and no two are the same.
int blksnap_number_of(unsigned int request);

int blksnap_number_of(unsigned int request)
{
	switch (request) {
	case IOCTL_BLK_SNAP_VERSION:
		return 0;
	case IOCTL_BLK_SNAP_TRACKER_REMOVE:
		return 1;
	case IOCTL_BLK_SNAP_TRACKER_COLLECT:
		return 2;
	case IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP:
		return 3;
	case IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS:
		return 4;
	case IOCTL_BLK_SNAP_SNAPSHOT_CREATE:
		return 5;
	case IOCTL_BLK_SNAP_SNAPSHOT_DESTROY:
		return 6;
	case IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE:
		return 7;
	case IOCTL_BLK_SNAP_SNAPSHOT_TAKE:
		return 8;
	case IOCTL_BLK_SNAP_SNAPSHOT_COLLECT:
		return 9;
	case IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES:
		return 10;
	case IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT:
		return 11;
#if __SIZEOF_POINTER__ == 8
	case IOCTL_BLK_SNAP_COMPAT_TRACKER_COLLECT:
	case IOCTL_BLK_SNAP_COMPAT_TRACKER_READ_CBT_MAP:
	case IOCTL_BLK_SNAP_COMPAT_TRACKER_MARK_DIRTY_BLOCKS:
	case IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_CREATE:
	case IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_APPEND_STORAGE:
	case IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_COLLECT:
	case IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_COLLECT_IMAGES:
		return 32;
#endif
	default:
		return -1;
	}
}
