// SPDX-License-Identifier: GPL-2.0
//
// Storage ranges: validation, trimming, numbering, finding; all or nothing.
#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "fake_port.hpp"
#include "storage_fixture.hpp"

using namespace blksnap;

namespace
{

constexpr u64 kHuge = u64{1} << 40;

StorageRanges::Device device(u32 index, u64 disk, u64 start = 0, u64 sectors = kHuge,
			     u32 block = 512)
{
	return {named_bdev(index), disk, start, sectors, block};
}

struct Given {
	StorageRanges::Device device;
	u64 sector;
	u64 sectors;
};

Result<void> append(Storage &ranges, const std::vector<Given> &given)
{
	auto batch = TRY(StorageRanges::Batch::create(ranges, u32(given.size())));
	for (const Given &one : given)
		TRY(batch.add(one.device, one.sector, one.sectors));
	TRY(batch.seal());
	return ranges.commit(batch);
}

Errno append_error(Storage &ranges, const std::vector<Given> &given)
{
	const u32 units = ranges.total_units();
	const u32 size = ranges.size();
	const Errno error = append(ranges, given).error();
	EXPECT_EQ(ranges.total_units(), units);
	EXPECT_EQ(ranges.size(), size);
	return error;
}

} // namespace

TEST(storage_ranges, empty)
{
	Storage ranges;
	EXPECT_EQ(ranges.total_units(), 0u);
	EXPECT_FALSE(ranges.overlaps(1, 0, ~u64{0}));
	EXPECT_TRUE(append(ranges, {}).ok());
	EXPECT_EQ(ranges.size(), 0u);
}

TEST(storage_ranges, numbers_units_in_order_of_appending)
{
	Storage ranges;
	ASSERT_TRUE(append(ranges, {{device(3, 1), 800, 80}, {device(3, 1), 80, 16}}).ok());
	ASSERT_TRUE(append(ranges, {{device(5, 2, 1000), 0, 8}}).ok());
	EXPECT_EQ(ranges.total_units(), 13u);
	const struct {
		u32 unit, index, left;
		u64 sector;
	} expected[] = {
		{0, 3, 10, 800}, {9, 3, 1, 872}, {10, 3, 2, 80}, {11, 3, 1, 88}, {12, 5, 1, 0}};
	for (auto &e : expected) {
		const auto place = ranges.locate(e.unit);
		EXPECT_EQ(place.bdev, named_bdev(e.index));
		EXPECT_EQ(place.sector, e.sector);
		EXPECT_EQ(place.units, e.left);
	}
	u32 count = 0;
	for (const auto &range : ranges)
		count += range.units;
	EXPECT_EQ(count, 13u);
}

TEST(storage_ranges, trims_inwards_to_units_of_the_device)
{
	const struct {
		u64 sector, sectors, first;
		u32 block, units;
	} cases[] = {
		{0, 8, 0, 512, 1},	  {1, 15, 8, 512, 1},	  {1, 14, 0, 512, 0},
		{7, 9, 8, 512, 1},	  {8, 7, 0, 512, 0},	  {9, 1, 0, 512, 0},
		{3, 1000, 8, 512, 124},	  {0, 128, 0, 65536, 16}, {1, 254, 0, 65536, 0},
		{1, 255, 128, 65536, 16}, {8, 8, 8, 4096, 1},
	};
	for (auto &c : cases) {
		Storage ranges;
		ASSERT_TRUE(
			append(ranges, {{device(0, 1, 63, kHuge, c.block), c.sector, c.sectors}})
				.ok());
		EXPECT_EQ(ranges.total_units(), c.units) << c.sector << "+" << c.sectors;
		EXPECT_EQ(c.units > 0 ? ranges.locate(0).sector : c.first, c.first);
		// Too small to be used still belongs to the store.
		EXPECT_EQ(ranges.size(), 1u);
		EXPECT_TRUE(ranges.overlaps(1, 63 + c.sector, 1));
	}
}

TEST(storage_ranges, skips_small_ranges_when_it_looks_for_units)
{
	Storage ranges;
	ASSERT_TRUE(append(ranges, {{device(0, 1), 1, 3},
				    {device(1, 1), 8, 8},
				    {device(2, 1), 17, 2},
				    {device(3, 1), 20, 3},
				    {device(4, 1), 24, 16},
				    {device(5, 1), 41, 1}})
			    .ok());
	EXPECT_EQ(ranges.total_units(), 3u);
	EXPECT_EQ(ranges.locate(0).bdev, named_bdev(1));
	EXPECT_EQ(ranges.locate(1).bdev, named_bdev(4));
	EXPECT_EQ(ranges.locate(2).bdev, named_bdev(4));
}

TEST(storage_ranges, refuses_what_is_not_in_the_device)
{
	Storage ranges;
	const auto small = device(0, 1, 0, 1000);
	EXPECT_EQ(append_error(ranges, {{small, 0, 0}}), Errno::Inval);
	EXPECT_EQ(append_error(ranges, {{small, 1000, 8}}), Errno::Inval);
	EXPECT_EQ(append_error(ranges, {{small, 999, 2}}), Errno::Inval);
	EXPECT_EQ(append_error(ranges, {{small, 8, ~u64{0}}}), Errno::Inval);
	EXPECT_EQ(append_error(ranges, {{small, ~u64{0}, 2}}), Errno::Inval);
	EXPECT_EQ(append_error(ranges, {{device(0, 1, ~u64{0} - 100), 0, 1000}}), Errno::Inval);
	EXPECT_TRUE(append(ranges, {{small, 992, 8}}).ok());
}

TEST(storage_ranges, refuses_overlaps_within_and_between_calls)
{
	Storage ranges;
	const auto disk = device(0, 1);
	EXPECT_EQ(append_error(ranges, {{disk, 0, 16}, {disk, 8, 8}}), Errno::Inval);
	EXPECT_EQ(append_error(ranges, {{disk, 8, 8}, {disk, 100, 8}, {disk, 0, 9}}), Errno::Inval);
	EXPECT_EQ(append_error(ranges, {{disk, 8, 8}, {disk, 8, 8}}), Errno::Inval);
	ASSERT_TRUE(append(ranges, {{disk, 100, 100}}).ok());
	EXPECT_EQ(append_error(ranges, {{disk, 500, 8}, {disk, 199, 8}}), Errno::Inval);
	EXPECT_EQ(append_error(ranges, {{disk, 0, 101}}), Errno::Inval);
	EXPECT_EQ(append_error(ranges, {{disk, 0, 1000}}), Errno::Inval);
	// The same sectors through a partition that begins at 60.
	EXPECT_EQ(append_error(ranges, {{device(1, 1, 60), 100, 8}}), Errno::Inval);
	EXPECT_TRUE(append(ranges, {{device(1, 1, 60), 140, 8}}).ok());
	// Neighbours and other disks do not overlap.
	EXPECT_TRUE(append(ranges, {{disk, 92, 8}, {disk, 208, 8}, {device(2, 2), 100, 100}}).ok());
}

TEST(storage_ranges, refuses_more_units_than_numbers)
{
	Storage ranges;
	const u64 most = u64{~u32{0}} * 8;
	EXPECT_EQ(append_error(ranges, {{device(0, 1), 0, 8}, {device(0, 1), 8, most}}),
		  Errno::Inval);
	EXPECT_EQ(append_error(ranges, {{device(0, 1), 0, kHuge}, {device(0, 2), 0, 8}}),
		  Errno::Inval);
	ASSERT_TRUE(append(ranges, {{device(0, 1), 0, most}}).ok());
	EXPECT_EQ(ranges.total_units(), ~u32{0});
	EXPECT_EQ(ranges.locate(~u32{0} - 1).sector, most - 8);
	EXPECT_EQ(append_error(ranges, {{device(0, 2), 0, 8}}), Errno::Inval);
}

TEST(storage_ranges, refuses_more_ranges_than_a_snapshot_may_have)
{
	constexpr u64 kMost = StorageRanges::kMostRanges;
	Storage ranges;
	std::vector<Given> given;
	for (u64 i = 0; i < kMost / 2; i++)
		given.push_back({device(1, 1), i * 16, 8});
	ASSERT_TRUE(append(ranges, given).ok());
	for (Given &one : given)
		one.sector += kMost * 16;
	given.push_back({device(1, 1), kMost * 64, 1}); // too small to be used, and one too many
	EXPECT_EQ(append_error(ranges, given), Errno::Inval);
	given.pop_back();
	EXPECT_TRUE(append(ranges, given).ok());
	EXPECT_EQ(ranges.size(), kMost);
}

TEST(storage_ranges, a_batch_may_hold_more_than_expected)
{
	Storage ranges;
	{
		auto created = StorageRanges::Batch::create(ranges, 0);
		ASSERT_TRUE(created.ok());
		auto batch = created.release_value();
		for (u32 i = 0; i < 100; i++)
			ASSERT_TRUE(batch.add(device(0, 1), i * 16, 8).ok());
		ASSERT_TRUE(batch.seal().ok());
		EXPECT_EQ(batch.added_units(), 100u);
		EXPECT_EQ(ranges.total_units(), 0u);
		ASSERT_TRUE(ranges.commit(batch).ok());
	}
	EXPECT_EQ(ranges.total_units(), 100u);
	EXPECT_EQ(ranges.locate(57).sector, 57u * 16);
}

TEST(storage_ranges, finds_the_first_overlap)
{
	Storage ranges;
	ASSERT_TRUE(append(ranges, {{device(0, 2), 100, 10},
				    {device(0, 1), 300, 10},
				    {device(0, 1), 100, 10},
				    {device(0, 3), 0, 5}})
			    .ok());
	const auto expect = [&](u64 disk, u64 sector, u64 sectors, u64 at, u64 length) {
		const auto span = ranges.first_overlap(disk, sector, sectors);
		EXPECT_EQ(span.sectors, length) << sector << "+" << sectors;
		EXPECT_EQ(span.sector, at);
	};
	expect(1, 0, 100, 0, 0);
	expect(1, 0, 101, 100, 1);
	expect(1, 0, 1000, 100, 10);
	expect(1, 105, 1000, 105, 5);
	expect(1, 110, 1000, 300, 10);
	expect(1, 110, 190, 0, 0);
	expect(1, 304, 2, 304, 2);
	expect(1, 310, 1000, 0, 0);
	expect(1, 105, 0, 0, 0);
	expect(0, 0, 1000, 0, 0);
	expect(2, 0, 1000, 100, 10);
	expect(3, 4, 1, 4, 1);
	expect(4, 0, 1000, 0, 0);
}

TEST(storage_ranges, random_against_a_model)
{
	std::mt19937_64 random(11);
	Storage ranges;
	std::map<std::pair<u64, u64>, u64> taken;	// (disk, sector) -> sectors
	std::vector<std::pair<shim_bdev *, u64>> units; // device and sector of each
	for (u32 call = 0; call < 500; call++) {
		std::vector<Given> given;
		auto trial = taken;
		bool overlap = false;
		for (u32 i = 0; i < random() % 8; i++) {
			const u64 disk = random() % 3, start = disk * 100;
			const u64 sector = random() % 1'000'000, sectors = 1 + random() % 200;
			given.push_back({device(u32(disk), disk, start), sector, sectors});
			for (auto &[key, length] : trial)
				overlap |= key.first == disk &&
					   key.second < start + sector + sectors &&
					   start + sector < key.second + length;
			trial[{disk, start + sector}] = sectors;
		}
		ASSERT_EQ(append(ranges, given).ok(), !overlap);
		if (overlap)
			continue;
		taken = trial;
		for (auto &one : given) {
			for (u64 s = (one.sector + 7) / 8 * 8; s + 8 <= one.sector + one.sectors;
			     s += 8)
				units.push_back({one.device.bdev, s});
		}
	}
	ASSERT_EQ(ranges.total_units(), units.size());
	ASSERT_GT(units.size(), 1000u);
	for (u32 unit = 0; unit < units.size(); unit++) {
		const auto place = ranges.locate(unit);
		ASSERT_EQ(place.bdev, units[unit].first);
		ASSERT_EQ(place.sector, units[unit].second);
		ASSERT_EQ(units[unit + place.units - 1].second,
			  place.sector + (place.units - 1) * 8);
	}
	for (u32 i = 0; i < 20'000; i++) {
		const u64 disk = random() % 3, sector = random() % 1'000'000;
		auto next = taken.upper_bound({disk, sector});
		bool hit = next != taken.end() && next->first == std::pair(disk, sector + 1);
		if (next != taken.begin()) {
			auto before = std::prev(next);
			hit |= before->first.first == disk &&
			       before->first.second + before->second > sector;
		}
		ASSERT_EQ(ranges.overlaps(disk, sector, 2), hit);
	}
}

TEST(storage_ranges, refuses_more_units_than_can_be_numbered)
{
	const u64 most = u64{~u32{0}} * 8;
	Storage ranges;
	EXPECT_EQ(append_error(ranges, {{device(0, 1), 0, most + 8}}), Errno::Inval);
	EXPECT_EQ(append_error(ranges, {{device(0, 1), 0, kHuge}}), Errno::Inval);
	ASSERT_TRUE(append(ranges, {{device(0, 1), 0, most}}).ok());
	EXPECT_EQ(ranges.total_units(), ~u32{0});
	EXPECT_EQ(ranges.locate(~u32{0} - 1).units, 1u);
	EXPECT_EQ(append_error(ranges, {{device(0, 1), most, 8}}), Errno::Inval);
}

TEST(storage_ranges, sorts_what_comes_in_the_worst_order)
{
	for (int step : {1, -1}) {
		Storage ranges;
		std::vector<Given> given;
		for (int i = 0; i < 50'000; i++)
			given.push_back({device(0, 1), u64(1'000'000 + step * i * 8), 8});
		ASSERT_TRUE(append(ranges, given).ok());
		EXPECT_EQ(append_error(ranges, {given[777]}), Errno::Inval);
	}
}

TEST(storage_ranges, each_failed_allocation_adds_nothing)
{
	const long before = fake::live_allocations();
	{
		Storage ranges;
		ASSERT_TRUE(append(ranges, {{device(0, 1), 0, 80}}).ok());
		u64 sector = 1000;
		const long faults = fake::walk_allocation_failures([&](long) {
			const u32 units = ranges.total_units();
			auto result = append(
				ranges, {{device(0, 1), sector, 8}, {device(0, 1), sector + 8, 8}});
			EXPECT_EQ(ranges.total_units(), result.ok() ? units + 2 : units);
			EXPECT_EQ(result.error(), result.ok() ? Errno::None : Errno::NoMem);
			sector += 100;
		});
		EXPECT_GE(faults, 2);
	}
	EXPECT_EQ(fake::live_allocations(), before);
}
