// SPDX-License-Identifier: GPL-2.0
//
// Merging of sector ranges, against a bitmap.
#include <blksnap/core/sector_range.hpp>

#include <random>
#include <vector>

#include <gtest/gtest.h>

using namespace blksnap;

TEST(sector_range, knows_when_it_wraps)
{
	EXPECT_FALSE((SectorRange{0, 0}).wraps());
	EXPECT_FALSE((SectorRange{1, ~u64{0} - 1}).wraps());
	EXPECT_TRUE((SectorRange{1, ~u64{0}}).wraps());
	EXPECT_TRUE((SectorRange{~u64{0}, 2}).wraps());
}

TEST(sector_range, merges_nothing)
{
	Vector<SectorRange> ranges;
	merge(ranges);
	EXPECT_TRUE(ranges.empty());
	ASSERT_TRUE(ranges.push_back({5, 0}).ok());
	merge(ranges);
	EXPECT_TRUE(ranges.empty());
}

// The same sectors before and after, and as few ranges as there can be.
TEST(sector_range, merges_any_input)
{
	constexpr u32 kSectors = 64;
	std::mt19937 random(1);
	for (u32 round = 0; round < 3000; round++) {
		std::vector<bool> expected(kSectors), found(kSectors);
		Vector<SectorRange> ranges;
		for (u32 n = random() % 9; n > 0; n--) {
			const u64 first = random() % kSectors;
			const u64 count = random() % (random() % 4 ? 5 : kSectors - first + 1);
			const SectorRange range{first, min<u64>(count, kSectors - first)};
			for (u64 i = 0; i < range.count; i++)
				expected[first + i] = true;
			ASSERT_TRUE(ranges.push_back(range).ok());
		}
		merge(ranges);
		u64 end = 0;
		for (u32 i = 0; i < ranges.size(); i++) {
			ASSERT_FALSE(ranges[i].empty());
			ASSERT_TRUE(i == 0 || ranges[i].first > end);
			end = ranges[i].end();
			for (u64 sector = ranges[i].first; sector < end; sector++)
				found[sector] = true;
		}
		ASSERT_EQ(found, expected) << "round " << round;
	}
}

// A program may give many, and everybody else waits while they are marked.
TEST(sector_range, merges_a_quarter_of_a_million_of_whole_devices_into_one)
{
	constexpr u32 kMany = 256 * 1024;
	Vector<SectorRange> ranges;
	ASSERT_TRUE(ranges.reserve(kMany).ok());
	for (u32 i = 0; i < kMany; i++)
		ranges.push_reserved({0, u64{1} << 40});
	merge(ranges);
	ASSERT_EQ(ranges.size(), 1u);
	EXPECT_EQ(ranges[0].count, u64{1} << 40);
}
