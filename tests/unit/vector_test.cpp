// SPDX-License-Identifier: GPL-2.0
//
// Vector: growth, moves, removal, and growth that fails.
#include <blksnap/base/vector.hpp>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

Own<int> make(int n)
{
	auto made = try_new<int>(Gfp::Kernel, n);
	EXPECT_TRUE(made.ok());
	return made.release_value();
}

} // namespace

TEST(vector, grows_and_keeps_its_items)
{
	const long before = fake::live_allocations();
	{
		Vector<Own<int>> items;
		EXPECT_TRUE(items.empty());
		for (int i = 0; i < 1000; i++)
			ASSERT_TRUE(items.push_back(make(i)).ok());
		EXPECT_EQ(items.size(), 1000u);
		int next = 0;
		for (auto &item : items)
			EXPECT_EQ(*item, next++);
		EXPECT_EQ(*items.back(), 999);
		items.clear();
		EXPECT_TRUE(items.empty());
		EXPECT_EQ(fake::live_allocations(), before + 1);
	}
	EXPECT_EQ(fake::live_allocations(), before);
}

TEST(vector, removes_in_order)
{
	Vector<Own<int>> items;
	for (int i = 0; i < 4; i++)
		ASSERT_TRUE(items.push_back(make(i)).ok());
	items.remove(1);
	items.remove(2);
	ASSERT_EQ(items.size(), 2u);
	EXPECT_EQ(*items[0], 0);
	EXPECT_EQ(*items[1], 2);
	items.remove(0);
	items.remove(0);
	EXPECT_TRUE(items.empty());
}

TEST(vector, moves_and_swaps)
{
	const long before = fake::live_allocations();
	{
		Vector<Own<int>> first, second;
		ASSERT_TRUE(first.push_back(make(1)).ok());
		ASSERT_TRUE(second.push_back(make(2)).ok());
		first.swap(second);
		EXPECT_EQ(*first[0], 2);
		Vector<Own<int>> third(std::move(first));
		EXPECT_TRUE(first.empty());
		second = std::move(third);
		EXPECT_EQ(*second[0], 2);
	}
	EXPECT_EQ(fake::live_allocations(), before);
}

TEST(vector, a_failed_growth_changes_nothing)
{
	Vector<int> items;
	ASSERT_TRUE(items.reserve(2).ok());
	items.push_reserved(1);
	items.push_reserved(2);
	fake::fail_allocation(1);
	EXPECT_EQ(items.push_back(3).error(), Errno::NoMem);
	ASSERT_EQ(items.size(), 2u);
	EXPECT_EQ(items[1], 2);
	EXPECT_TRUE(items.push_back(3).ok());
	EXPECT_TRUE(items.reserve(1).ok());
	EXPECT_TRUE(items.reserve(0).ok());
	EXPECT_EQ(items.size(), 3u);
}

TEST(vector_death, knows_its_bounds)
{
	Vector<int> items;
	EXPECT_DEATH(items.push_reserved(1), "assertion failed");
	EXPECT_DEATH((void)items[0], "assertion failed");
	EXPECT_DEATH((void)items.back(), "assertion failed");
	EXPECT_DEATH(items.remove(0), "assertion failed");
}
