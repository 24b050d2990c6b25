// SPDX-License-Identifier: GPL-2.0
//
// What a driver is asked to do: the requests issued to one disk, from the kernel's own trace.
#pragma once

#include "disk.hpp"

#include <string>
#include <vector>

namespace kselftest
{

class BlockTrace
{
public:
	// Begins. Skips the test if there is no tracing here.
	explicit BlockTrace(const Disk &disk);
	~BlockTrace();
	BlockTrace(const BlockTrace &) = delete;
	BlockTrace &operator=(const BlockTrace &) = delete;

	// Of each request issued since: its letters as in blktrace, like "WFS" (write, FUA, sync) or
	// "FF" (flush), that touched these sectors; without sectors all.
	std::vector<std::string> issued() const;
	std::vector<std::string> issued(std::uint64_t first_sector, std::uint64_t sectors) const;

private:
	std::string directory_;
};

} // namespace kselftest
