// SPDX-License-Identifier: GPL-2.0
//
// IntrusiveList: order, removal anywhere, two lists through two hooks.
#include <blksnap/base/list.hpp>

#include <vector>

#include <gtest/gtest.h>

using namespace blksnap;

namespace
{

struct Item {
	explicit Item(int n) : number(n) {}
	int number;
	ListHook in_order;
	ListHook on_other;
};

using Order = IntrusiveList<Item, &Item::in_order>;
using Other = IntrusiveList<Item, &Item::on_other>;

template <class List> std::vector<int> numbers(const List &list)
{
	std::vector<int> all;
	for (Item &item : list)
		all.push_back(item.number);
	return all;
}

using Numbers = std::vector<int>;

} // namespace

TEST(list, keeps_order_at_both_ends)
{
	Order list;
	Item one(1), two(2), three(3);
	EXPECT_TRUE(list.empty());
	EXPECT_EQ(list.front(), nullptr);
	EXPECT_EQ(list.pop_front(), nullptr);
	list.push_back(two);
	list.push_back(three);
	list.push_front(one);
	EXPECT_EQ(numbers(list), (Numbers{1, 2, 3}));
	EXPECT_EQ(list.front(), &one);
	EXPECT_EQ(list.next(one), &two);
	EXPECT_EQ(list.next(three), nullptr);
	EXPECT_EQ(list.pop_front(), &one);
	EXPECT_EQ(numbers(list), (Numbers{2, 3}));
	EXPECT_FALSE(one.in_order.linked());
	list.pop_front();
	list.pop_front();
	EXPECT_TRUE(list.empty());
}

TEST(list, removes_anywhere)
{
	for (int gone = 0; gone < 3; gone++) {
		Order list;
		Item items[] = {Item(0), Item(1), Item(2)};
		Numbers left;
		for (auto &item : items)
			list.push_back(item);
		list.remove(items[gone]);
		EXPECT_FALSE(items[gone].in_order.linked());
		for (int i = 0; i < 3; i++) {
			if (i != gone)
				left.push_back(i);
		}
		EXPECT_EQ(numbers(list), left);
		list.push_back(items[gone]);
		left.push_back(gone);
		EXPECT_EQ(numbers(list), left);
		while (list.pop_front()) {
		}
	}
}

TEST(list, hooks_are_independent)
{
	Order order;
	Other other;
	Item one(1), two(2);
	order.push_back(one);
	order.push_back(two);
	other.push_back(two);
	other.push_back(one);
	EXPECT_EQ(numbers(order), (Numbers{1, 2}));
	EXPECT_EQ(numbers(other), (Numbers{2, 1}));
	order.remove(one);
	EXPECT_TRUE(one.on_other.linked());
	EXPECT_EQ(other.pop_front(), &two);
	EXPECT_EQ(other.pop_front(), &one);
	order.pop_front();
}

TEST(list, splices_behind)
{
	Order list, more, none;
	Item one(1), two(2), three(3);
	list.push_back(one);
	more.push_back(two);
	more.push_back(three);
	list.splice_back(more);
	list.splice_back(none);
	EXPECT_TRUE(more.empty());
	EXPECT_EQ(numbers(list), (Numbers{1, 2, 3}));
	none.splice_back(list);
	EXPECT_EQ(numbers(none), (Numbers{1, 2, 3}));
	while (none.pop_front()) {
	}
}

TEST(list_death, an_item_is_on_one_list_per_hook)
{
	Order first, second;
	Item item(1);
	first.push_back(item);
	EXPECT_DEATH(second.push_back(item), "assertion failed");
	EXPECT_DEATH(first.push_front(item), "assertion failed");
	first.pop_front();
	EXPECT_DEATH(first.remove(item), "assertion failed");
	EXPECT_DEATH(
		{
			Item dies(2);
			first.push_back(dies);
		},
		"assertion failed");
}
