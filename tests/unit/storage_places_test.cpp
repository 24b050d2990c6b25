// SPDX-License-Identifier: GPL-2.0
//
// Storage places: found without a lock, also while more are appended.
#include "storage_fixture.hpp"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

constexpr u64 kRangeSectors = 24;
constexpr u32 kRangeUnits = 3;

// Range `n` is the only one of device n + 1, and begins there at sector n * 8.
void append_range(Storage &storage, u32 n)
{
	const StorageRanges::Device device{named_bdev(n + 1), n, 0, u64{1} << 40, 512};
	auto batch = StorageRanges::Batch::create(storage, 1).release_value();
	ASSERT_TRUE(batch.add(device, n * u64{8}, kRangeSectors).ok());
	ASSERT_TRUE(batch.seal().ok());
	ASSERT_TRUE(storage.commit(batch).ok());
}

bool is_right(const StoragePlaces::Place &place, u32 unit)
{
	const u32 n = unit / kRangeUnits, skipped = unit % kRangeUnits;
	return place.bdev == named_bdev(n + 1) && place.sector == (n + skipped) * u64{8} &&
	       place.units == kRangeUnits - skipped;
}

} // namespace

TEST(storage_places, are_found_however_often_the_table_grew)
{
	Storage storage;
	for (u32 n = 0; n < 100; n++) {
		append_range(storage, n);
		for (u32 unit = 0; unit < (n + 1) * kRangeUnits; unit++)
			ASSERT_TRUE(is_right(storage.locate(unit), unit)) << n << " " << unit;
	}
}

TEST(storage_places, lack_of_memory_changes_nothing)
{
	Storage storage;
	u32 ranges = 0;
	for (; ranges < 8; ranges++)
		append_range(storage, ranges);
	for (int n = 1; n <= 2; n++) {
		fake::fail_allocation(n);
		EXPECT_EQ(storage.places.make_room(100).error(), Errno::NoMem) << n;
		fake::fail_allocation(0);
	}
	EXPECT_EQ(storage.places.make_room(~u32{0}).error(), Errno::NoMem);
	EXPECT_TRUE(storage.places.make_room(100).ok()); // and is not used
	for (; ranges < 20; ranges++)
		append_range(storage, ranges);
	for (u32 unit = 0; unit < ranges * kRangeUnits; unit++)
		EXPECT_TRUE(is_right(storage.locate(unit), unit)) << unit;
}

TEST(storage_places_death, units_that_nobody_appended_are_nowhere)
{
	Storage storage;
	EXPECT_DEATH(storage.locate(0), "assertion failed");
	append_range(storage, 0);
	EXPECT_DEATH(storage.locate(kRangeUnits), "assertion failed");
}

// A reader learns of units by something that was published after they were appended.
TEST(storage_places, are_found_while_others_are_appended)
{
	constexpr u32 ranges = 3000;
	Storage storage;
	std::atomic<u32> known{0};
	std::atomic<bool> wrong{false};
	std::vector<std::thread> readers;

	for (u32 seed = 1; seed <= 3; seed++)
		readers.emplace_back([&, seed] {
			for (u32 x = seed; known < ranges && !wrong; x = x * 1664525 + 1013904223) {
				const u32 units = known * kRangeUnits;
				const u32 unit = units ? (x >> 8) % units : 0;
				if (units && !is_right(storage.places.locate(unit), unit))
					wrong = true;
			}
		});
	for (u32 n = 0; n < ranges; n++) {
		append_range(storage, n);
		known = n + 1;
	}
	for (auto &reader : readers)
		reader.join();
	EXPECT_FALSE(wrong);
}
