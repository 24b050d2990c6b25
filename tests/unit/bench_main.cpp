// SPDX-License-Identifier: GPL-2.0
//
// What the hot calls of the core's types cost: `make bench-unit`.
#include <blksnap/core/cbt_map.hpp>
#include <blksnap/core/chunk_map.hpp>

#include <chrono>
#include <cstdio>
#include <random>
#include <vector>

#include "storage_fixture.hpp"

using namespace blksnap;

namespace
{

u64 sink = 0;

template <class F> void measure(const char *what, u32 calls, F &&call)
{
	const auto start = std::chrono::steady_clock::now();
	for (u32 i = 0; i < calls; i++)
		call(i);
	const std::chrono::duration<double, std::nano> spent =
		std::chrono::steady_clock::now() - start;
	std::printf("%-44s %7.1f ns\n", what, spent.count() / calls);
}

void bench_chunk_map(u32 blocks, bool random_order)
{
	std::mt19937_64 random(1);
	std::vector<u64> order(blocks);
	for (u32 i = 0; i < blocks; i++)
		order[i] = random_order ? u64{i} * 1024 + random() % 1024 : i;
	for (u32 i = blocks; random_order && i > 1; i--)
		std::swap(order[i - 1], order[random() % i]);

	ChunkMap map;
	ChunkMap::Spares spares;
	std::printf("chunk map, %u %s blocks\n", blocks, random_order ? "random" : "sequential");
	measure("  insert, with refill", blocks, [&](u32 i) {
		sink += spares.refill(1, Gfp::NoIo).ok();
		map.insert(order[i], 1, i, spares);
	});
	measure("  lookup, mapped", blocks,
		[&](u32 i) { sink += map.lookup(order[(u64{i} * 7919) % blocks], 64).unit(); });
	measure("  lookup, unmapped", blocks,
		[&](u32 i) { sink += map.lookup(order[(u64{i} * 7919) % blocks] + 1, 64).blocks; });
	std::printf("  %.2f bytes per block, depth %u\n",
		    double(map.memory_bytes()) / double(map.mapped_blocks()), map.depth());
}

void bench_cbt_map()
{
	auto map = CbtMap::create(u64{1} << 28, 16, 1 << 21).release_value();
	std::printf("CBT map of %u blocks\n", map->info().blocks);
	const auto mark = [&](u32 i) { sink += map->mark(u64{i} * 7919 * 128 % (1 << 28), 8); };
	measure("  mark, new block", 1 << 20, mark);
	measure("  mark, again", 1 << 20, mark);
	const auto step = [&](u32) { sink += map->begin_switch().ok(); };
	measure("  begin_switch", 1, step);
	measure("  copy", 1, [&](u32) { map->copy(); });
	measure("  mark, both maps", 1 << 20, mark);
	measure("  commit_switch", 1, [&](u32) { map->commit_switch(); });
}

void bench_storage_ranges()
{
	Storage ranges;
	constexpr u32 count = 10'000;
	measure("storage ranges, append 10000 at once", 1, [&](u32) {
		auto batch = StorageRanges::Batch::create(ranges, count).release_value();
		for (u32 i = 0; i < count; i++)
			sink += batch.add({nullptr, 1, 0, u64{1} << 40, 512},
					  (u64{i} * 7919 % count) * 1024, 512)
					.ok();
		sink += batch.seal().ok();
		sink += ranges.commit(batch).ok();
	});
	measure("  locate", 1 << 20,
		[&](u32 i) { sink += ranges.locate(u64{i} * 7919 % ranges.total_units()).sector; });
	measure("  overlaps", 1 << 20,
		[&](u32 i) { sink += ranges.overlaps(1, u64{i} * 7919 % (count * 1024), 8); });
}

} // namespace

int main()
{
	bench_chunk_map(1 << 18, true);
	bench_chunk_map(1 << 22, true);
	bench_chunk_map(1 << 22, false);
	bench_cbt_map();
	bench_storage_ranges();
	return sink == 0;
}
