// SPDX-License-Identifier: GPL-2.0
//
// Chunk map against a model: a std::map from block to unit.
#include <blksnap/core/chunk_map.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

// The map under test beside its model. Checks the promise of Spares on each insert.
class Pair
{
public:
	~Pair()
	{
		EXPECT_EQ(map.mapped_blocks(), model.size());
		map.clear();
		EXPECT_EQ(map.memory_bytes(), 0u);
	}

	bool is_free(u64 block, u32 blocks) const
	{
		auto next = model.lower_bound(block);
		return next == model.end() || next->first >= block + blocks;
	}
	void insert(u64 block, u32 blocks, u32 unit)
	{
		ASSERT_TRUE(spares.refill(1, Gfp::NoIo).ok());
		spares.trim(1);
		ASSERT_EQ(spares.nodes(), ChunkMap::worst_case_nodes(1));
		const u64 before = map.memory_bytes();
		map.insert(block, blocks, unit, spares);
		const u64 taken = ChunkMap::worst_case_nodes(1) - spares.nodes();
		ASSERT_EQ(map.memory_bytes() - before, taken * ChunkMap::kNodeBytes);
		for (u32 i = 0; i < blocks; i++)
			model.emplace(block + i, unit + i);
	}
	bool try_insert(u64 block, u32 blocks, u32 unit)
	{
		if (!is_free(block, blocks))
			return false;
		insert(block, blocks, unit);
		return true;
	}

	// An unmapped run is maximal; a mapped one is right and not longer than the limit.
	void check(u64 block, u64 limit) const
	{
		const auto run = map.lookup(block, limit);
		auto next = model.lower_bound(block);
		ASSERT_GE(run.blocks, 1u);
		ASSERT_LE(run.blocks, limit);
		if (next == model.end() || next->first != block) {
			ASSERT_FALSE(run.mapped()) << block;
			const u64 gap = next == model.end() ? limit : next->first - block;
			ASSERT_EQ(run.blocks, std::min(gap, limit)) << block;
			return;
		}
		ASSERT_TRUE(run.mapped()) << block;
		for (u64 i = 0; i < run.blocks; i++, ++next) {
			ASSERT_TRUE(next != model.end());
			ASSERT_EQ(next->first, block + i);
			ASSERT_EQ(next->second, run.unit() + i);
		}
	}
	// Walks the whole map by its own runs: nothing missing, nothing extra.
	void check_all(u64 end) const
	{
		u64 mapped = 0;
		for (u64 block = 0; block < end;) {
			const auto run = map.lookup(block, end - block);
			check(block, end - block);
			mapped += run.mapped() ? run.blocks : 0;
			block += run.blocks;
		}
		ASSERT_EQ(mapped, model.size());
	}

	ChunkMap map;
	ChunkMap::Spares spares;
	std::map<u64, u32> model;
};

// Bytes per block after `inserts` single random blocks, and the worst since `from` inserts.
double random_cost(u64 device_blocks, u32 inserts, u32 from, unsigned seed)
{
	std::mt19937_64 random(seed);
	ChunkMap map;
	ChunkMap::Spares spares;
	double worst = 0;
	for (u32 unit = 0; unit < inserts;) {
		const u64 block = random() % device_blocks;
		if (map.lookup(block, 1).mapped())
			continue;
		EXPECT_TRUE(spares.refill(1, Gfp::NoIo).ok());
		map.insert(block, 1, unit++, spares);
		if (unit >= from)
			worst = std::max(worst, double(map.memory_bytes()) / unit);
	}
	return worst;
}

double bytes_per_block(const ChunkMap &map)
{
	return double(map.memory_bytes()) / double(map.mapped_blocks());
}

} // namespace

TEST(chunk_map, empty_is_one_unmapped_run)
{
	ChunkMap map;
	EXPECT_EQ(map.mapped_blocks(), 0u);
	EXPECT_EQ(map.memory_bytes(), 0u);
	EXPECT_EQ(map.depth(), 0u);
	const auto run = map.lookup(0, ~u64{0});
	EXPECT_FALSE(run.mapped());
	EXPECT_EQ(run.blocks, ~u64{0});
	EXPECT_EQ(map.lookup(~u64{0} - 1, 1).blocks, 1u);
}

TEST(chunk_map, finds_one_extent_from_all_sides)
{
	Pair pair;
	pair.insert(1000, 10, 77);
	for (u64 block = 980; block < 1030; block++) {
		for (u64 limit = 1; limit < 40; limit++)
			pair.check(block, limit);
	}
	EXPECT_EQ(pair.map.lookup(1003, 100).unit(), 80u);
	EXPECT_EQ(pair.map.lookup(1003, 100).blocks, 7u);
	EXPECT_EQ(pair.map.lookup(0, 100).blocks, 100u);
}

TEST(chunk_map, works_at_the_ends_of_the_number_space)
{
	Pair pair;
	const u64 last = ~u64{0} - 256;
	pair.insert(0, 1, ~u32{0});
	pair.insert(last, 256, ~u32{0} - 255);
	pair.check(0, 10);
	pair.check(1, ~u64{0} - 1);
	pair.check(last - 5, 10);
	pair.check(last + 255, 1);
}

// What a leaf does not hold sorts behind all that it could hold.
TEST(chunk_map, finds_nothing_at_the_last_block_of_a_leaf)
{
	constexpr u64 span = (u64{1} << 24) - 1;
	Pair pair;
	for (u64 block = 0; block < 10; block++)
		pair.insert(block * 2, 1, 0);
	for (u64 block = span - 3; block < span + 3; block++)
		pair.check(block, 10);
	pair.insert(span - 1, 256, 1000);
	for (u64 block = span - 3; block < span + 300; block++)
		pair.check(block, 10);
}

// What was removed or moved away must not be found when the base of its leaf moves.
TEST(chunk_map, leaves_nothing_behind_the_last_entry)
{
	Pair joined;
	for (u32 i = 0; i < 20; i++)
		joined.insert(1'000'000 + i * 2, 1, i * 2);
	for (u32 i = 0; i < 18; i++)
		joined.insert(1'000'000 + i * 2 + 1, 1, i * 2 + 1);
	joined.insert(0, 1, 6000);
	for (u64 block = 1; block < 1'000'100; block += block < 999'900 ? 1000 : 1)
		joined.check(block, 1);

	Pair split;
	for (u32 i = 0; i < 126; i++)
		split.insert(1'000'000 + i * 4, 1, i * 10);
	split.insert(1'000'002, 1, 5000);
	split.insert(0, 1, 6000);
	for (u64 block = 999'900; block < 1'000'600; block++)
		split.check(block, 1);
}

TEST(chunk_map, merges_what_continues_block_and_unit)
{
	Pair pair;
	pair.insert(100, 1, 0);
	const u64 one_leaf = pair.map.memory_bytes();
	for (u32 i = 1; i < 256; i++)
		pair.insert(100 + i, 1, i);
	EXPECT_EQ(pair.map.lookup(100, 1000).blocks, 256u);
	// The next extent is full again after a piece that does not divide 256.
	for (u32 i = 0; i < 100; i++)
		pair.insert(356 + i * 200u, 200, 256 + i * 200);
	EXPECT_EQ(pair.map.memory_bytes(), one_leaf);
	EXPECT_EQ(pair.map.lookup(100, 100'000).blocks, 256u + 20'000);
	pair.check_all(30'000);
}

TEST(chunk_map, does_not_merge_other_units)
{
	Pair pair;
	pair.insert(100, 4, 10);
	pair.insert(104, 4, 20);
	pair.insert(96, 4, 30);
	EXPECT_EQ(pair.map.lookup(96, 100).blocks, 4u);
	EXPECT_EQ(pair.map.lookup(100, 100).blocks, 4u);
	EXPECT_EQ(pair.map.lookup(104, 100).blocks, 4u);
	pair.check_all(200);
}

TEST(chunk_map, fills_a_gap_between_two_extents)
{
	for (u32 middle : {1u, 100u, 145u, 146u, 147u, 200u, 256u}) {
		Pair pair;
		pair.insert(10, 1, 900); // so that the left one is not the first entry
		pair.insert(1000, 50, 50);
		pair.insert(1050 + middle, 60, 100 + middle);
		pair.insert(1050, middle, 100);
		EXPECT_EQ(pair.map.lookup(1000, 10'000).blocks, 110u + middle);
		pair.check_all(2000);
	}
}

TEST(chunk_map, extends_an_extent_to_the_front)
{
	Pair pair;
	pair.insert(5, 1, 9999);
	pair.insert(5000, 1, 5000);
	for (u32 block = 4999; block > 4000; block--)
		pair.insert(block, 1, block);
	EXPECT_EQ(pair.map.lookup(4001, 10'000).blocks, 1000u);
	pair.check_all(6000);
}

TEST(chunk_map, first_leaf_grows_to_the_left)
{
	Pair pair;
	for (u32 i = 0; i < 5000; i++)
		pair.insert(1'000'000 - i * 3u, 1, i);
	pair.check_all(1'100'000);
	// Half-full leaves at worst.
	EXPECT_LE(bytes_per_block(pair.map), 17);
}

TEST(chunk_map, splits_by_span_before_it_is_full)
{
	constexpr u64 span = (u64{1} << 24) - 1;
	for (u64 distance : {span - 257, span - 1, span, span + 1, 3 * span}) {
		Pair up, down;
		for (u32 i = 0; i < 300; i++) {
			up.insert(i * distance, 7, i * 1000);
			down.insert((400 - i) * distance, 7, i * 1000);
		}
		for (u32 i = 0; i <= 400; i++) {
			for (u64 block : {i * distance, i * distance + 6, i * distance + 7,
					  i * distance + span - 1, i * distance + span}) {
				up.check(block, 1 << 30);
				down.check(block, 1 << 30);
			}
		}
	}
}

TEST(chunk_map, an_extent_may_reach_beyond_the_span)
{
	constexpr u64 span = (u64{1} << 24) - 1;
	Pair pair;
	pair.insert(0, 1, 5);
	pair.insert(span - 1, 256, 100);
	pair.insert(span + 255, 256, 1000);
	pair.insert(span + 600, 1, 7);
	for (u64 block = span - 10; block < span + 700; block++)
		pair.check(block, 5000);
}

// Blocks just behind a leaf that cannot take them must not get a leaf each.
TEST(chunk_map, descending_runs_behind_a_leaf_share_leaves)
{
	constexpr u64 span = (u64{1} << 24) - 1;
	Pair beyond_span;
	beyond_span.insert(0, 1, 0);
	beyond_span.insert(span + 60'000, 1, 1);
	for (u32 i = 1; i < 2000; i++)
		beyond_span.insert(span + 60'000 - i * 2u, 1, 1 + i);
	EXPECT_LE(bytes_per_block(beyond_span.map), 17);
	beyond_span.check_all(span + 70'000);

	Pair behind_full;
	for (u32 i = 0; i < 126; i++)
		behind_full.insert(i * 2, 1, i);
	for (u32 i = 0; i < 2000; i++)
		behind_full.insert(60'000 - i * 2u, 1, 1000 + i);
	EXPECT_LE(bytes_per_block(behind_full.map), 17);
	behind_full.check_all(70'000);
}

TEST(chunk_map, interleaved_streams_fill_their_leaves)
{
	Pair pair;
	u32 unit = 0;
	for (u32 i = 0; i < 2000; i++) {
		for (u64 stream = 0; stream < 16; stream++)
			pair.insert(stream * 1'000'000 + i, 1, unit++);
	}
	EXPECT_LE(bytes_per_block(pair.map), 14);
	for (u64 stream = 0; stream < 16; stream++) {
		for (u32 i = 0; i < 2000; i += 7)
			pair.check(stream * 1'000'000 + i, 5);
	}
}

TEST(chunk_map, sequential_costs_a_fifth_of_a_byte)
{
	ChunkMap map;
	ChunkMap::Spares spares;
	for (u32 block = 0; block < 4'000'000; block++) {
		ASSERT_TRUE(spares.refill(1, Gfp::NoIo).ok());
		map.insert(u64{1} << 40 | block, 1, block, spares);
	}
	EXPECT_LE(bytes_per_block(map), 0.2);
	RecordProperty("bytes_per_block_x1000", int(bytes_per_block(map) * 1000));
	EXPECT_EQ(map.lookup((u64{1} << 40) + 10, 20).blocks, 20u);
}

// Sequential, but no two blocks can be merged: leaves are full.
TEST(chunk_map, ascending_single_blocks_fill_leaves)
{
	ChunkMap map;
	ChunkMap::Spares spares;
	for (u32 i = 0; i < 1'000'000; i++) {
		ASSERT_TRUE(spares.refill(1, Gfp::NoIo).ok());
		map.insert(u64{i} * 2, 1, i, spares);
	}
	EXPECT_LE(bytes_per_block(map), 8.5);
}

TEST(chunk_map, random_single_blocks_cost_thirteen_bytes)
{
	const double worst = random_cost(u64{1} << 28, 262'144, 16'384, 1);
	EXPECT_LE(worst, 13);
	std::printf("random: at most %.2f bytes per block from 16384 to 262144 blocks\n", worst);
}

TEST(chunk_map, random_against_the_model)
{
	std::mt19937_64 random(20221101);
	Pair pair;
	u32 unit = 0;
	u64 cursor = 0;
	const u64 device = u64{1} << 34; // spans force leaves too
	for (u32 operation = 0; operation < 100'000; operation++) {
		const u64 kind = random() % 8;
		u64 block = random() % device;
		u32 blocks = 1;
		if (kind < 3)
			blocks = 1 + random() % 256;
		else if (kind < 6)
			block = cursor;
		else
			block = random() % 100'000; // dense: merges and refusals
		if (pair.try_insert(block, blocks, unit)) {
			cursor = block + blocks;
			unit += blocks + (random() % 4 == 0);
		}
		const u64 probe = block + random() % 600 - std::min<u64>(block, 300);
		pair.check(probe, 1 + random() % 100'000);
		if (HasFatalFailure())
			return;
	}
	pair.check_all(device);
	EXPECT_GE(pair.map.depth(), 3u);
}

// Deeper than any host's memory allows by chance: leaves of one block, by span.
TEST(chunk_map, deep_tree_keeps_the_bound_of_an_insert)
{
	std::mt19937_64 random(7);
	Pair pair;
	for (u32 i = 0; i < 200'000; i++) {
		pair.try_insert((random() % (u64{1} << 37)) << 25, 1 + i % 3, i * 256);
		if (HasFatalFailure())
			return;
	}
	EXPECT_GE(pair.map.depth(), 4u);
	for (auto &[block, unit] : pair.model) {
		pair.check(block, 300);
		pair.check(block - 1, u64{1} << 60);
	}
}

// The same order everywhere on the path: all splits happen at one edge.
TEST(chunk_map, deep_tree_at_either_edge)
{
	for (bool ascending : {true, false}) {
		Pair pair;
		for (u64 i = 1; i <= 150'000; i++)
			pair.insert((ascending ? i : (u64{1} << 30) - i) << 25, 1, u32(i));
		EXPECT_GE(pair.map.depth(), 4u);
		pair.check_all(u64{1} << 56);
	}
}

TEST(chunk_map, spares_serve_many_inserts_of_several_inserters)
{
	ChunkMap map;
	ChunkMap::Spares first, second;
	std::mt19937_64 random(3);
	ASSERT_TRUE(first.refill(50'000, Gfp::NoIo).ok());
	// The tree grows between the refill and the inserts.
	for (u32 i = 0; i < 50'000; i++) {
		ASSERT_TRUE(second.refill(1, Gfp::NoIo).ok());
		map.insert(random() << 20 >> 1, 1, i, second);
	}
	for (u32 i = 0; i < 50'000; i++) {
		const u64 block = random() >> 8;
		if (!map.lookup(block, 1).mapped())
			map.insert(block, 1, i, first);
	}
}

TEST(chunk_map, spares_keep_what_a_failed_refill_got)
{
	const long before = fake::live_allocations();
	{
		ChunkMap::Spares spares;
		fake::fail_allocation(4);
		EXPECT_EQ(spares.refill(10, Gfp::NoWait).error(), Errno::NoMem);
		EXPECT_EQ(spares.nodes(), 3u);
		EXPECT_TRUE(spares.refill(10, Gfp::NoWait).ok());
		EXPECT_EQ(spares.nodes(), ChunkMap::worst_case_nodes(10));
		ChunkMap::Spares moved(std::move(spares));
		EXPECT_EQ(spares.nodes(), 0u);
		EXPECT_EQ(moved.nodes(), ChunkMap::worst_case_nodes(10));
		moved.trim(1);
		EXPECT_EQ(moved.nodes(), 3u);
	}
	EXPECT_EQ(fake::live_allocations(), before);
}

TEST(chunk_map, each_failed_allocation_leaves_the_map_as_it_was)
{
	const long before = fake::live_allocations();
	const long faults = fake::walk_allocation_failures([&](long) {
		ChunkMap map;
		ChunkMap::Spares spares;
		u32 inserted = 0;
		for (; inserted < 1000; inserted++) {
			if (!spares.refill(1, Gfp::NoIo).ok())
				break;
			map.insert(inserted * 10, 1, inserted, spares);
		}
		EXPECT_EQ(map.mapped_blocks(), inserted);
		EXPECT_EQ(map.lookup(inserted * 10, 1).mapped(), false);
	});
	EXPECT_GT(faults, 8);
	EXPECT_EQ(fake::live_allocations(), before);
}

TEST(chunk_map, clear_starts_anew)
{
	const long before = fake::live_allocations();
	ChunkMap map;
	ChunkMap::Spares spares;
	for (u32 round = 0; round < 3; round++) {
		for (u32 i = 0; i < 30'000; i++) {
			ASSERT_TRUE(spares.refill(1, Gfp::NoIo).ok());
			map.insert(u64{i} * 100, 1, i, spares);
		}
		map.clear();
		EXPECT_EQ(map.depth(), 0u);
		EXPECT_EQ(map.mapped_blocks(), 0u);
		EXPECT_FALSE(map.lookup(0, 1).mapped());
	}
	spares.trim(0);
	EXPECT_EQ(fake::live_allocations(), before);
}

TEST(chunk_map_death, refuses_an_overlap)
{
	Pair pair;
	pair.insert(100, 10, 0);
	ASSERT_TRUE(pair.spares.refill(1, Gfp::NoIo).ok());
	EXPECT_DEATH(pair.map.insert(109, 1, 50, pair.spares), "assertion failed");
	EXPECT_DEATH(pair.map.insert(95, 6, 50, pair.spares), "assertion failed");
	EXPECT_DEATH(pair.map.insert(90, 100, 50, pair.spares), "assertion failed");
	EXPECT_DEATH(pair.map.insert(0, 0, 50, pair.spares), "assertion failed");
	EXPECT_DEATH(pair.map.insert(0, 257, 50, pair.spares), "assertion failed");
}
