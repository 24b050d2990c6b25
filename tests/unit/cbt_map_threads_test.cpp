// SPDX-License-Identifier: GPL-2.0
//
// CBT map: marks and looks from many threads.
#include "cbt_map_fixture.hpp"

#include <atomic>
#include <thread>

using namespace blksnap;

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
		std::vector<u8> bytes(blocks);
		ASSERT_EQ(map->read(0, blocks, bytes.data()).value(), blocks);
		for (u32 i = 0; i < blocks; i++) {
			const u8 byte = bytes[i];
			// What was written before the cut of a renewal is in no map.
			const bool known = expected[i] > base + (base ? 1 : 0);
			ASSERT_GE(byte, known ? expected[i] - base : 0)
				<< "block " << i << " take " << n;
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
		std::vector<u8> bytes(blocks);
		ASSERT_EQ(map->read(0, blocks, bytes.data()).value(), blocks);
		for (u32 i = n % 8; i < blocks; i += 8)
			ASSERT_EQ(bytes[i], n + 1) << "block " << i;
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

// A list of the trackers is made while a take puts the id of another generation in place: an id and
// the number that belongs to it, never parts of two.
TEST(cbt_map, info_is_whole_while_takes_go_on)
{
	constexpr u32 takes = 2000;
	auto map = make_map(4 * kBlock);
	struct Seen {
		Uuid id;
		u8 number;
	};
	std::vector<Seen> seen;
	std::atomic<bool> stop{false}, looked{false};
	std::thread lister([&] {
		while (!stop) {
			const auto info = map->info();
			if (seen.empty() || !(seen.back().id == info.generation_id) ||
			    seen.back().number != info.snap_number)
				seen.push_back({info.generation_id, info.snap_number});
			looked = true;
		}
	});
	while (!looked)
		std::this_thread::yield();
	std::vector<Seen> true_ones{{map->info().generation_id, map->info().snap_number}};
	for (u32 n = 0; n < takes; n++) {
		ASSERT_TRUE(map->begin_switch().ok());
		shim_rcu_synchronize();
		map->copy();
		if (n % 2)
			(void)mark(*map, 5 * kBlock, 1); // damaged: another id at the commit
		map->commit_switch();
		true_ones.push_back({map->info().generation_id, map->info().snap_number});
		map->finish_switch();
		map->release_readable();
	}
	stop = true;
	lister.join();
	std::size_t at = 0;
	for (const Seen &one : seen) {
		while (at < true_ones.size() &&
		       !(true_ones[at].id == one.id && true_ones[at].number == one.number))
			at++;
		ASSERT_LT(at, true_ones.size()) << "number " << int(one.number);
	}
}
