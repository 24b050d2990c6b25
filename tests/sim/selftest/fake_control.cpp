// SPDX-License-Identifier: GPL-2.0
//
// FakeCore: the calls, as few of them as the script needs.
#include <selftest/fake_core.hpp>

#include <algorithm>
#include <blksnap/port/control.h>
#include <cstring>
#include <world/world.hpp>

namespace fake
{

namespace
{

template <class T> struct Argument {
	explicit Argument(shim_u64 address) : address(address)
	{
		error = shim_user_read(&value, address, sizeof(value));
	}
	int store()
	{
		if constexpr (requires { value.count; }) // the hole before the pointer
			std::memset(reinterpret_cast<char *>(&value.count) + 4, 0, 4);
		return shim_user_write(address, &value, sizeof(value));
	}
	shim_u64 address;
	T value;
	int error;
};

Snapshot *find(const blk_snap_uuid &id)
{
	for (auto &snapshot : core->snapshots)
		if (!std::memcmp(snapshot->id, id.b, 16))
			return snapshot.get();
	return nullptr;
}

bool held(const shim_bdev_info &info)
{
	for (auto &snapshot : core->snapshots)
		for (auto &member : snapshot->members)
			if (member->info.major == info.major && member->info.minor == info.minor)
				return true;
	return false;
}

// A device that was replaced while it was opened is asked for again.
int open(const blk_snap_dev &number, shim_bdev **bdev)
{
	int result;

	do
		result = shim_bdev_open(number.mj, number.mn, bdev);
	while (result == -11);
	return result;
}

long create(shim_u64 address)
{
	Argument<blk_snap_snapshot_create> arg(address);
	if (arg.error)
		return arg.error;
	auto snapshot = std::make_unique<Snapshot>();
	shim_random_fill(snapshot->id, 16);
	long result = 0;
	for (shim_u32 i = 0; i < arg.value.count && !result; i++) {
		blk_snap_dev number;
		if (shim_user_read(&number, reinterpret_cast<shim_u64>(&arg.value.dev_id_array[i]),
				   sizeof(number)))
			result = -14;
		auto member = std::make_unique<Member>();
		if (!result)
			result = open(number, &member->bdev);
		if (result)
			break;
		shim_bdev_describe(member->bdev, &member->info);
		if (held(member->info))
			result = -114;
		member->disk = disk_of(member->bdev, member->info);
		const auto same = [&](const Tracker &tracker) {
			return tracker.major == number.mj && tracker.minor == number.mn;
		};
		if (std::none_of(core->trackers.begin(), core->trackers.end(), same))
			core->trackers.push_back({number.mj, number.mn});
		snapshot->members.push_back(std::move(member));
	}
	std::memcpy(arg.value.id.b, snapshot->id, 16);
	core->snapshots.push_back(std::move(snapshot));
	if (!result)
		result = arg.store();
	if (result)
		destroy(*core->snapshots.back());
	return result;
}

bool covered(const shim_bdev_info &info, const blk_snap_block_range &range)
{
	const shim_u64 start = info.start_sector + range.sector_offset;
	for (auto &snapshot : core->snapshots)
		for (auto &member : snapshot->members)
			if (snapshot->taken && member->info.disk_key == info.disk_key &&
			    start < member->info.start_sector + member->info.sectors &&
			    member->info.start_sector < start + range.sector_count)
				return true;
	return false;
}

long append(shim_u64 address)
{
	Argument<blk_snap_snapshot_append_storage> arg(address);
	if (arg.error)
		return arg.error;
	Snapshot *snapshot = find(arg.value.id);
	if (!snapshot)
		return -3;
	std::vector<blk_snap_block_range> ranges(arg.value.count);
	if (shim_user_read(ranges.data(), reinterpret_cast<shim_u64>(arg.value.ranges),
			   ranges.size() * sizeof(ranges[0])))
		return -14;
	shim_bdev *bdev;
	if (const int error = open(arg.value.dev_id, &bdev))
		return error;
	shim_bdev_info info;
	shim_bdev_describe(bdev, &info);
	shim_bdev_close(bdev);
	for (const auto &range : ranges)
		if (covered(info, range))
			return -16;
	for (const auto &range : ranges)
		core->ranges.push_back({info.disk_key, info.start_sector + range.sector_offset,
					range.sector_count, snapshot});
	return 0;
}

long collect_images(shim_u64 address)
{
	Argument<blk_snap_snapshot_collect_images> arg(address);
	Snapshot *snapshot = arg.error ? nullptr : find(arg.value.id);
	if (!snapshot)
		return arg.error ? arg.error : -3;
	arg.value.count = 0;
	for (auto &member : snapshot->members) {
		const blk_snap_image_info pair = {{member->info.major, member->info.minor},
						  {member->major, member->minor}};
		if (shim_user_write(reinterpret_cast<shim_u64>(
					    &arg.value.image_info_array[arg.value.count++]),
				    &pair, sizeof(pair)))
			return -14;
	}
	if (fault() == Fault::WritesTooMuch && arg.value.count < 4)
		shim_user_write(
			reinterpret_cast<shim_u64>(&arg.value.image_info_array[arg.value.count]),
			"", 1);
	return arg.store();
}

long wait_event(shim_u64 address)
{
	Argument<blk_snap_snapshot_event> arg(address);
	if (arg.error)
		return arg.error;
	Snapshot *snapshot = find(arg.value.id);
	if (!snapshot)
		return -3;
	if (fault() == Fault::RevivesImage && snapshot->taken && !snapshot->told &&
	    sim::world().store_may_be_short) {
		const shim_bdev_info &info = snapshot->members[0]->info;
		const blk_snap_event_corrupted data{{info.major, info.minor}, 28};
		arg.value.code = blk_snap_event_code_corrupted;
		arg.value.time_label = static_cast<long long>(shim_clock_ns());
		std::memcpy(arg.value.data, &data, sizeof(data));
		const int told = arg.store();
		snapshot->told = !told;
		return told;
	}
	if (!snapshot->asked && fault() != Fault::NeverAsks) {
		arg.value.code = blk_snap_event_code_low_free_space;
		const int told = arg.store();
		snapshot->asked = !told;
		return told;
	}
	shim_waitqueue never;
	shim_waitqueue_init(&never, "fake events");
	const int result = shim_waitqueue_wait(
		&never, [](void *) -> int { return 0; }, nullptr, arg.value.timeout_ms, 1);
	return result == -4 ? -4 : -2;
}

shim_u64 size_of(const Tracker &tracker)
{
	for (auto &snapshot : core->snapshots)
		for (auto &member : snapshot->members)
			if (member->info.major == tracker.major &&
			    member->info.minor == tracker.minor)
				return member->info.sectors * 512;
	return 0;
}

constexpr shim_u32 kBlock = 8192;

long collect_trackers(shim_u64 address)
{
	Argument<blk_snap_tracker_collect> arg(address);
	if (arg.error)
		return arg.error;
	arg.value.count = 0;
	for (const Tracker &tracker : core->trackers) {
		blk_snap_cbt_info info{};
		info.dev_id = {tracker.major, tracker.minor};
		info.blk_size = kBlock;
		info.device_capacity = size_of(tracker);
		info.blk_count =
			static_cast<shim_u32>((info.device_capacity + kBlock - 1) / kBlock);
		info.snap_number = tracker.number;
		if (shim_user_write(reinterpret_cast<shim_u64>(
					    &arg.value.cbt_info_array[arg.value.count++]),
				    &info, sizeof(info)))
			return -14;
	}
	return arg.store();
}

long read_map(shim_u64 address)
{
	Argument<blk_snap_tracker_read_cbt_bitmap> arg(address);
	if (arg.error)
		return arg.error;
	for (const Tracker &tracker : core->trackers) {
		if (tracker.major != arg.value.dev_id.mj || tracker.minor != arg.value.dev_id.mn)
			continue;
		const shim_u64 bytes = (size_of(tracker) + kBlock - 1) / kBlock;
		if (!bytes)
			return -1;
		if (arg.value.offset > bytes)
			return -22;
		const shim_u64 length =
			std::min<shim_u64>(arg.value.length, bytes - arg.value.offset);
		const std::vector<unsigned char> map(
			length, fault() == Fault::BlindMap ? 0 : tracker.number);
		if (shim_user_write(reinterpret_cast<shim_u64>(arg.value.buff), map.data(), length))
			return -14;
		return static_cast<long>(length);
	}
	return -61;
}

template <class T> long with_snapshot(shim_u64 address, long missing, int (*body)(Snapshot &))
{
	Argument<T> arg(address);
	if (arg.error)
		return arg.error;
	Snapshot *snapshot = find(arg.value.id);
	return snapshot ? body(*snapshot) : missing;
}

long locked(unsigned command, shim_u64 address)
{
	switch (command) {
	case IOCTL_BLK_SNAP_SNAPSHOT_CREATE:
		return create(address);
	case IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE:
		return append(address);
	case IOCTL_BLK_SNAP_SNAPSHOT_TAKE:
		return with_snapshot<blk_snap_snapshot_take>(address, -3, [](Snapshot &snapshot) {
			return snapshot.taken || !snapshot.members[0]->pages.empty()
				       ? -114
				       : take(snapshot);
		});
	case IOCTL_BLK_SNAP_SNAPSHOT_DESTROY:
		return with_snapshot<blk_snap_snapshot_destroy>(
			address, -19, [](Snapshot &snapshot) { return destroy(snapshot), 0; });
	case IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES:
		return collect_images(address);
	case IOCTL_BLK_SNAP_TRACKER_COLLECT:
		return collect_trackers(address);
	case IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP:
		return read_map(address);
	case IOCTL_BLK_SNAP_TRACKER_REMOVE:
		return -16;
	default:
		return -25;
	}
}

} // namespace

} // namespace fake

long blksnap_control_ioctl(unsigned command, shim_u64 address, int) noexcept
{
	if (command == IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT)
		return shim_user_is_admin() ? fake::wait_event(address) : -1;
	shim_mutex_lock(&fake::core->mutex);
	const long result = shim_user_is_admin() ? fake::locked(command, address) : -1;
	shim_mutex_unlock(&fake::core->mutex);
	if (fake::fault() == fake::Fault::EndsReadTwice)
		shim_rcu_read_unlock();
	return result;
}
