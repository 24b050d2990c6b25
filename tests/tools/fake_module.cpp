// SPDX-License-Identifier: GPL-2.0
//
// FakeModule: one function per request.
#include "fake_module.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace blksnap::test
{

namespace
{

// Null array: only the count. Too little room: @too_small and the count.
template <typename T> int fill(const std::vector<T> &items, T *array, __u32 &count, int too_small)
{
	const auto room = count;
	count = static_cast<__u32>(items.size());
	if (!array)
		return 0;
	if (room < items.size())
		return -too_small;
	std::copy(items.begin(), items.end(), array);
	return 0;
}

template <typename T> T &as(void *argument)
{
	return *static_cast<T *>(argument);
}

} // namespace

Control FakeModule::control()
{
	return Control{[this](unsigned long request, void *argument) {
		if (const auto hook = before.extract(request))
			hook.mapped()();
		if (const auto failure = failures.find(request); failure != failures.end())
			return failure->second;
		return answer(request, argument);
	}};
}

void FakeModule::add_snapshot(std::uint8_t number, unsigned devices)
{
	FakeSnapshot snapshot;
	snapshot.taken = true;
	snapshot.id.b[15] = number;
	for (unsigned minor = 1; minor <= devices; minor++)
		snapshot.devices.push_back({8, minor});
	snapshots.push_back(snapshot);
}

int FakeModule::answer(unsigned long request, void *argument)
{
	switch (request) {
	case IOCTL_BLK_SNAP_VERSION:
		as<blk_snap_version>(argument) = {1, 2, 3, 4};
		return 0;
	case IOCTL_BLK_SNAP_TRACKER_REMOVE:
		removed.push_back(as<blk_snap_tracker_remove>(argument).dev_id);
		return 0;
	case IOCTL_BLK_SNAP_TRACKER_COLLECT:
		return collect_trackers(as<blk_snap_tracker_collect>(argument));
	case IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP:
		return read_map(as<blk_snap_tracker_read_cbt_bitmap>(argument));
	case IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS: {
		const auto &mark = as<blk_snap_tracker_mark_dirty_blocks>(argument);
		marked.assign(mark.dirty_blocks_array, mark.dirty_blocks_array + mark.count);
		return 0;
	}
	case IOCTL_BLK_SNAP_SNAPSHOT_CREATE:
		return create(as<blk_snap_snapshot_create>(argument));
	case IOCTL_BLK_SNAP_SNAPSHOT_DESTROY:
		return destroy(as<blk_snap_snapshot_destroy>(argument));
	case IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE:
		return append(as<blk_snap_snapshot_append_storage>(argument));
	case IOCTL_BLK_SNAP_SNAPSHOT_TAKE:
		return take(as<blk_snap_snapshot_take>(argument));
	case IOCTL_BLK_SNAP_SNAPSHOT_COLLECT:
		return collect(as<blk_snap_snapshot_collect>(argument));
	case IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES:
		return collect_images(as<blk_snap_snapshot_collect_images>(argument));
	case IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT:
		return wait_event(as<blk_snap_snapshot_event>(argument));
	default:
		return -ENOTTY;
	}
}

FakeSnapshot *FakeModule::find(const blk_snap_uuid &id)
{
	for (auto &snapshot : snapshots)
		if (std::memcmp(&snapshot.id, &id, sizeof(id)) == 0)
			return &snapshot;
	return nullptr;
}

int FakeModule::collect_trackers(blk_snap_tracker_collect &argument)
{
	return fill(trackers, argument.cbt_info_array, argument.count, ENOBUFS);
}

int FakeModule::read_map(blk_snap_tracker_read_cbt_bitmap &argument)
{
	if (argument.offset > cbt_map.size())
		return -EINVAL;
	const auto length =
		std::min<std::size_t>(argument.length, cbt_map.size() - argument.offset);
	std::copy_n(cbt_map.begin() + argument.offset, length, argument.buff);
	return static_cast<int>(length);
}

int FakeModule::create(blk_snap_snapshot_create &argument)
{
	const std::lock_guard guard{lock_};
	if (argument.count == 0)
		return -EINVAL;
	FakeSnapshot snapshot;
	snapshot.id.b[15] = static_cast<__u8>(snapshots.size() + 1);
	snapshot.devices.assign(argument.dev_id_array, argument.dev_id_array + argument.count);
	argument.id = snapshot.id;
	snapshots.push_back(snapshot);
	return 0;
}

int FakeModule::destroy(blk_snap_snapshot_destroy &argument)
{
	const std::lock_guard guard{lock_};
	const auto erased = std::erase_if(snapshots, [&](const FakeSnapshot &snapshot) {
		return std::memcmp(&snapshot.id, &argument.id, sizeof(argument.id)) == 0;
	});
	if (erased == 0)
		return -ENODEV;
	changed_.notify_all();
	return 0;
}

int FakeModule::append(blk_snap_snapshot_append_storage &argument)
{
	auto *const snapshot = find(argument.id);
	if (!snapshot)
		return -ESRCH;
	snapshot->storage.assign(argument.ranges, argument.ranges + argument.count);
	return 0;
}

int FakeModule::take(blk_snap_snapshot_take &argument)
{
	auto *const snapshot = find(argument.id);
	if (!snapshot)
		return -ESRCH;
	if (snapshot->taken)
		return -EALREADY;
	if (snapshot->storage.empty())
		return -ENOSPC;
	snapshot->taken = true;
	return 0;
}

int FakeModule::collect(blk_snap_snapshot_collect &argument)
{
	std::vector<blk_snap_uuid> ids;
	for (const auto &snapshot : snapshots)
		ids.push_back(snapshot.id);
	return fill(ids, argument.ids, argument.count, ENODATA);
}

int FakeModule::collect_images(blk_snap_snapshot_collect_images &argument)
{
	const auto *snapshot = find(argument.id);
	if (!snapshot)
		return -ESRCH;
	if (!snapshot->taken)
		return -ENODEV;
	std::vector<blk_snap_image_info> images;
	for (const auto &device : snapshot->devices)
		images.push_back({device, {259, static_cast<__u32>(images.size())}});
	return fill(images, argument.image_info_array, argument.count, ENODATA);
}

int FakeModule::wait_event(blk_snap_snapshot_event &argument)
{
	std::unique_lock guard{lock_};
	const auto until =
		std::chrono::steady_clock::now() + std::chrono::milliseconds{argument.timeout_ms};
	while (find(argument.id) && events.empty())
		if (changed_.wait_until(guard, until) == std::cv_status::timeout)
			return find(argument.id) ? -ENOENT : -ESRCH;
	if (!find(argument.id))
		return -ESRCH;
	const auto id = argument.id;
	argument = events.front();
	argument.id = id;
	events.pop_front();
	return 0;
}

} // namespace blksnap::test
