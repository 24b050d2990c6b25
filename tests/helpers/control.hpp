// SPDX-License-Identifier: GPL-2.0
//
// The ioctls of /dev/blksnap, one call each. What fails throws; try_ variants return the errno.
#pragma once

#include <blksnap.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

class Control
{
public:
	Control() : fd_(open("/dev/blksnap", O_RDWR | O_CLOEXEC))
	{
		if (fd_ < 0)
			throw std::system_error(errno, std::generic_category(), "/dev/blksnap");
	}
	~Control() { close(fd_); }
	Control(const Control &) = delete;
	Control &operator=(const Control &) = delete;

	int fd() const { return fd_; }

	// Return: 0 or an errno.
	int try_call(unsigned long request, void *argument) const
	{
		return ioctl(fd_, request, argument) < 0 ? errno : 0;
	}
	void call(unsigned long request, void *argument, const char *what) const
	{
		if (const int error = try_call(request, argument))
			throw std::system_error(error, std::generic_category(), what);
	}

	blk_snap_uuid create(std::vector<blk_snap_dev> devices) const
	{
		blk_snap_snapshot_create argument{};
		argument.count = static_cast<__u32>(devices.size());
		argument.dev_id_array = devices.data();
		call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &argument, "create");
		return argument.id;
	}
	int try_append(const blk_snap_uuid &id, blk_snap_dev device,
		       std::vector<blk_snap_block_range> ranges) const
	{
		blk_snap_snapshot_append_storage argument{};
		argument.id = id;
		argument.dev_id = device;
		argument.count = static_cast<__u32>(ranges.size());
		argument.ranges = ranges.data();
		return try_call(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &argument);
	}
	int try_take(const blk_snap_uuid &id) const
	{
		blk_snap_snapshot_take argument{id};
		return try_call(IOCTL_BLK_SNAP_SNAPSHOT_TAKE, &argument);
	}
	int try_destroy(const blk_snap_uuid &id) const
	{
		blk_snap_snapshot_destroy argument{id};
		return try_call(IOCTL_BLK_SNAP_SNAPSHOT_DESTROY, &argument);
	}
	std::vector<blk_snap_image_info> images(const blk_snap_uuid &id) const
	{
		blk_snap_snapshot_collect_images argument{};
		argument.id = id;
		call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &argument, "collect images");
		std::vector<blk_snap_image_info> images(argument.count);
		argument.image_info_array = images.data();
		call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &argument, "collect images");
		return images;
	}
	__u32 snapshots() const
	{
		blk_snap_snapshot_collect argument{};
		call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &argument, "collect");
		return argument.count;
	}
	__u32 trackers() const
	{
		blk_snap_tracker_collect argument{};
		call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &argument, "collect trackers");
		return argument.count;
	}

private:
	int fd_;
};

inline blk_snap_dev device_of(const std::string &path)
{
	struct stat status;
	if (stat(path.c_str(), &status) || !S_ISBLK(status.st_mode))
		throw std::runtime_error(path + " is no block device");
	return {major(status.st_rdev), minor(status.st_rdev)};
}
