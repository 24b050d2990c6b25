// SPDX-License-Identifier: GPL-2.0
//
// Ioctls: see the header. Arrays lie behind the structure in the same slot of user memory.
#include <script/ioctl.hpp>

#include <world/report.hpp>

namespace sim
{

UserBuffer::UserBuffer()
{
	if (world().user_slots.empty())
		fail("script", "out of user memory");
	slot_ = world().user_slots.back();
	world().user_slots.pop_back();
	std::memset(slot_, 0xee, kUserSlotBytes);
}

UserBuffer::~UserBuffer()
{
	world().user_slots.push_back(slot_);
}

namespace agent_ioctl
{

namespace
{

constexpr std::size_t kArray = 4096;

long call(const char *name, unsigned command, UserBuffer &buffer)
{
	TRACE("-> %s", name);
	const long result = blksnap_control_ioctl(command, buffer.address(), 0);
	TRACE("<- %s: %ld", name, result);
	return result;
}

blk_snap_dev number_of(const Device &device)
{
	return {device.major, device.minor};
}

template <class T> T *argument(UserBuffer &buffer, const u8 (&id)[16])
{
	auto *arg = buffer.at<T>();
	*arg = {};
	std::memcpy(arg->id.b, id, 16);
	return arg;
}

} // namespace

long create(const std::vector<Device *> &devices, u8 (&id)[16])
{
	UserBuffer buffer;
	auto *arg = buffer.at<blk_snap_snapshot_create>();
	*arg = {};
	arg->count = static_cast<u32>(devices.size());
	arg->dev_id_array = buffer.at<blk_snap_dev>(kArray);
	for (u32 i = 0; i < devices.size(); i++)
		arg->dev_id_array[i] = number_of(*devices[i]);
	const long result = call("create", IOCTL_BLK_SNAP_SNAPSHOT_CREATE, buffer);
	std::memcpy(id, arg->id.b, 16);
	return result;
}

long append(const u8 (&id)[16], const Device &device, const blk_snap_block_range *ranges,
	    u32 count)
{
	UserBuffer buffer;
	auto *arg = argument<blk_snap_snapshot_append_storage>(buffer, id);
	arg->dev_id = number_of(device);
	arg->count = count;
	arg->ranges = buffer.at<blk_snap_block_range>(kArray);
	std::memcpy(arg->ranges, ranges, count * sizeof(*ranges));
	return call("append", IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, buffer);
}

long take(const u8 (&id)[16])
{
	UserBuffer buffer;
	argument<blk_snap_snapshot_take>(buffer, id);
	return call("take", IOCTL_BLK_SNAP_SNAPSHOT_TAKE, buffer);
}

long destroy(const u8 (&id)[16])
{
	UserBuffer buffer;
	argument<blk_snap_snapshot_destroy>(buffer, id);
	return call("destroy", IOCTL_BLK_SNAP_SNAPSHOT_DESTROY, buffer);
}

long collect_images(const u8 (&id)[16], std::vector<Image> &images)
{
	UserBuffer buffer;
	auto *arg = argument<blk_snap_snapshot_collect_images>(buffer, id);
	arg->count = 64;
	arg->image_info_array = buffer.at<blk_snap_image_info>(kArray);
	const long result = call("collect_images", IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, buffer);
	if (result < 0)
		return result;
	for (u32 i = 0; i < arg->count; i++)
		images.push_back({arg->image_info_array[i].orig_dev_id,
				  arg->image_info_array[i].image_dev_id});
	return result;
}

long wait_event(const u8 (&id)[16], u32 timeout_ms, Event &event)
{
	UserBuffer buffer;
	auto *arg = argument<blk_snap_snapshot_event>(buffer, id);
	arg->timeout_ms = timeout_ms;
	const long result = blksnap_control_ioctl(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT,
						  buffer.address(), 0);
	event = {arg->code, nullptr, 0, 0};
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

long collect_trackers(std::vector<blk_snap_cbt_info> &infos)
{
	UserBuffer buffer;
	auto *arg = buffer.at<blk_snap_tracker_collect>();
	*arg = {};
	arg->count = 64;
	arg->cbt_info_array = buffer.at<blk_snap_cbt_info>(kArray);
	const long result = call("tracker_collect", IOCTL_BLK_SNAP_TRACKER_COLLECT, buffer);
	if (result >= 0)
		infos.assign(arg->cbt_info_array, arg->cbt_info_array + arg->count);
	return result;
}

long read_map(const Device &device, std::vector<u8> &map)
{
	UserBuffer buffer;
	auto *arg = buffer.at<blk_snap_tracker_read_cbt_bitmap>();
	for (;;) {
		*arg = {};
		arg->dev_id = number_of(device);
		arg->offset = static_cast<u32>(map.size());
		arg->length = static_cast<u32>(1 + world().random.below(300));
		arg->buff = buffer.at<u8>(kArray);
		const long result = call("read_map", IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, buffer);
		if (result <= 0)
			return result;
		if (result > static_cast<long>(arg->length))
			fail("cbt", "%ld bytes of map in a buffer of %u", result, arg->length);
		map.insert(map.end(), arg->buff, arg->buff + result);
	}
}

long remove_tracker(const Device &device)
{
	UserBuffer buffer;
	auto *arg = buffer.at<blk_snap_tracker_remove>();
	arg->dev_id = number_of(device);
	return call("tracker_remove", IOCTL_BLK_SNAP_TRACKER_REMOVE, buffer);
}

} // namespace agent_ioctl

} // namespace sim
