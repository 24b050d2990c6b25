// SPDX-License-Identifier: GPL-2.0
//
// ExcludedRanges against a bitmap, and the sort that it stands on.
#include <blksnap/core/excluded_ranges.hpp>

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

Vector<SectorRange> ranges_of(std::initializer_list<SectorRange> items)
{
	Vector<SectorRange> ranges;
	for (const SectorRange &range : items)
		EXPECT_TRUE(ranges.push_back(range).ok());
	return ranges;
}

ExcludedRanges joined(const ExcludedRanges &known, const Vector<SectorRange> &more)
{
	auto result = ExcludedRanges::join(known, more);
	EXPECT_TRUE(result.ok());
	return result.release_value();
}

} // namespace

TEST(heap_sort, orders_any_input)
{
	std::mt19937 random(1);
	for (u32 size = 0; size < 70; size++) {
		std::vector<u32> items(size);
		for (u32 &item : items)
			item = random() % 50;
		auto expected = items;
		std::sort(expected.begin(), expected.end());
		heap_sort(items.data(), size, [](u32 a, u32 b) { return a < b; });
		EXPECT_EQ(items, expected);
	}
}

TEST(excluded_ranges, nothing_is_excluded_at_first)
{
	ExcludedRanges none;
	EXPECT_TRUE(none.empty());
	const auto run = none.lookup(5, 100);
	EXPECT_FALSE(run.excluded);
	EXPECT_EQ(run.sectors, 100u);
}

TEST(excluded_ranges, runs_end_where_the_state_changes)
{
	const auto excluded = joined({}, ranges_of({{100, 10}, {40, 8}}));

	EXPECT_EQ(excluded.lookup(0, 1000).sectors, 40u);
	EXPECT_TRUE(excluded.lookup(40, 1000).excluded);
	EXPECT_EQ(excluded.lookup(40, 1000).sectors, 8u);
	EXPECT_EQ(excluded.lookup(47, 1000).sectors, 1u);
	EXPECT_FALSE(excluded.lookup(48, 1000).excluded);
	EXPECT_EQ(excluded.lookup(48, 1000).sectors, 52u);
	EXPECT_EQ(excluded.lookup(48, 20).sectors, 20u);
	EXPECT_TRUE(excluded.lookup(109, 5).excluded);
	EXPECT_FALSE(excluded.lookup(110, 5).excluded);
}

TEST(excluded_ranges, neighbours_and_overlaps_become_one)
{
	auto excluded = joined({}, ranges_of({{8, 8}, {16, 8}, {20, 2}}));
	excluded = joined(excluded, ranges_of({{0, 9}, {22, 10}}));
	EXPECT_TRUE(excluded.lookup(0, 100).excluded);
	EXPECT_EQ(excluded.lookup(0, 100).sectors, 32u);
}

TEST(excluded_ranges, agrees_with_a_bitmap)
{
	std::mt19937 random(7);
	for (u32 round = 0; round < 50; round++) {
		std::vector<bool> model(400);
		ExcludedRanges excluded;
		for (u32 step = 0; step < 5; step++) {
			Vector<SectorRange> more;
			for (u32 i = 0; i < random() % 6; i++) {
				const u64 first = random() % 380;
				const u64 count = 1 + random() % 20;
				ASSERT_TRUE(more.push_back({first, count}).ok());
				for (u64 s = first; s < first + count; s++)
					model[s] = true;
			}
			excluded = joined(excluded, more);
		}
		for (u64 sector = 0; sector < 400; sector++) {
			u64 same = 1;
			while (sector + same < 400 && model[sector + same] == model[sector])
				same++;
			const auto run = excluded.lookup(sector, 400 - sector);
			EXPECT_EQ(run.excluded, model[sector]);
			EXPECT_EQ(run.sectors, same);
		}
	}
}

TEST(excluded_ranges, a_join_without_memory_changes_nothing)
{
	const auto known = joined({}, ranges_of({{0, 8}}));
	const auto more = ranges_of({{16, 8}});
	const long faults = fake::walk_allocation_failures([&](long) {
		(void)ExcludedRanges::join(known, more).ok();
		EXPECT_EQ(known.lookup(0, 100).sectors, 8u);
		EXPECT_FALSE(known.lookup(16, 1).excluded);
	});
	EXPECT_EQ(faults, 1);
}
