// SPDX-License-Identifier: GPL-2.0
//
// Ioctls: the calls of an agent, with arguments in simulated user memory.
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
	u64 address(std::size_t offset = 0) const
	{
		return reinterpret_cast<u64>(slot_ + offset);
	}

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
};

struct Image {
	blk_snap_dev origin;
	blk_snap_dev image;
};

long create(const std::vector<Device *> &devices, u8 (&id)[16]);
long append(const u8 (&id)[16], const Device &device, const blk_snap_block_range *ranges,
	    u32 count);
long take(const u8 (&id)[16]);
long destroy(const u8 (&id)[16]);
long collect_images(const u8 (&id)[16], std::vector<Image> &images);
long wait_event(const u8 (&id)[16], u32 timeout_ms, Event &event);
long collect_trackers(std::vector<blk_snap_cbt_info> &infos);
long read_map(const Device &device, std::vector<u8> &map);
long remove_tracker(const Device &device);

} // namespace agent_ioctl

} // namespace sim
