// SPDX-License-Identifier: GPL-2.0
//
// What the threads know of the module: the devices they may use, and the snapshots that were made.
#pragma once

#include "random.hpp"

#include <blksnap.h>

#include <array>
#include <mutex>
#include <string>
#include <vector>

struct Device {
	std::string path;
	blk_snap_dev number;
	std::uint64_t sectors;
};

class World
{
public:
	std::vector<Device> origins, stores;
	std::vector<Device> kept; // Tracked from beginning to end; no call names it.
	blk_snap_uuid kept_id{};
	std::uint32_t image_major = 0;

	static Device open_device(const std::string &path);
	const Device *find(const blk_snap_dev &number) const;

	void learn(const blk_snap_uuid &id);
	blk_snap_uuid some_id(Random &random) const; // The latest one more often than not.

private:
	mutable std::mutex mutex_;
	std::array<blk_snap_uuid, 8> ids_{}; // The latest ones, dead or alive.
	std::size_t learned_ = 0;
};
