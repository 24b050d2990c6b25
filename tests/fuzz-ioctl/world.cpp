// SPDX-License-Identifier: GPL-2.0
#include "world.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

Device World::open_device(const std::string &path)
{
	struct stat status;
	std::uint64_t bytes = 0;
	const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) || ioctl(fd, BLKGETSIZE64, &bytes))
		throw std::system_error(errno, std::generic_category(), path);
	close(fd);
	return {path, {major(status.st_rdev), minor(status.st_rdev)}, bytes / 512};
}

const Device *World::find(const blk_snap_dev &number) const
{
	for (const auto *list : {&origins, &stores, &kept})
		for (const Device &device : *list)
			if (device.number.mj == number.mj && device.number.mn == number.mn)
				return &device;
	return nullptr;
}

void World::learn(const blk_snap_uuid &id)
{
	const std::lock_guard lock(mutex_);
	ids_[learned_++ % ids_.size()] = id;
}

blk_snap_uuid World::some_id(Random &random) const
{
	const std::lock_guard lock(mutex_);
	if (learned_ && !random.one_in(4))
		return ids_[(learned_ - 1) % ids_.size()];
	return random.pick(ids_);
}
