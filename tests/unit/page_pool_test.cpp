// SPDX-License-Identifier: GPL-2.0
//
// PagePool: the reserve is always there, the limit holds, nothing leaks.
#include <blksnap/core/page_pool.hpp>

#include <vector>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

TEST(page_pool, gives_the_reserve_first_and_then_up_to_the_limit)
{
	const long before = fake::live_allocations();
	{
		PagePool pool;
		ASSERT_TRUE(pool.fill(2, 5).ok());
		std::vector<page *> taken;
		while (page *one = pool.take())
			taken.push_back(one);
		EXPECT_EQ(taken.size(), 5u);
		EXPECT_FALSE(pool.may_give());
		for (page *one : taken)
			pool.give(one);
		EXPECT_TRUE(pool.may_give());
		// Only the reserve is kept: its pages and the array that lists them.
		EXPECT_EQ(fake::live_allocations(), before + 3);
	}
	EXPECT_EQ(fake::live_allocations(), before);
}

TEST(page_pool, without_memory_the_reserve_still_comes)
{
	PagePool pool;
	ASSERT_TRUE(pool.fill(1, 10).ok());
	page *one = pool.take();
	ASSERT_NE(one, nullptr);
	fake::fail_allocation(1);
	EXPECT_EQ(pool.take(), nullptr);
	fake::fail_allocation(0);
	pool.give(one);
	one = pool.take();
	EXPECT_NE(one, nullptr);
	pool.give(one);
}

TEST(page_pool, a_limit_below_the_reserve_is_the_reserve)
{
	PagePool pool;
	ASSERT_TRUE(pool.fill(3, 1).ok());
	std::vector<page *> taken;
	while (page *one = pool.take())
		taken.push_back(one);
	EXPECT_EQ(taken.size(), 3u);
	for (page *one : taken)
		pool.give(one);
}

TEST(page_pool, each_failed_allocation_of_the_reserve_leaves_nothing)
{
	const long before = fake::live_allocations();
	const long faults = fake::walk_allocation_failures([&](long) {
		{
			PagePool pool;
			(void)pool.fill(3, 3).ok();
		}
		EXPECT_EQ(fake::live_allocations(), before);
	});
	EXPECT_EQ(faults, 4);
}
