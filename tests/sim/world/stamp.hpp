// SPDX-License-Identifier: GPL-2.0
//
// Stamp: what a sector holds. It names the write that left it, the disk and the sector.
//
// Zero is the content of a sector that reads as zeroes. Write 0 is the content from before history.
#pragma once

#include <world/random.hpp>

namespace sim
{

struct Stamp {
	u64 write;
	u32 disk;
	u32 sector;

	// Of a write 28 bits, of a disk 16, of a sector 20: a history that ages images has thousands of disks.
	bool is_of(u32 id) const { return disk == id; }
	static constexpr u64 pack(u64 write, u32 disk, u64 sector)
	{
		return (write << 36) | (u64{disk & 0xffff} + 1) << 20 | (sector & 0xfffff);
	}
	static constexpr Stamp unpack(u64 raw)
	{
		return {raw >> 36, static_cast<u32>((raw >> 20 & 0xffff) - 1),
			static_cast<u32>(raw & 0xfffff)};
	}
};

} // namespace sim
