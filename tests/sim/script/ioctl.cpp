// SPDX-License-Identifier: GPL-2.0
//
// Ioctls: see the header. Arrays lie behind the structure in the same slot of user memory.
#include <script/ioctl.hpp>

#include <algorithm>
#include <blksnap_compat.h>
#include <cstddef>
#include <world/report.hpp>

namespace sim
{

namespace
{
constexpr char kUntouched = static_cast<char>(0xee);
}

UserBuffer::UserBuffer()
{
	if (world().user_slots.empty())
		fail("script", "out of user memory");
	slot_ = world().user_slots.back();
	world().user_slots.pop_back();
	std::memset(slot_, kUntouched, kUserSlotBytes);
}

UserBuffer::~UserBuffer()
{
	world().user_slots.push_back(slot_);
}

void UserBuffer::check_untouched(std::size_t from, std::size_t to) const
{
	const auto changed = std::find_if(slot_ + from, slot_ + to,
					  [](char byte) { return byte != kUntouched; });
	if (changed != slot_ + to)
		fail("ioctl", "byte %zu of the program's memory was written",
		     static_cast<std::size_t>(changed - slot_));
}

namespace agent_ioctl
{

namespace
{

constexpr std::size_t kArray = 4096;

bool is_compat()
{
	return world().random.permille(world().compat_permille);
}

long call(const char *name, unsigned command, UserBuffer &buffer, bool compat)
{
	TRACE("-> %s%s", name, compat ? " (32 bit)" : "");
	const long result = blksnap_control_ioctl(command, buffer.address(), compat);
	TRACE("<- %s: %ld", name, result);
	return result;
}

// A pointer as a 64-bit or a 32-bit structure holds it.
template <class P> P pointer(u64 address)
{
	if constexpr (std::is_pointer_v<P>)
		return reinterpret_cast<P>(address);
	else
		return static_cast<P>(address);
}

blk_snap_dev number_of(const Device &device)
{
	return {device.major, device.minor};
}

template <class T> T *argument(UserBuffer &buffer)
{
	auto *arg = buffer.at<T>();
	std::memset(arg, 0, sizeof(*arg));
	return arg;
}

template <class T> T *argument(UserBuffer &buffer, const u8 (&id)[16])
{
	auto *arg = argument<T>(buffer);
	std::memcpy(&arg->id, id, 16);
	return arg;
}

template <class T> long with_id(const char *name, unsigned command, const u8 (&id)[16])
{
	UserBuffer buffer;
	argument<T>(buffer, id);
	return call(name, command, buffer, is_compat());
}

// Between a count and the pointer behind it, in 64-bit structures.
void check_hole(const char *name, const char *hole, bool compat, long result)
{
	if (!compat && result >= 0 && std::count(hole, hole + sizeof(u32), 0) != sizeof(u32))
		fail("ioctl", "%s leaves a hole that is not zero", name);
}

// What a call that lists things may write: the structure, and as many items as there are, if the
// array has room for them.
template <class Argument, class Item>
long list(const char *name, unsigned command, bool compat, UserBuffer &buffer, Argument *arg,
	  Count &count, std::vector<Item> &items)
{
	arg->count = count.room == kNoArray ? 0 : count.room;
	char *hole = buffer.at<char>(offsetof(Argument, count) + sizeof(u32));
	if (!compat) // a pointer follows, on a boundary of eight bytes
		std::memset(hole, kUntouched, sizeof(u32));
	const long result = call(name, command, buffer, compat);
	check_hole(name, hole, compat, result);
	const bool told = count.room != kNoArray && result >= 0;
	const u32 filled = told ? arg->count : 0;
	if (told && filled > count.room)
		fail("ioctl", "%s tells %u items in an array of %u", name, filled, count.room);
	// A fault on the way may leave an array half filled.
	const u32 most = result == -14 && count.room != kNoArray ? count.room : filled;
	buffer.check_untouched(sizeof(*arg), kArray);
	buffer.check_untouched(kArray + most * sizeof(Item), kUserSlotBytes);
	count.needed = arg->count;
	items.assign(buffer.at<Item>(kArray), buffer.at<Item>(kArray) + filled);
	return result;
}

} // namespace

long version(blk_snap_version &version)
{
	UserBuffer buffer;
	const long result = call("version", IOCTL_BLK_SNAP_VERSION, buffer, is_compat());
	version = *buffer.at<blk_snap_version>();
	buffer.check_untouched(sizeof(version), kUserSlotBytes);
	return result;
}

// --- requests whose structures hold pointers ---------------------------------------------------

namespace
{

template <class Argument>
long create_as(unsigned command, bool compat, const std::vector<Device *> &devices, u8 (&id)[16])
{
	UserBuffer buffer;
	auto *arg = argument<Argument>(buffer);
	arg->count = static_cast<u32>(devices.size());
	arg->dev_id_array = pointer<decltype(arg->dev_id_array)>(buffer.address(kArray));
	for (u32 i = 0; i < devices.size(); i++)
		buffer.at<blk_snap_dev>(kArray)[i] = number_of(*devices[i]);
	char *hole = buffer.at<char>(offsetof(Argument, count) + sizeof(u32));
	if (!compat)
		std::memset(hole, kUntouched, sizeof(u32));
	const long result = call("create", command, buffer, compat);
	check_hole("create", hole, compat, result);
	std::memcpy(id, &arg->id, 16);
	return result;
}

template <class Argument>
long append_as(unsigned command, bool compat, const u8 (&id)[16], const Device &device,
	       const blk_snap_block_range *ranges, u32 count)
{
	UserBuffer buffer;
	auto *arg = argument<Argument>(buffer, id);
	arg->dev_id = number_of(device);
	arg->count = count;
	arg->ranges = pointer<decltype(arg->ranges)>(buffer.address(kArray));
	if (count && count * sizeof(*ranges) <= kUserSlotBytes - kArray)
		std::memcpy(buffer.at<char>(kArray), ranges, count * sizeof(*ranges));
	return call("append", command, buffer, compat);
}

template <class Argument>
long mark_dirty_as(unsigned command, bool compat, const Device &device,
		   const blk_snap_block_range *ranges, u32 count)
{
	UserBuffer buffer;
	auto *arg = argument<Argument>(buffer);
	arg->dev_id = number_of(device);
	arg->count = count;
	arg->dirty_blocks_array =
		pointer<decltype(arg->dirty_blocks_array)>(buffer.address(kArray));
	if (count && count * sizeof(*ranges) <= kUserSlotBytes - kArray)
		std::memcpy(buffer.at<char>(kArray), ranges, count * sizeof(*ranges));
	return call("mark_dirty", command, buffer, compat);
}

template <class Argument>
long read_piece_as(unsigned command, bool compat, const Device &device, u32 length,
		   std::vector<u8> &map)
{
	UserBuffer buffer;
	auto *arg = argument<Argument>(buffer);
	arg->dev_id = number_of(device);
	arg->offset = static_cast<u32>(map.size());
	arg->length = length;
	arg->buff = pointer<decltype(arg->buff)>(buffer.address(kArray));
	const long result = call("read_map", command, buffer, compat);
	if (result > static_cast<long>(length))
		fail("cbt", "%ld bytes of map in a buffer of %u", result, length);
	buffer.check_untouched(sizeof(*arg), kArray);
	if (result < 0)
		return result;
	buffer.check_untouched(kArray + static_cast<std::size_t>(result), kUserSlotBytes);
	const u8 *bytes = buffer.at<u8>(kArray);
	map.insert(map.end(), bytes, bytes + result);
	return result;
}

template <class Argument, class Info>
long collect_trackers_as(unsigned command, bool compat, std::vector<blk_snap_cbt_info> &infos,
			 Count &count)
{
	UserBuffer buffer;
	std::vector<Info> found;
	auto *arg = argument<Argument>(buffer);
	arg->cbt_info_array = pointer<decltype(arg->cbt_info_array)>(
		count.room == kNoArray ? 0 : buffer.address(kArray));
	const long result = list("tracker_collect", command, compat, buffer, arg, count, found);
	infos.clear();
	for (const Info &from : found) {
		blk_snap_cbt_info info{};
		info.dev_id = from.dev_id;
		info.blk_size = from.blk_size;
		info.device_capacity = from.device_capacity;
		info.blk_count = from.blk_count;
		info.generation_id = from.generation_id;
		info.snap_number = from.snap_number;
		Info again;
		std::memset(&again, 0, sizeof(again));
		again.dev_id = info.dev_id;
		again.blk_size = info.blk_size;
		again.device_capacity = info.device_capacity;
		again.blk_count = info.blk_count;
		again.generation_id = info.generation_id;
		again.snap_number = info.snap_number;
		if (std::memcmp(&again, &from, sizeof(again)) != 0)
			fail("ioctl", "a hole of the tracker's description is not zero");
		infos.push_back(info);
	}
	return result;
}

template <class Argument>
long collect_snapshots_as(unsigned command, bool compat, std::vector<blk_snap_uuid> &ids,
			  Count &count)
{
	UserBuffer buffer;
	auto *arg = argument<Argument>(buffer);
	arg->ids = pointer<decltype(arg->ids)>(count.room == kNoArray ? 0 : buffer.address(kArray));
	return list("snapshot_collect", command, compat, buffer, arg, count, ids);
}

template <class Argument>
long collect_images_as(unsigned command, bool compat, const u8 (&id)[16],
		       std::vector<Image> &images, Count &count)
{
	UserBuffer buffer;
	std::vector<blk_snap_image_info> found;
	auto *arg = argument<Argument>(buffer, id);
	arg->image_info_array = pointer<decltype(arg->image_info_array)>(
		count.room == kNoArray ? 0 : buffer.address(kArray));
	const long result = list("collect_images", command, compat, buffer, arg, count, found);
	images.clear();
	for (const auto &pair : found)
		images.push_back({pair.orig_dev_id, pair.image_dev_id});
	return result;
}

} // namespace

long create(const std::vector<Device *> &devices, u8 (&id)[16])
{
	if (is_compat())
		return create_as<blk_snap_compat_snapshot_create>(
			IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_CREATE, true, devices, id);
	return create_as<blk_snap_snapshot_create>(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, false, devices,
						   id);
}

long append(const u8 (&id)[16], const Device &device, const blk_snap_block_range *ranges, u32 count)
{
	if (is_compat())
		return append_as<blk_snap_compat_snapshot_append_storage>(
			IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_APPEND_STORAGE, true, id, device, ranges,
			count);
	return append_as<blk_snap_snapshot_append_storage>(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE,
							   false, id, device, ranges, count);
}

long mark_dirty(const Device &device, const blk_snap_block_range *ranges, u32 count)
{
	if (is_compat())
		return mark_dirty_as<blk_snap_compat_tracker_mark_dirty_blocks>(
			IOCTL_BLK_SNAP_COMPAT_TRACKER_MARK_DIRTY_BLOCKS, true, device, ranges,
			count);
	return mark_dirty_as<blk_snap_tracker_mark_dirty_blocks>(
		IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, false, device, ranges, count);
}

long read_map(const Device &device, std::vector<u8> &map)
{
	for (;;) {
		const u32 length = static_cast<u32>(1 + world().random.below(300));
		const long result =
			is_compat() ? read_piece_as<blk_snap_compat_tracker_read_cbt_bitmap>(
					      IOCTL_BLK_SNAP_COMPAT_TRACKER_READ_CBT_MAP, true,
					      device, length, map)
				    : read_piece_as<blk_snap_tracker_read_cbt_bitmap>(
					      IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, false, device,
					      length, map);
		if (result <= 0)
			return result;
	}
}

long collect_trackers(std::vector<blk_snap_cbt_info> &infos, Count &count)
{
	if (is_compat())
		return collect_trackers_as<blk_snap_compat_tracker_collect,
					   blk_snap_compat_cbt_info>(
			IOCTL_BLK_SNAP_COMPAT_TRACKER_COLLECT, true, infos, count);
	return collect_trackers_as<blk_snap_tracker_collect, blk_snap_cbt_info>(
		IOCTL_BLK_SNAP_TRACKER_COLLECT, false, infos, count);
}

long collect_snapshots(std::vector<blk_snap_uuid> &ids, Count &count)
{
	if (is_compat())
		return collect_snapshots_as<blk_snap_compat_snapshot_collect>(
			IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_COLLECT, true, ids, count);
	return collect_snapshots_as<blk_snap_snapshot_collect>(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT,
							       false, ids, count);
}

long collect_images(const u8 (&id)[16], std::vector<Image> &images, Count &count)
{
	if (is_compat())
		return collect_images_as<blk_snap_compat_snapshot_collect_images>(
			IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_COLLECT_IMAGES, true, id, images, count);
	return collect_images_as<blk_snap_snapshot_collect_images>(
		IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, false, id, images, count);
}

// --- requests that are the same for both ---------------------------------------------------------

long take(const u8 (&id)[16])
{
	return with_id<blk_snap_snapshot_take>("take", IOCTL_BLK_SNAP_SNAPSHOT_TAKE, id);
}

long destroy(const u8 (&id)[16])
{
	return with_id<blk_snap_snapshot_destroy>("destroy", IOCTL_BLK_SNAP_SNAPSHOT_DESTROY, id);
}

long wait_event(const u8 (&id)[16], u32 timeout_ms, Event &event)
{
	UserBuffer buffer;
	auto *arg = argument<blk_snap_snapshot_event>(buffer, id);
	arg->timeout_ms = timeout_ms;
	const long result = blksnap_control_ioctl(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT,
						  buffer.address(), is_compat());
	event = {arg->code, nullptr, 0, 0, static_cast<u64>(arg->time_label) / 1000};
	buffer.check_untouched(sizeof(*arg), kUserSlotBytes);
	if (result < 0)
		return result;
	if (arg->code == blk_snap_event_code_corrupted) {
		blk_snap_event_corrupted data;
		std::memcpy(&data, arg->data, sizeof(data));
		event.origin = world().find(data.orig_dev_id.mj, data.orig_dev_id.mn);
		event.error = data.err_code;
		TRACE("event: corrupted %u:%u error %d", data.orig_dev_id.mj, data.orig_dev_id.mn,
		      data.err_code);
	} else {
		blk_snap_event_low_free_space data;
		std::memcpy(&data, arg->data, sizeof(data));
		event.requested = data.requested_nr_sect;
		TRACE("event: low free space, %llu sectors", (unsigned long long)event.requested);
	}
	return result;
}

long remove_tracker(const Device &device)
{
	UserBuffer buffer;
	auto *arg = argument<blk_snap_tracker_remove>(buffer);
	arg->dev_id = number_of(device);
	return call("tracker_remove", IOCTL_BLK_SNAP_TRACKER_REMOVE, buffer, is_compat());
}

} // namespace agent_ioctl

} // namespace sim
