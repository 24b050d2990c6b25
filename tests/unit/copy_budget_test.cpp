// SPDX-License-Identifier: GPL-2.0
//
// CopyBudget: a budget without copies can always begin one, and nobody who waits is forgotten.
#include <blksnap/core/copy_budget.hpp>

#include <vector>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

class CopyBudgetTest : public testing::Test
{
protected:
	void fill(u32 reserve, u32 limit)
	{
		ASSERT_TRUE(budget_.fill(fake::no_area(), CopyUse::Origin, reserve, limit).ok());
	}
	Copy *begin(u64 first, u32 blocks)
	{
		return budget_.begin(fake::no_area(), CopyUse::Origin, first, blocks);
	}
	void wait(u32 count)
	{
		for (u32 i = 0; i < count; i++)
			budget_.wait(fake::bio(waiting_++));
	}
	// How many are woken when the copy ends.
	u32 end(Copy *copy)
	{
		BioList woken;
		budget_.end(*copy, woken);
		return count(woken);
	}
	static u32 count(BioList &bios)
	{
		u32 number = 0;
		while (bios.pop_front())
			number++;
		return number;
	}

	CopyBudget budget_;
	u32 waiting_ = 0;
};

} // namespace

TEST_F(CopyBudgetTest, a_copy_is_as_long_as_the_pages_reach)
{
	fill(2, 5);
	Copy *first = begin(0, 3);
	Copy *second = begin(100, 256);
	ASSERT_TRUE(first && second);
	EXPECT_EQ(first->blocks, 3u);
	EXPECT_EQ(second->blocks, 2u);
	EXPECT_EQ(second->first, 100u);
	EXPECT_EQ(begin(200, 1), nullptr);
	end(second);
	Copy *third = begin(200, 1);
	ASSERT_NE(third, nullptr);
	end(third);
	end(first);
}

TEST_F(CopyBudgetTest, without_memory_one_copy_can_still_begin)
{
	fill(1, 100);
	for (u32 i = 0; i < 50; i++) {
		fake::fail_allocation(1); // that of the copy: a spare one is taken
		Copy *copy = begin(i, 4);
		fake::fail_allocation(1); // that of a second page
		ASSERT_NE(copy, nullptr);
		EXPECT_TRUE(copy->spare);
		end(copy);
	}
	fake::fail_allocation(0);
}

TEST_F(CopyBudgetTest, as_many_wake_as_pages_come_back_and_all_with_the_last_copy)
{
	fill(2, 10);
	Copy *small = begin(0, 2);
	Copy *large = begin(10, 3);
	wait(10);
	EXPECT_EQ(end(small), 2u);
	EXPECT_TRUE(budget_.has_waiters());
	EXPECT_EQ(end(large), 8u);
	EXPECT_FALSE(budget_.has_waiters());
}

TEST_F(CopyBudgetTest, a_wake_that_is_not_needed_is_passed_on)
{
	fill(1, 1);
	Copy *copy = begin(0, 1);
	wait(2);
	BioList woken;
	budget_.pass_on(woken); // there is no page to pass on
	EXPECT_EQ(count(woken), 0u);
	Copy *other = copy;
	EXPECT_EQ(end(other), 2u);
	wait(2);
	budget_.pass_on(woken);
	EXPECT_EQ(count(woken), 1u);
	budget_.wake_all(woken);
	EXPECT_EQ(count(woken), 1u);
}
