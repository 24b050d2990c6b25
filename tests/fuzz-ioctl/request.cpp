// SPDX-License-Identifier: GPL-2.0
#include "request.hpp"

#include <blksnap.h>
#include <blksnap_compat.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>

namespace
{

// Of one structure in both layouts.
#define LAYOUT(prefix, request, structure, ...)                                                    \
	{                                                                                          \
		.command = IOCTL_BLK_SNAP_##prefix##request,                                       \
		.bytes = sizeof(structure) __VA_OPT__(, ) __VA_ARGS__                              \
	}
#define AT(structure, field) static_cast<int>(offsetof(structure, field))

struct BothLayouts {
	const char *name;
	Layout layouts[kAbis];
};

#define SAME(request, structure, ...)                                                              \
	{                                                                                          \
		LAYOUT(, request, structure, __VA_ARGS__),                                         \
			LAYOUT(, request, structure, __VA_ARGS__)                                  \
	}

using Remove = blk_snap_tracker_remove;
using Collect = blk_snap_tracker_collect;
using Collect32 = blk_snap_compat_tracker_collect;
using Read = blk_snap_tracker_read_cbt_bitmap;
using Read32 = blk_snap_compat_tracker_read_cbt_bitmap;
using Mark = blk_snap_tracker_mark_dirty_blocks;
using Mark32 = blk_snap_compat_tracker_mark_dirty_blocks;
using Create = blk_snap_snapshot_create;
using Create32 = blk_snap_compat_snapshot_create;
using Append = blk_snap_snapshot_append_storage;
using Append32 = blk_snap_compat_snapshot_append_storage;
using List = blk_snap_snapshot_collect;
using List32 = blk_snap_compat_snapshot_collect;
using Images = blk_snap_snapshot_collect_images;
using Images32 = blk_snap_compat_snapshot_collect_images;
using Wait = blk_snap_snapshot_event;

constexpr std::size_t kRangeBytes = sizeof(blk_snap_block_range);

const BothLayouts kTable[kRequests] = {
	{"VERSION", SAME(VERSION, blk_snap_version)},
	{"TRACKER_REMOVE", SAME(TRACKER_REMOVE, Remove, .device = AT(Remove, dev_id))},
	{"TRACKER_COLLECT",
	 {LAYOUT(, TRACKER_COLLECT, Collect, .count = AT(Collect, count),
		 .pointer = AT(Collect, cbt_info_array),
		 .element_bytes = sizeof(blk_snap_cbt_info)),
	  LAYOUT(COMPAT_, TRACKER_COLLECT, Collect32, .count = AT(Collect32, count),
		 .pointer = AT(Collect32, cbt_info_array),
		 .element_bytes = sizeof(blk_snap_compat_cbt_info))}},
	{"TRACKER_READ_CBT_MAP",
	 {LAYOUT(, TRACKER_READ_CBT_MAP, Read, .device = AT(Read, dev_id),
		 .number = AT(Read, offset), .count = AT(Read, length), .pointer = AT(Read, buff),
		 .element_bytes = 1),
	  LAYOUT(COMPAT_, TRACKER_READ_CBT_MAP, Read32, .device = AT(Read32, dev_id),
		 .number = AT(Read32, offset), .count = AT(Read32, length),
		 .pointer = AT(Read32, buff), .element_bytes = 1)}},
	{"TRACKER_MARK_DIRTY_BLOCKS",
	 {LAYOUT(, TRACKER_MARK_DIRTY_BLOCKS, Mark, .device = AT(Mark, dev_id),
		 .count = AT(Mark, count), .pointer = AT(Mark, dirty_blocks_array),
		 .element_bytes = kRangeBytes),
	  LAYOUT(COMPAT_, TRACKER_MARK_DIRTY_BLOCKS, Mark32, .device = AT(Mark32, dev_id),
		 .count = AT(Mark32, count), .pointer = AT(Mark32, dirty_blocks_array),
		 .element_bytes = kRangeBytes)}},
	{"SNAPSHOT_CREATE",
	 {LAYOUT(, SNAPSHOT_CREATE, Create, .id = AT(Create, id), .count = AT(Create, count),
		 .pointer = AT(Create, dev_id_array), .element_bytes = sizeof(blk_snap_dev)),
	  LAYOUT(COMPAT_, SNAPSHOT_CREATE, Create32, .id = AT(Create32, id),
		 .count = AT(Create32, count), .pointer = AT(Create32, dev_id_array),
		 .element_bytes = sizeof(blk_snap_dev))}},
	{"SNAPSHOT_DESTROY", SAME(SNAPSHOT_DESTROY, blk_snap_snapshot_destroy, .id = 0)},
	{"SNAPSHOT_APPEND_STORAGE",
	 {LAYOUT(, SNAPSHOT_APPEND_STORAGE, Append, .id = AT(Append, id),
		 .device = AT(Append, dev_id), .count = AT(Append, count),
		 .pointer = AT(Append, ranges), .element_bytes = kRangeBytes),
	  LAYOUT(COMPAT_, SNAPSHOT_APPEND_STORAGE, Append32, .id = AT(Append32, id),
		 .device = AT(Append32, dev_id), .count = AT(Append32, count),
		 .pointer = AT(Append32, ranges), .element_bytes = kRangeBytes)}},
	{"SNAPSHOT_TAKE", SAME(SNAPSHOT_TAKE, blk_snap_snapshot_take, .id = 0)},
	{"SNAPSHOT_COLLECT",
	 {LAYOUT(, SNAPSHOT_COLLECT, List, .count = AT(List, count), .pointer = AT(List, ids),
		 .element_bytes = sizeof(blk_snap_uuid)),
	  LAYOUT(COMPAT_, SNAPSHOT_COLLECT, List32, .count = AT(List32, count),
		 .pointer = AT(List32, ids), .element_bytes = sizeof(blk_snap_uuid))}},
	{"SNAPSHOT_COLLECT_IMAGES",
	 {LAYOUT(, SNAPSHOT_COLLECT_IMAGES, Images, .id = AT(Images, id),
		 .count = AT(Images, count), .pointer = AT(Images, image_info_array),
		 .element_bytes = sizeof(blk_snap_image_info)),
	  LAYOUT(COMPAT_, SNAPSHOT_COLLECT_IMAGES, Images32, .id = AT(Images32, id),
		 .count = AT(Images32, count), .pointer = AT(Images32, image_info_array),
		 .element_bytes = sizeof(blk_snap_image_info))}},
	{"SNAPSHOT_WAIT_EVENT",
	 SAME(SNAPSHOT_WAIT_EVENT, Wait, .id = AT(Wait, id), .number = AT(Wait, timeout_ms))},
};

// Of a caller who may ask, and besides those that each may answer.
const std::initializer_list<int> kErrors[kRequests] = {
	{},
	{EBUSY, ENODATA, ENXIO},
	{ENOBUFS},
	{EPERM, ENODATA, EINVAL},
	{ENODEV, EINVAL},
	{EINVAL, EALREADY, EOPNOTSUPP, EBUSY, EIO, EAGAIN, ENXIO},
	{ENODEV},
	{ESRCH, EINVAL, EROFS, EBUSY, ENXIO},
	{ESRCH, EALREADY, ENOSPC, ENODEV, EOPNOTSUPP, EBUSY, ETIMEDOUT},
	{ENODATA},
	{ESRCH, ENODEV, ENODATA},
	{ENOENT, EINTR, ESRCH},
};

} // namespace

bool is_documented(unsigned request, int error)
{
	const auto &errors = kErrors[request];
	return error == EFAULT || error == ENOMEM ||
	       std::find(errors.begin(), errors.end(), error) != errors.end();
}

const char *name_of(unsigned request)
{
	return request < kRequests ? kTable[request].name : "unknown";
}

const Layout &layout_of(unsigned request, Abi abi)
{
	return kTable[request].layouts[static_cast<unsigned>(abi)];
}
