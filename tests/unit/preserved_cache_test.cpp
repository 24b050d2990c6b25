// SPDX-License-Identifier: GPL-2.0
//
// PreservedCache: what it knows is true, and what was added last it knows.
#include <blksnap/core/preserved_cache.hpp>

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

TEST(preserved_cache, knows_nothing_at_first)
{
	PreservedCache cache;
	ASSERT_TRUE(cache.init(1 << 20).ok());
	EXPECT_FALSE(cache.knows(0, 1)); // its tag is what memory of zeroes looks like
	EXPECT_FALSE(cache.knows(31, 33));
	EXPECT_FALSE(cache.knows(1 << 19, (1 << 19) + 1));
}

TEST(preserved_cache, knows_what_was_added_and_not_its_neighbours)
{
	PreservedCache cache;
	ASSERT_TRUE(cache.init(1 << 20).ok());
	cache.add(30, 97); // groups 0 to 3
	EXPECT_TRUE(cache.knows(30, 97));
	EXPECT_TRUE(cache.knows(31, 32));
	EXPECT_TRUE(cache.knows(64, 96));
	EXPECT_FALSE(cache.knows(29, 31));
	EXPECT_FALSE(cache.knows(96, 98));
	cache.add(28, 30); // bits of a group add up
	EXPECT_TRUE(cache.knows(28, 97));
}

TEST(preserved_cache, tells_how_far_it_knows)
{
	PreservedCache cache;
	ASSERT_TRUE(cache.init(1 << 20).ok());
	EXPECT_EQ(cache.known_until(7, 1000), 7u);
	cache.add(30, 97);
	EXPECT_EQ(cache.known_until(30, 97), 97u);
	EXPECT_EQ(cache.known_until(40, 50), 50u);
	EXPECT_EQ(cache.known_until(40, 1000), 96u); // only one block of that group is
	EXPECT_EQ(cache.known_until(29, 1000), 29u);
	EXPECT_EQ(cache.known_until(50, 50), 50u);
}

TEST(preserved_cache, a_group_replaces_another_of_the_same_index)
{
	PreservedCache cache;
	ASSERT_TRUE(cache.init(64).ok()); // two entries
	cache.add(0, 32);
	cache.add(64, 65);
	EXPECT_FALSE(cache.knows(0, 1));
	EXPECT_TRUE(cache.knows(64, 65));
	EXPECT_FALSE(cache.knows(65, 66)) << "bits of the group before it";
}

TEST(preserved_cache, a_device_that_is_too_large_goes_without)
{
	PreservedCache cache;
	ASSERT_TRUE(cache.init(u64{1} << 40).ok());
	cache.add(0, 32);
	EXPECT_FALSE(cache.knows(0, 1));
	// The group of this block has the number of the first in its low 32 bits.
	EXPECT_FALSE(cache.knows(u64{1} << 37, (u64{1} << 37) + 1));
}

TEST(preserved_cache, without_memory_it_says_so)
{
	PreservedCache cache;
	fake::fail_allocation(1);
	EXPECT_FALSE(cache.init(1000).ok());
	fake::fail_allocation(0);
}

TEST(preserved_cache, never_claims_what_was_not_added)
{
	constexpr u64 kBlocks = 3 << 20; // more groups than entries
	PreservedCache cache;
	ASSERT_TRUE(cache.init(kBlocks).ok());
	std::vector<bool> added(kBlocks);
	std::mt19937_64 random(7);
	u64 known = 0;
	for (int i = 0; i < 200000; i++) {
		const u64 block = random() % (kBlocks - 300);
		const u64 end = block + 1 + random() % (i % 16 ? 8 : 300);
		if (i % 2) {
			cache.add(block, end);
			std::fill(added.begin() + block, added.begin() + end, true);
			EXPECT_TRUE(cache.knows(block, end));
		} else if (cache.knows(block, end)) {
			known++;
			for (u64 at = block; at < end; at++)
				ASSERT_TRUE(added[at]) << at;
		}
	}
	EXPECT_GT(known, 0u);
}
