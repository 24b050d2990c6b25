// SPDX-License-Identifier: GPL-2.0
//
// CBT map: sizes, marks, numbers, the switch at each of its steps.
#include "cbt_map_fixture.hpp"
#include "fake_port.hpp"

using namespace blksnap;

TEST(cbt_map, block_size_doubles_above_the_limit)
{
	constexpr u64 GiB = u64{1} << 21, TiB = u64{1} << 31; // in sectors
	const struct {
		u64 sectors;
		u32 shift, blocks;
	} cases[] = {
		{0, 16, 0},
		{1, 16, 1},
		{kBlock, 16, 1},
		{kBlock + 1, 16, 2},
		{128 * GiB, 16, 1 << 21},
		{128 * GiB + 1, 17, (1 << 20) + 1},
		{TiB - 1, 19, 1 << 21},
		{TiB, 19, 1 << 21},
		{TiB + 1, 20, (1 << 20) + 1},
		{2 * TiB, 20, 1 << 21},
		{16 * TiB, 23, 1 << 21},
		{16 * TiB + 8, 24, (1 << 20) + 1},
		{128 * TiB, 26, 1 << 21},
		{~u64{0}, 31, ~u32{0}},
	};
	for (auto &c : cases) {
		const auto shape = CbtMap::geometry(c.sectors, kShift, kMaximum);
		EXPECT_EQ(shape.shift, c.shift) << c.sectors;
		EXPECT_EQ(shape.blocks, c.blocks) << c.sectors;
	}
}

TEST(cbt_map, works_at_two_and_sixteen_tebibytes)
{
	for (u64 sectors : {u64{1} << 32, u64{1} << 35}) {
		auto map = make_map(sectors);
		ASSERT_TRUE(mark(*map, sectors - 1, 1));
		ASSERT_TRUE(mark(*map, sectors / 2, 1));
		take(*map);
		const auto info = map->info();
		EXPECT_EQ(info.blocks, 1u << 21);
		EXPECT_EQ(u64{info.block_bytes} * info.blocks, sectors * 512);
		EXPECT_EQ(info.capacity_bytes, sectors * 512);
		std::vector<u8> bytes(info.blocks);
		ASSERT_EQ(map->read(0, ~u32{0}, bytes.data()).value(), info.blocks);
		EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0), info.blocks - 2);
		EXPECT_EQ(bytes.back(), 1);
		EXPECT_EQ(bytes[bytes.size() / 2], 1);
	}
}

TEST(cbt_map, marks_the_blocks_that_a_write_touches)
{
	auto map = make_map(10 * kBlock);
	EXPECT_TRUE(mark(*map, 0, 1));
	EXPECT_TRUE(mark(*map, 2 * kBlock + 5, 0));
	EXPECT_TRUE(mark(*map, 4 * kBlock - 1, 2));
	EXPECT_TRUE(mark(*map, 6 * kBlock, 2 * kBlock));
	EXPECT_TRUE(mark(*map, 10 * kBlock - 1, 1));
	take(*map);
	EXPECT_EQ(contents(*map), (Bytes{1, 0, 0, 1, 1, 0, 1, 1, 0, 1}));
}

TEST(cbt_map, number_goes_up_with_each_take)
{
	auto map = make_map(4 * kBlock);
	EXPECT_EQ(map->info().snap_number, 0);
	const Uuid id = map->info().generation_id;
	for (u32 n = 1; n <= 5; n++) {
		mark(*map, (n % 4) * kBlock, 1);
		take(*map);
		EXPECT_EQ(map->info().snap_number, n);
		EXPECT_EQ(contents(*map)[n % 4], int(n));
		EXPECT_EQ(map->info().generation_id, id);
		map->release_readable();
		EXPECT_EQ(map->info().snap_number, n);
	}
}

TEST(cbt_map, readable_map_stays_while_it_is_held)
{
	auto map = make_map(3 * kBlock);
	mark(*map, 0, 1);
	take(*map);
	mark(*map, kBlock, 1);
	EXPECT_EQ(contents(*map), (Bytes{1, 0, 0}));
	map->release_readable();
	take(*map);
	EXPECT_EQ(contents(*map), (Bytes{1, 2, 0}));
}

TEST(cbt_map, marks_between_all_steps_are_kept)
{
	auto map = make_map(6 * kBlock);
	mark(*map, 0, 1);
	ASSERT_TRUE(map->begin_switch().ok());
	mark(*map, kBlock, 1);
	shim_rcu_synchronize();
	mark(*map, 2 * kBlock, 1);
	map->copy();
	mark(*map, 3 * kBlock, 1);
	map->commit_switch();
	mark(*map, 4 * kBlock, 1);
	map->finish_switch();
	mark(*map, 5 * kBlock, 1);
	EXPECT_EQ(contents(*map), (Bytes{1, 1, 1, 1, 0, 0}));
	map->release_readable();
	take(*map);
	EXPECT_EQ(contents(*map), (Bytes{1, 1, 1, 1, 2, 2}));
}

TEST(cbt_map, copy_keeps_newer_marks_of_the_same_word)
{
	auto map = make_map(20 * kBlock);
	mark(*map, 0, 20 * kBlock);
	take(*map);
	map->release_readable();
	ASSERT_TRUE(map->begin_switch().ok());
	mark(*map, 3 * kBlock, 1);
	mark(*map, 17 * kBlock, 1);
	map->copy();
	map->commit_switch();
	Bytes expected(20, 1);
	expected[3] = expected[17] = 2;
	EXPECT_EQ(contents(*map), expected);
}

TEST(cbt_map, one_grace_period_is_enough_for_many_maps)
{
	std::vector<Own<CbtMap>> maps;
	for (u32 i = 0; i < 5; i++) {
		maps.push_back(make_map(6 * kBlock));
		take(*maps[i]);
	}
	const auto together = [&](auto &&step) {
		const auto before = fake::grace_periods();
		const long allocated = fake::live_allocations();
		for (auto &map : maps)
			step(*map);
		EXPECT_EQ(fake::live_allocations(), allocated);
		EXPECT_EQ(fake::grace_periods(), before);
		shim_rcu_synchronize();
		for (auto &map : maps) {
			EXPECT_TRUE(map->has_retired());
			map->free_retired();
			EXPECT_FALSE(map->readable() || map->has_retired());
		}
		EXPECT_EQ(fake::live_allocations(), allocated - 5 * 2);
	};
	together([](CbtMap &map) { map.hide_readable(); });
	for (auto &map : maps)
		ASSERT_TRUE(map->begin_switch().ok());
	together([](CbtMap &map) { map.drop_switch(); });
	for (auto &map : maps) {
		map->hide_readable();
		EXPECT_FALSE(map->has_retired());
		take(*map);
	}
}

TEST(cbt_map, cancelled_switch_changes_nothing)
{
	auto map = make_map(3 * kBlock);
	mark(*map, 0, 1);
	ASSERT_TRUE(map->begin_switch().ok());
	mark(*map, kBlock, 1);
	map->cancel_switch();
	ASSERT_TRUE(map->begin_switch().ok());
	map->copy();
	map->cancel_switch();
	EXPECT_FALSE(map->readable());
	EXPECT_EQ(map->info().snap_number, 0);
	mark(*map, 2 * kBlock, 1);
	take(*map);
	EXPECT_EQ(map->info().snap_number, 1);
	EXPECT_EQ(contents(*map), (Bytes{1, 1, 1}));
}

TEST(cbt_map, image_writes_mark_both_maps)
{
	auto map = make_map(4 * kBlock);
	take(*map);
	map->mark_both(kBlock, 1);
	EXPECT_EQ(contents(*map), (Bytes{0, 1, 0, 0}));
	mark(*map, 2 * kBlock, 1);
	map->mark_both(2 * kBlock, 1);
	map->mark_both(3 * kBlock, 1000 * kBlock); // clipped
	map->mark_both(1000 * kBlock, 1);
	map->mark_both(0, 0);
	EXPECT_EQ(contents(*map), (Bytes{0, 1, 1, 1}));
	EXPECT_FALSE(map->damaged());
	map->release_readable();
	map->mark_both(0, 1); // nothing is held: MARK_DIRTY of a tracked device
	take(*map);
	EXPECT_EQ(contents(*map), (Bytes{2, 2, 2, 2}));
}

TEST(cbt_map, dirty_marks_during_the_switch_reach_the_readable_map)
{
	auto map = make_map(4 * kBlock);
	map->mark_both(0, 1);
	ASSERT_TRUE(map->begin_switch().ok());
	map->mark_both(kBlock, 1);
	map->copy();
	map->mark_both(2 * kBlock, 1);
	map->commit_switch();
	map->mark_both(3 * kBlock, 1);
	EXPECT_EQ(contents(*map), (Bytes{1, 1, 1, 1}));
}

TEST(cbt_map, reads_in_pieces)
{
	auto map = make_map(10 * kBlock);
	u8 bytes[4];
	EXPECT_EQ(map->read(0, 1, bytes).error(), Errno::Perm);
	take(*map);
	EXPECT_EQ(map->read(0, 4, bytes).value(), 4u);
	EXPECT_EQ(map->read(8, 4, bytes).value(), 2u);
	EXPECT_EQ(map->read(10, 4, bytes).value(), 0u);
	EXPECT_EQ(map->read(3, 0, bytes).value(), 0u);
	EXPECT_EQ(map->read(11, 4, bytes).error(), Errno::Inval);
	EXPECT_EQ(map->read(~u32{0}, ~u32{0}, bytes).error(), Errno::Inval);
	map->release_readable();
	map->release_readable();
	EXPECT_EQ(map->read(0, 1, bytes).error(), Errno::Perm);
}

TEST(cbt_map, covers_what_lies_within_the_device)
{
	auto map = make_map(1000);
	EXPECT_TRUE(map->covers(0, 1000));
	EXPECT_TRUE(map->covers(999, 1));
	EXPECT_TRUE(map->covers(1000, 0));
	EXPECT_FALSE(map->covers(1000, 1));
	EXPECT_FALSE(map->covers(1001, 0));
	EXPECT_FALSE(map->covers(1, ~u64{0}));
}
