// SPDX-License-Identifier: GPL-2.0
//
// CBT map: generations: the wrap, damage, another size, no memory.
#include "cbt_map_fixture.hpp"

#include "fake_port.hpp"

using namespace blksnap;

// The client's rule: full copy if the id is new, else the bytes above the number it saw.
TEST(cbt_map, a_client_misses_nothing_over_three_generations)
{
	constexpr u32 blocks = 16;
	auto map = make_map(blocks * kBlock);
	std::vector<u32> device(blocks, 0), backup(blocks, 0);
	Uuid known{};
	u8 seen = 0;
	u32 generations = 0;
	for (u32 round = 1; round <= 700; round++) {
		const u32 written = (round * 7) % blocks;
		device[written] = round;
		ASSERT_TRUE(mark(*map, written * kBlock, 1));
		const std::vector<u32> image = [&] {
			if (!map->begin_switch().ok())
				return device;
			const u32 late = (round * 3) % blocks;
			device[late] = round;
			(void)mark(*map, late * kBlock, 1);
			map->copy();
			map->commit_switch();
			return device;
		}();
		device[(round * 5) % blocks] = ~round;
		ASSERT_TRUE(mark(*map, (round * 5) % blocks * kBlock, 1));
		map->finish_switch();

		const auto info = map->info();
		const auto bytes = contents(*map);
		const bool full = !(info.generation_id == known);
		generations += full;
		for (u32 i = 0; i < blocks; i++) {
			if (full || bytes[i] > seen)
				backup[i] = image[i];
		}
		known = info.generation_id;
		seen = info.snap_number;
		ASSERT_EQ(backup, image) << "round " << round;
		ASSERT_GE(seen, 1);
		map->release_readable();
	}
	EXPECT_EQ(generations, 3u);
}

TEST(cbt_map, wraps_into_a_new_generation_after_255)
{
	auto map = make_map(2 * kBlock);
	const Uuid id = map->info().generation_id;
	for (u32 n = 1; n <= 254; n++) {
		take(*map);
		map->release_readable();
	}
	EXPECT_EQ(map->info().snap_number, 254);
	EXPECT_EQ(map->info().generation_id, id);
	mark(*map, 0, 1); // number 255
	ASSERT_TRUE(map->begin_switch().ok());
	mark(*map, kBlock, 1);
	map->copy();
	map->commit_switch();
	EXPECT_FALSE(map->info().generation_id == id);
	EXPECT_EQ(map->info().snap_number, 1);
	EXPECT_EQ(contents(*map), (Bytes{0, 0}));
	const unsigned long before = fake::grace_periods();
	map->finish_switch();
	EXPECT_EQ(fake::grace_periods(), before + 1);
	map->finish_switch();
	EXPECT_EQ(fake::grace_periods(), before + 1);
	map->release_readable();
	mark(*map, kBlock, 1);
	take(*map);
	EXPECT_EQ(map->info().snap_number, 2);
	EXPECT_EQ(contents(*map), (Bytes{0, 2}));
}

TEST(cbt_map, the_wrap_can_be_cancelled)
{
	auto map = make_map(kBlock);
	for (u32 n = 1; n <= 254; n++) {
		take(*map);
		map->release_readable();
	}
	const Uuid id = map->info().generation_id;
	ASSERT_TRUE(map->begin_switch().ok());
	map->cancel_switch();
	EXPECT_EQ(map->info().generation_id, id);
	EXPECT_EQ(map->info().snap_number, 254);
	take(*map);
	EXPECT_FALSE(map->info().generation_id == id);
}

TEST(cbt_map, a_mark_outside_damages_and_the_next_take_renews)
{
	auto map = make_map(4 * kBlock);
	const Uuid id = map->info().generation_id;
	EXPECT_FALSE(mark(*map, 3 * kBlock, 2 * kBlock));
	EXPECT_TRUE(map->damaged());
	take(*map);
	EXPECT_FALSE(map->damaged());
	const Uuid renewed = map->info().generation_id;
	EXPECT_FALSE(renewed == id);
	// While it is held the cut is not in doubt any more, but the next one is.
	EXPECT_FALSE(mark(*map, ~u64{0}, 2));
	EXPECT_EQ(map->info().generation_id, renewed);
	map->release_readable();
	take(*map);
	EXPECT_FALSE(map->info().generation_id == renewed);
}

TEST(cbt_map, damage_between_begin_and_commit_changes_the_id)
{
	auto map = make_map(4 * kBlock);
	const Uuid id = map->info().generation_id;
	ASSERT_TRUE(map->begin_switch().ok());
	map->copy();
	EXPECT_FALSE(mark(*map, 5 * kBlock, 1));
	map->commit_switch();
	map->finish_switch();
	const Uuid second = map->info().generation_id;
	EXPECT_FALSE(second == id);
	EXPECT_TRUE(map->damaged());
	map->release_readable();
	take(*map);
	EXPECT_FALSE(map->info().generation_id == second);
	EXPECT_FALSE(map->damaged());
}

TEST(cbt_map, resize_starts_a_generation_of_the_new_size)
{
	auto map = make_map(4 * kBlock);
	mark(*map, 0, 1);
	take(*map);
	const Uuid id = map->info().generation_id;
	map->resize(8 * kBlock);
	// The held readable map is still the one of the cut.
	EXPECT_EQ(map->info().generation_id, id);
	EXPECT_EQ(map->info().blocks, 4u);
	EXPECT_EQ(contents(*map), (Bytes{1, 0, 0, 0}));
	EXPECT_TRUE(mark(*map, 7 * kBlock, 1));
	map->mark_both(3 * kBlock, 5 * kBlock);
	EXPECT_EQ(contents(*map), (Bytes{1, 0, 0, 1}));
	map->release_readable();
	EXPECT_FALSE(map->info().generation_id == id);
	EXPECT_EQ(map->info().blocks, 8u);
	EXPECT_EQ(map->info().snap_number, 0);
	take(*map);
	EXPECT_EQ(map->info().snap_number, 1);
	EXPECT_EQ(contents(*map), (Bytes{0, 0, 0, 1, 1, 1, 1, 1}));
	map->release_readable();
	map->resize(0);
	EXPECT_EQ(map->info().blocks, 0u);
	take(*map);
	EXPECT_TRUE(contents(*map).empty());
}

TEST(cbt_map, resize_without_memory_is_damage_until_the_next_take)
{
	auto map = make_map(4 * kBlock);
	const Uuid id = map->info().generation_id;
	for (long n : {1, 2}) {
		fake::fail_allocation(n);
		map->resize(8 * kBlock);
		EXPECT_TRUE(map->damaged());
	}
	EXPECT_FALSE(mark(*map, 7 * kBlock, 1));
	for (long n : {1, 2, 3, 4}) {
		fake::fail_allocation(n);
		EXPECT_EQ(map->begin_switch().error(), Errno::NoMem);
	}
	EXPECT_EQ(map->info().blocks, 4u);
	take(*map);
	EXPECT_FALSE(map->damaged());
	EXPECT_EQ(map->info().blocks, 8u);
	EXPECT_FALSE(map->info().generation_id == id);
}

TEST(cbt_map, resize_during_a_switch_renews_at_the_next)
{
	auto map = make_map(4 * kBlock);
	const Uuid id = map->info().generation_id;
	ASSERT_TRUE(map->begin_switch().ok());
	map->resize(8 * kBlock);
	map->copy();
	map->commit_switch();
	map->finish_switch();
	EXPECT_EQ(map->info().blocks, 4u);
	const Uuid second = map->info().generation_id;
	EXPECT_FALSE(second == id);
	map->release_readable();
	take(*map);
	EXPECT_EQ(map->info().blocks, 8u);
	EXPECT_FALSE(map->info().generation_id == second);
}

TEST(cbt_map, each_failed_allocation_changes_nothing)
{
	const long before = fake::live_allocations();
	EXPECT_EQ(fake::walk_allocation_failures(
			  [](long) { (void)CbtMap::create(1000, kShift, kMaximum); }),
		  3);
	EXPECT_EQ(fake::live_allocations(), before);
	{
		auto map = make_map(4 * kBlock);
		for (u32 n = 1; n <= 255; n++) {
			mark(*map, 0, 1);
			const bool wrap = n == 255;
			const long faults = fake::walk_allocation_failures([&](long) {
				auto begun = map->begin_switch();
				if (begun.ok())
					map->cancel_switch();
			});
			ASSERT_EQ(faults, wrap ? 4 : 2);
			take(*map);
			ASSERT_EQ(map->info().snap_number, wrap ? 1 : n);
			map->release_readable();
		}
	}
	EXPECT_EQ(fake::live_allocations(), before);
}

TEST(cbt_map, an_unfinished_switch_is_freed_with_the_map)
{
	const long before = fake::live_allocations();
	{
		auto map = make_map(4 * kBlock);
		ASSERT_TRUE(map->begin_switch().ok());
	}
	EXPECT_EQ(fake::live_allocations(), before);
}
