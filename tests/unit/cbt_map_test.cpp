// SPDX-License-Identifier: GPL-2.0
//
// CBT map: sizes, numbers, the switch at each of its steps, generations, marks from many threads.
#include <blksnap/core/cbt_map.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include <blksnap/port/lock.h>
#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

constexpr u32 kShift = 16;
constexpr u32 kMaximum = 1 << 21;
constexpr u64 kBlock = 128; // sectors of 64 KiB

Own<CbtMap> make_map(u64 sectors, u32 shift = kShift, u32 maximum = kMaximum)
{
	auto map = CbtMap::create(sectors, shift, maximum);
	EXPECT_TRUE(map.ok());
	return map.release_value();
}

bool mark(CbtMap &map, u64 sector, u64 sectors)
{
	shim_rcu_read_lock();
	const bool inside = map.mark(sector, sectors);
	shim_rcu_read_unlock();
	return inside;
}

void take(CbtMap &map)
{
	ASSERT_TRUE(map.begin_switch().ok());
	shim_rcu_synchronize();
	map.copy();
	map.commit_switch();
	map.finish_switch();
}

std::vector<int> contents(const CbtMap &map)
{
	std::vector<int> all;
	for (;;) {
		auto piece = map.read(u32(all.size()), 7);
		EXPECT_TRUE(piece.ok());
		if (!piece.ok() || piece.value().length == 0)
			return all;
		all.insert(all.end(), piece.value().data, piece.value().data + piece.value().length);
	}
}

using Bytes = std::vector<int>;

} // namespace

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
		const auto bytes = map->read(0, ~u32{0}).release_value();
		ASSERT_EQ(bytes.length, info.blocks);
		u32 marked = 0;
		for (u32 i = 0; i < bytes.length; i++)
			marked += bytes.data[i] != 0;
		EXPECT_EQ(marked, 2u);
		EXPECT_EQ(bytes.data[bytes.length - 1], 1);
		EXPECT_EQ(bytes.data[bytes.length / 2], 1);
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
	EXPECT_EQ(map->read(0, 1).error(), Errno::Perm);
	take(*map);
	EXPECT_EQ(map->read(0, 4).value().length, 4u);
	EXPECT_EQ(map->read(8, 4).value().length, 2u);
	EXPECT_EQ(map->read(10, 4).value().length, 0u);
	EXPECT_EQ(map->read(3, 0).value().length, 0u);
	EXPECT_EQ(map->read(11, 4).error(), Errno::Inval);
	EXPECT_EQ(map->read(~u32{0}, ~u32{0}).error(), Errno::Inval);
	map->release_readable();
	map->release_readable();
	EXPECT_EQ(map->read(0, 1).error(), Errno::Perm);
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

// Writers on several threads go on while takes follow each other. As the gate does, commit waits
// until no writer is inside a mark. Nothing written before a cut may be missing in its map.
TEST(cbt_map, no_mark_is_lost_while_threads_write)
{
	constexpr u32 writers = 3, blocks = 4096, takes = 300;
	auto map = make_map((blocks + 1) * kBlock);
	// The last take before which each block was written, as the writers know it.
	std::vector<std::atomic<u32>> written(blocks);
	std::atomic<u32> current{1};
	std::atomic<bool> stop{false}, closed{false};
	std::atomic<u32> in_flight{0};

	const auto write = [&](u32 seed) {
		for (u32 x = seed; !stop; x = x * 1664525 + 1013904223) {
			in_flight++;
			if (closed) {
				in_flight--;
				std::this_thread::yield();
				continue;
			}
			const u32 block = (x >> 8) % blocks;
			shim_rcu_read_lock();
			EXPECT_TRUE(map->mark(block * kBlock, kBlock * (1 + x % 2)));
			shim_rcu_read_unlock();
			written[block].store(current);
			in_flight--;
			if (x % 512 == 0)
				map->mark_both(block * kBlock, 1);
		}
	};
	std::vector<std::thread> threads;
	for (u32 i = 0; i < writers; i++)
		threads.emplace_back(write, i + 1);

	Uuid id = map->info().generation_id;
	u32 base = 0; // takes before this generation
	for (u32 n = 1; n <= takes; n++) {
		ASSERT_TRUE(map->begin_switch().ok());
		shim_rcu_synchronize();
		map->copy();
		closed = true;
		while (in_flight != 0)
			std::this_thread::yield();
		map->commit_switch();
		std::vector<u32> expected(blocks);
		for (u32 i = 0; i < blocks; i++)
			expected[i] = written[i];
		current = n + 1;
		closed = false;
		map->finish_switch();

		const auto info = map->info();
		if (!(info.generation_id == id)) {
			id = info.generation_id;
			base = n - 1;
		}
		ASSERT_EQ(info.snap_number, n - base);
		const auto bytes = map->read(0, blocks).release_value();
		for (u32 i = 0; i < blocks; i++) {
			const u8 byte = __atomic_load_n(&bytes.data[i], __ATOMIC_RELAXED);
			// What was written before the cut of a renewal is in no map.
			const bool known = expected[i] > base + (base ? 1 : 0);
			ASSERT_GE(byte, known ? expected[i] - base : 0) << "block " << i << " take " << n;
			ASSERT_LE(byte, n - base);
		}
		map->release_readable();
		ASSERT_FALSE(map->damaged());
	}
	EXPECT_EQ(base, 254u);
	stop = true;
	for (auto &thread : threads)
		thread.join();
}

// The narrow place: a mark between the copier's look at the write map and its store to the mirror.
// A writer runs along with the copier over a map that is full of older marks.
TEST(cbt_map, copy_overtaken_by_a_writer_loses_nothing)
{
	constexpr u32 blocks = 1 << 14, rounds = 250;
	auto map = make_map(blocks * kBlock);
	std::atomic<u32> round{0}, done{0};
	std::thread writer([&] {
		for (u32 mine = 1; mine <= rounds; mine++) {
			while (round != mine)
				std::this_thread::yield();
			for (u32 i = mine % 8; i < blocks; i += 8)
				(void)mark(*map, i * kBlock, 1);
			done = mine;
		}
	});
	ASSERT_TRUE(mark(*map, 0, blocks * kBlock));
	take(*map); // now every byte is 1, and what the writer stores is larger
	map->release_readable();
	for (u32 n = 1; n <= rounds; n++) {
		ASSERT_TRUE(map->begin_switch().ok());
		shim_rcu_synchronize();
		round = n;
		map->copy();
		while (done != n)
			std::this_thread::yield();
		map->commit_switch();
		map->finish_switch();
		const auto bytes = map->read(0, blocks).release_value();
		for (u32 i = n % 8; i < blocks; i += 8)
			ASSERT_EQ(bytes.data[i], n + 1) << "block " << i;
		map->release_readable();
	}
	writer.join();
}

// Resizes under writers: the id changes, nothing is used after it was freed.
TEST(cbt_map, resize_while_threads_write)
{
	auto map = make_map(64 * kBlock);
	std::atomic<bool> stop{false};
	std::vector<std::thread> threads;
	for (u32 i = 0; i < 2; i++) {
		threads.emplace_back([&] {
			for (u32 x = 1; !stop; x++) {
				(void)mark(*map, x % 64 * kBlock, 1);
				map->mark_both(x % 100 * kBlock, 300);
			}
		});
	}
	for (u32 i = 0; i < 200; i++) {
		const Uuid before = map->info().generation_id;
		map->resize((i % 2 ? 64 : 32) * kBlock);
		ASSERT_FALSE(map->info().generation_id == before);
		if (i % 3 == 0) {
			take(*map);
			map->release_readable();
		}
	}
	stop = true;
	for (auto &thread : threads)
		thread.join();
}
