// SPDX-License-Identifier: GPL-2.0
//
// Record: which versions of a sector of an origin may be seen. A sector has one write in flight at a time, so
// its versions come one after the other.
#pragma once

#include <machine/machine.hpp>

namespace threads
{

struct Cell {
	std::atomic<u64> submitted{0};
	std::atomic<u64> completed{0}; // a discard may do nothing: it does not count here
	std::atomic<bool> busy{false};
};

// The last sector of each origin is written by one thread only, in turn over all of them: an image of
// several shows whether it is of one instant.
constexpr u64 kTurnSector = kOriginSectors - 1;

// Nobody writes to these sectors of an origin but a store that is put there. Some lie in the partition.
constexpr u64 kSpare = 2900;
constexpr u64 kSpareSectors = 200;
constexpr bool is_spare(u64 sector)
{
	return sector >= kSpare && sector < kSpare + kSpareSectors;
}

Cell &cell(u32 origin, u64 sector);
std::vector<u64> versions(u32 origin, bool completed);
// Nobody writes: every origin holds what was written last.
void check_origins();

} // namespace threads
