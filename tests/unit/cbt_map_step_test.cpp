// SPDX-License-Identifier: GPL-2.0
//
// CBT map: one party comes in at each step of another. Not by chance: at the first atomic operation,
// at the second, and so on, before and after it.
#include "cbt_map_fixture.hpp"

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

constexpr u32 kBlocks = 20;

// Calls attempt(n) for n = 1, 2, ... until the n-th step is behind the end. In it, run(n, ...) lets
// `intruder` come in at that step of `body`.
class Steps
{
public:
	template <class Attempt> void walk(Attempt &&attempt)
	{
		for (u32 n = 1;; n++) {
			met_ = false;
			attempt(n);
			if (testing::Test::HasFatalFailure() || !met_)
				break;
			steps_ = n;
		}
	}
	template <class Body, class Intruder> void run(u32 n, Body &&body, Intruder &&intruder)
	{
		u32 step = 0;
		fake::set_atomic_hook([&] {
			if (++step != n)
				return;
			met_ = true;
			fake::set_atomic_hook(nullptr);
			intruder();
		});
		body();
		fake::set_atomic_hook(nullptr);
	}
	u32 steps() const { return steps_; }

private:
	bool met_ = false;
	u32 steps_ = 0;
};

// Some blocks have a mark from before, some none.
Own<CbtMap> make_used_map()
{
	auto map = make_map(kBlocks * kBlock);
	EXPECT_TRUE(mark(*map, 0, 10 * kBlock));
	take(*map);
	map->release_readable();
	return map;
}

Bytes used(std::initializer_list<u32> newer)
{
	Bytes bytes(kBlocks, 0);
	std::fill(bytes.begin(), bytes.begin() + 10, 1);
	for (u32 block : newer)
		bytes[block] = 2;
	return bytes;
}

} // namespace

// The narrow place is between the copier's look at the write map and its store to the mirror.
TEST(cbt_map_steps, a_mark_at_any_step_of_the_copy_is_kept)
{
	Steps steps;
	steps.walk([&](u32 n) {
		bool marked = false;
		auto map = make_used_map();
		ASSERT_TRUE(map->begin_switch().ok());
		// The words of these are filled byte by byte.
		(void)mark(*map, kBlock, 1);
		(void)mark(*map, 12 * kBlock, 1);
		steps.run(
			n, [&] { map->copy(); },
			[&] {
				for (u32 block : {0, 3, 9, 10, 17, 19})
					(void)mark(*map, block * kBlock, 1);
				marked = true;
			});
		map->commit_switch();
		ASSERT_EQ(contents(*map),
			  marked ? used({0, 1, 3, 9, 10, 12, 17, 19}) : used({1, 12}))
			<< "step " << n;
	});
	EXPECT_GT(steps.steps(), 2 * kBlocks);
}

// A mark that is not counted in flight meets the beginning, the copy or the end of a switch. It must be
// in the readable map with the number that is reported, and above that for the next client.
TEST(cbt_map_steps, a_dirty_mark_at_any_step_of_a_take_is_kept)
{
	Steps steps;
	steps.walk([&](u32 n) {
		bool marked = false;
		auto map = make_used_map();
		steps.run(
			n, [&] { take(*map); },
			[&] {
				map->mark_both(3 * kBlock, 1);
				map->mark_both(15 * kBlock, 1);
				marked = true;
			});
		ASSERT_EQ(contents(*map), marked ? used({3, 15}) : used({})) << "step " << n;
	});
	EXPECT_GT(steps.steps(), 2 * kBlocks);
}

// The other way round: the gate is closed and the maps are switched while such a mark is under way, and
// the next writer marks some of the same blocks, with a higher number.
TEST(cbt_map_steps, a_switch_at_any_step_of_a_dirty_mark_loses_nothing)
{
	Steps steps;
	steps.walk([&](u32 n) {
		bool switched = false;
		auto map = make_used_map();
		ASSERT_TRUE(map->begin_switch().ok());
		shim_rcu_synchronize();
		map->copy();
		steps.run(
			n, [&] { map->mark_both(3 * kBlock, 15 * kBlock); },
			[&] {
				map->commit_switch();
				(void)mark(*map, 8 * kBlock, 5 * kBlock);
				switched = true;
			});
		if (!switched)
			map->commit_switch();
		map->finish_switch();
		for (u32 block = 3; block < 18; block++)
			ASSERT_EQ(contents(*map)[block], 2) << "block " << block << " step " << n;
		map->release_readable();
		take(*map);
		for (u32 block = 3; block < 18; block++) {
			const bool again = switched && block >= 8 && block < 13;
			ASSERT_GE(contents(*map)[block], again ? 3 : 2)
				<< "block " << block << " step " << n;
		}
	});
	EXPECT_GT(steps.steps(), 15u);
}
