// SPDX-License-Identifier: GPL-2.0
//
// CopyTable against a plain list: which copy covers a block, and how far the gaps between them go.
#include <blksnap/core/copy_table.hpp>

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

class CopyTableTest : public testing::Test
{
protected:
	CopyTableTest() { EXPECT_TRUE(table_.init(8192).ok()); }
	~CopyTableTest() override
	{
		for (Copy *copy : copies_) {
			table_.remove(*copy);
			destroy(copy);
		}
		EXPECT_TRUE(table_.empty());
	}
	Copy &add(u64 first, u32 blocks)
	{
		Copy *copy = Copy::create(fake::no_area(), CopyUse::Origin, 1, false, Gfp::Kernel);
		copy->first = first;
		copy->blocks = blocks;
		table_.insert(*copy);
		copies_.push_back(copy);
		return *copy;
	}
	bool covered(u64 block) const
	{
		for (const Copy *copy : copies_)
			if (block >= copy->first && block < copy->end())
				return true;
		return false;
	}

	CopyTable table_;
	std::vector<Copy *> copies_;
};

} // namespace

TEST_F(CopyTableTest, finds_a_copy_by_each_of_its_blocks)
{
	Copy &copy = add(10, 3);
	EXPECT_EQ(table_.find(9), nullptr);
	EXPECT_EQ(table_.find(10), &copy);
	EXPECT_EQ(table_.find(12), &copy);
	EXPECT_EQ(table_.find(13), nullptr);
}

TEST_F(CopyTableTest, a_gap_ends_at_the_next_copy_or_the_limit_or_after_some_regions)
{
	EXPECT_EQ(table_.gap(0, 1000), 1000u);
	EXPECT_EQ(table_.gap(200, u64{1} << 40), u64{1} << 40);
	EXPECT_EQ(table_.gap(200, 5), 5u);
	add(210, 2);
	EXPECT_EQ(table_.gap(200, 1000), 10u);
	EXPECT_EQ(table_.gap(212, 1000), 1000u);
	EXPECT_EQ(table_.gap(212, u64{1} << 40), 8 * Copy::kRegionBlocks - 212);
	add(5 * Copy::kRegionBlocks + 7, 1);
	EXPECT_EQ(table_.gap(212, u64{1} << 40), 5 * Copy::kRegionBlocks + 7 - 212);
}

// Regions far apart share buckets: they must not be taken for each other.
TEST_F(CopyTableTest, regions_in_one_bucket_are_kept_apart)
{
	constexpr u64 far = u64{1} << 40;
	Copy &near = add(0, 4);
	for (u64 i = 1; i < 600; i++)
		add(far + i * Copy::kRegionBlocks, 4);
	EXPECT_EQ(table_.find(2), &near);
	EXPECT_EQ(table_.find(far), nullptr);
	EXPECT_EQ(table_.gap(4, 1000), 1000u);
	EXPECT_EQ(table_.find(far + 5 * Copy::kRegionBlocks), copies_[5]);
}

// Chains are walked with interrupts off: they must not grow with the limit.
TEST(copy_table, chains_are_short_whatever_the_number_of_copies)
{
	for (const u32 count : {256u, 8192u, 1u << 17}) {
		std::mt19937_64 random(count);
		std::vector<Copy *> copies;
		CopyTable table;
		ASSERT_TRUE(table.init(count).ok());
		for (u32 i = 0; i < count; i++) { // one block each, on a device of 16 TiB
			Copy *copy = Copy::create(fake::no_area(), CopyUse::Origin, 1, false,
						  Gfp::Kernel);
			copy->first = random() % (u64{1} << 32);
			copy->blocks = 1;
			table.insert(*copy);
			copies.push_back(copy);
		}
		u32 longest = 0;
		for (Copy *copy : copies)
			longest = std::max(longest, table.chain(copy->first));
		EXPECT_LE(longest, 40u) << count;
		for (Copy *copy : copies) {
			table.remove(*copy);
			destroy(copy);
		}
	}
}

TEST(copy_table, says_that_there_is_no_memory)
{
	const long before = fake::live_allocations();
	{
		CopyTable table;
		fake::fail_allocation(1);
		EXPECT_EQ(table.init(1u << 24).error(), Errno::NoMem);
		EXPECT_EQ(table.find(0), nullptr);
		EXPECT_EQ(table.gap(0, 5), 5u);
		EXPECT_TRUE(table.init(~0u).ok());
	}
	EXPECT_EQ(fake::live_allocations(), before);
}

TEST_F(CopyTableTest, agrees_with_a_list)
{
	std::mt19937 random(3);
	for (u32 i = 0; i < 300; i++) {
		const u64 first = random() % 4096;
		const auto blocks = static_cast<u32>(1 + random() % 6);
		bool free =
			first / Copy::kRegionBlocks == (first + blocks - 1) / Copy::kRegionBlocks;
		for (u32 b = 0; b < blocks; b++)
			free &= !covered(first + b);
		if (free)
			add(first, blocks);
	}
	for (u64 block = 0; block < 4096; block++) {
		EXPECT_EQ(table_.find(block) != nullptr, covered(block));
		if (covered(block))
			continue;
		u64 end = block;
		const u64 most = (block / Copy::kRegionBlocks + 8) * Copy::kRegionBlocks;
		while (end + 1 < most && !covered(end + 1))
			end++;
		EXPECT_EQ(table_.gap(block, 4096), end + 1 - block);
	}
}
