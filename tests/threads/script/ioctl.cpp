// SPDX-License-Identifier: GPL-2.0
#include <script/ioctl.hpp>

#include <blksnap/port/control.h>

namespace threads::ioctl
{

namespace
{

constexpr u32 kRoom = 16;

// `array` is the member of `argument` that says where the answers go.
template <class Argument, class T, class Member>
long collect(unsigned request, Argument &argument, Member &array, std::vector<T> &answers)
{
	answers.resize(kRoom);
	argument.count = kRoom;
	array = answers.data();
	const long result = call(request, &argument);
	answers.resize(result < 0 ? 0 : argument.count);
	return result;
}

} // namespace

long call(unsigned command, void *argument)
{
	count_done(Done::Call);
	return blksnap_control_ioctl(command, reinterpret_cast<u64>(argument), 0);
}

long create(const std::vector<blk_snap_dev> &devices, Id &id)
{
	auto array = devices;
	blk_snap_snapshot_create argument{};
	argument.count = static_cast<u32>(array.size());
	argument.dev_id_array = array.data();
	const long result = call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &argument);
	id = argument.id;
	return result;
}

long append(const Id &id, blk_snap_dev device, const std::vector<blk_snap_block_range> &ranges)
{
	auto array = ranges;
	blk_snap_snapshot_append_storage argument{};
	argument.id = id;
	argument.dev_id = device;
	argument.count = static_cast<u32>(array.size());
	argument.ranges = array.data();
	return call(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &argument);
}

long take(const Id &id)
{
	blk_snap_snapshot_take argument{id};
	return call(IOCTL_BLK_SNAP_SNAPSHOT_TAKE, &argument);
}

long destroy(const Id &id)
{
	blk_snap_snapshot_destroy argument{id};
	return call(IOCTL_BLK_SNAP_SNAPSHOT_DESTROY, &argument);
}

long wait_event(const Id &id, u32 timeout_ms, u32 &code)
{
	blk_snap_snapshot_event argument{};
	argument.id = id;
	argument.timeout_ms = timeout_ms;
	const long result = call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, &argument);
	code = argument.code;
	return result;
}

long read_map(blk_snap_dev device, std::vector<u8> &map)
{
	u8 bytes[100];
	for (;;) {
		blk_snap_tracker_read_cbt_bitmap argument{};
		argument.dev_id = device;
		argument.offset = static_cast<u32>(map.size());
		argument.length = sizeof(bytes);
		argument.buff = bytes;
		const long result = call(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &argument);
		if (result <= 0)
			return result;
		map.insert(map.end(), bytes, bytes + result);
	}
}

long remove_tracker(blk_snap_dev device)
{
	blk_snap_tracker_remove argument{device};
	return call(IOCTL_BLK_SNAP_TRACKER_REMOVE, &argument);
}

long mark_dirty(blk_snap_dev device, const blk_snap_block_range &range)
{
	auto dirty = range;
	blk_snap_tracker_mark_dirty_blocks argument{};
	argument.dev_id = device;
	argument.count = 1;
	argument.dirty_blocks_array = &dirty;
	return call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &argument);
}

long collect_images(const Id &id, std::vector<blk_snap_image_info> &images)
{
	blk_snap_snapshot_collect_images argument{};
	argument.id = id;
	return collect(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, argument, argument.image_info_array,
		       images);
}

long collect_trackers(std::vector<blk_snap_cbt_info> &trackers)
{
	blk_snap_tracker_collect argument{};
	return collect(IOCTL_BLK_SNAP_TRACKER_COLLECT, argument, argument.cbt_info_array, trackers);
}

long collect_snapshots(std::vector<Id> &ids)
{
	blk_snap_snapshot_collect argument{};
	return collect(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, argument, argument.ids, ids);
}

} // namespace threads::ioctl
