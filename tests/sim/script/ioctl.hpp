// SPDX-License-Identifier: GPL-2.0
//
// Ioctls: the calls of an agent, with arguments in simulated user memory.
//
// The same program may be a 64-bit or a 32-bit one: each call is made in one of the two layouts. What
// the core writes is checked against what it may write: the rest of the memory stays as it was.
#pragma once

#include <blksnap.h>
#include <cstring>
#include <vector>
#include <world/world.hpp>

namespace sim
{

// A piece of the memory of the calling program.
class UserBuffer
{
public:
	UserBuffer();
	~UserBuffer();
	UserBuffer(const UserBuffer &) = delete;

	template <class T> T *at(std::size_t offset = 0)
	{
		return reinterpret_cast<T *>(slot_ + offset);
	}
	u64 address(std::size_t offset = 0) const { return reinterpret_cast<u64>(slot_ + offset); }
	// Fails the history if a byte from `from` to `to` is not as it was at the beginning.
	void check_untouched(std::size_t from, std::size_t to) const;

private:
	char *slot_;
};

namespace agent_ioctl
{

struct Event {
	u32 code;
	Device *origin; // of a corrupted event
	int error;
	u64 requested;
	u64 time_us;
};

struct Image {
	blk_snap_dev origin;
	blk_snap_dev image;
};

// Room in an array that a program passes. None: it passes no array.
constexpr u32 kRoom = 64;
constexpr u32 kNoArray = ~u32{0};

long version(blk_snap_version &version);
long create(const std::vector<Device *> &devices, u8 (&id)[16]);
long append(const u8 (&id)[16], const Device &device, const blk_snap_block_range *ranges,
	    u32 count);
long take(const u8 (&id)[16]);
long destroy(const u8 (&id)[16]);
long wait_event(const u8 (&id)[16], u32 timeout_ms, Event &event);
long read_map(const Device &device, std::vector<u8> &map);
long remove_tracker(const Device &device);
long mark_dirty(const Device &device, const blk_snap_block_range *ranges, u32 count);

// `needed` is the count that the call gives back.
struct Count {
	u32 room = kRoom;
	u32 needed = 0;
};
long collect_images(const u8 (&id)[16], std::vector<Image> &images, Count &count);
long collect_trackers(std::vector<blk_snap_cbt_info> &infos, Count &count);
long collect_snapshots(std::vector<blk_snap_uuid> &ids, Count &count);
inline long collect_images(const u8 (&id)[16], std::vector<Image> &images)
{
	Count count;
	return collect_images(id, images, count);
}
inline long collect_trackers(std::vector<blk_snap_cbt_info> &infos)
{
	Count count;
	return collect_trackers(infos, count);
}

} // namespace agent_ioctl

} // namespace sim
