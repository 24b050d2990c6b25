// SPDX-License-Identifier: GPL-2.0
//
// What the tests of the CBT map share.
#pragma once

#include <blksnap/core/cbt_map.hpp>

#include <vector>

#include <blksnap/port/lock.h>
#include <gtest/gtest.h>

namespace blksnap
{

constexpr u32 kShift = 16;
constexpr u32 kMaximum = 1 << 21;
constexpr u64 kBlock = 128; // sectors of 64 KiB

inline Own<CbtMap> make_map(u64 sectors, u32 shift = kShift, u32 maximum = kMaximum)
{
	auto map = CbtMap::create(sectors, shift, maximum);
	EXPECT_TRUE(map.ok());
	return map.release_value();
}

inline bool mark(CbtMap &map, u64 sector, u64 sectors)
{
	shim_rcu_read_lock();
	const bool inside = map.mark(sector, sectors);
	shim_rcu_read_unlock();
	return inside;
}

inline void take(CbtMap &map)
{
	ASSERT_TRUE(map.begin_switch().ok());
	shim_rcu_synchronize();
	map.copy();
	map.commit_switch();
	map.finish_switch();
}

inline std::vector<int> contents(const CbtMap &map)
{
	std::vector<int> all;
	for (;;) {
		u8 bytes[7];
		auto piece = map.read(u32(all.size()), 7, bytes);
		EXPECT_TRUE(piece.ok());
		if (!piece.ok() || piece.value() == 0)
			return all;
		all.insert(all.end(), bytes, bytes + piece.value());
	}
}

using Bytes = std::vector<int>;

} // namespace blksnap
