// SPDX-License-Identifier: GPL-2.0
//
// Extents: where a file is on the device of its file system.
#pragma once

#include "kselftest.hpp"
#include "snapshot.hpp"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace kselftest
{

inline std::vector<blk_snap_block_range> ranges_of(const std::string &path)
{
	constexpr unsigned kExtents = 64;
	alignas(fiemap) unsigned char memory[sizeof(fiemap) + kExtents * sizeof(fiemap_extent)]{};
	auto *map = reinterpret_cast<fiemap *>(memory);
	const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
	std::vector<blk_snap_block_range> ranges;

	map->fm_length = ~0ull;
	map->fm_extent_count = kExtents;
	map->fm_flags = FIEMAP_FLAG_SYNC;
	if (ioctl(fd, FS_IOC_FIEMAP, map) == 0)
		for (unsigned i = 0; i < map->fm_mapped_extents; i++)
			ranges.push_back({map->fm_extents[i].fe_physical / 512,
					  map->fm_extents[i].fe_length / 512});
	close(fd);
	REQUIRE(!ranges.empty());
	return ranges;
}

} // namespace kselftest
