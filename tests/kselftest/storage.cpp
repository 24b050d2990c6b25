// SPDX-License-Identifier: GPL-2.0
//
// storage: what may be given to a snapshot for its copies, what it does with it, and what happens
// when it is not enough.
#include "kselftest.hpp"

#include "block_io.hpp"
#include "free_memory.hpp"
#include "held.hpp"
#include "load.hpp"
#include "module.hpp"
#include "process.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>

using namespace kselftest;

namespace
{

using Ranges = std::vector<blk_snap_block_range>;

constexpr std::uint64_t kUnitSectors = 8;

// Whatever a snapshot may not write to keeps its pattern.
void expect_untouched_outside(const Disk &store, std::uint64_t seed, const Ranges &ranges)
{
	const std::uint64_t sectors = store.sectors();
	const Bytes before = pattern(seed, sectors), now = store.read(0, sectors);
	std::vector<bool> given(sectors);
	std::uint64_t changed = 0;

	for (const blk_snap_block_range &range : ranges)
		for (std::uint64_t i = 0; i < range.sector_count; i++)
			given[range.sector_offset + i] = true;
	for (std::uint64_t sector = 0; sector < sectors; sector++) {
		const auto at = static_cast<long>(sector * 512);
		if (std::equal(now.begin() + at, now.begin() + at + 512, before.begin() + at))
			continue;
		changed++;
		if (!given[sector]) {
			note("sector %llu was written to", static_cast<unsigned long long>(sector));
			EXPECT(given[sector]);
			return;
		}
	}
	note("%llu sectors of the store were written to", static_cast<unsigned long long>(changed));
	EXPECT(changed > 0);
}

std::string linear(const Disk &disk)
{
	return "0 " + std::to_string(disk.sectors()) + " linear " + disk.path() + " 0";
}

std::string error_table(const Disk &disk)
{
	return "0 " + std::to_string(disk.sectors()) + " error";
}

} // namespace

// --- what is refused -------------------------------------------------------------------------

TEST(bad_ranges_are_refused_and_add_nothing)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	const std::uint64_t end = store.sectors();
	const std::vector<Ranges> bad = {
		{{0, 0}},		       // empty
		{{end, 8}},		       // behind the end
		{{end - 8, 16}},	       // across it
		{{~0ULL - 7, 16}},	       // wraps
		{{8, ~0ULL}},		       // its length wraps
		{{1ULL << 55, 8}},	       // its bytes wrap
		{{0, 64}, {32, 64}},	       // overlap
		{{64, 64}, {0, 65}},	       // by one sector, in the other order
		{{0, 64}, {0, 64}},	       // twice
		{{0, end}, {end / 2, 8}},      // within
		{{0, 64}, {64, 64}, {128, 0}}, // a bad one among good ones
	};
	for (const Ranges &ranges : bad)
		EXPECT_ERRNO(snapshot.append(store, ranges), EINVAL);
	EXPECT_ERRNO(snapshot.append(store, {}), 0);
	EXPECT_ERRNO(snapshot.take(), ENOSPC);
	EXPECT_ERRNO(snapshot.append(store, {{64, 64}}), 0);
	for (const Ranges &again :
	     {Ranges{{64, 64}}, Ranges{{127, 1}}, Ranges{{0, 65}}, Ranges{{0, end}}})
		EXPECT_ERRNO(snapshot.append(store, again), EINVAL);
	EXPECT_ERRNO(snapshot.append(store, {{0, 64}, {128, 64}}), 0); // neighbours are no overlap
	EXPECT_ERRNO(snapshot.take(), 0);
}

TEST(ranges_of_a_partition_are_those_of_its_disk)
{
	const Control control;
	const NullDisk origin(16), store(16);
	run_or_throw({"sh", "-c", "echo 'start=2048, size=8192' | sfdisk --quiet " + store.path()});
	settle_udev();
	const Disk partition(store.path() + (isdigit(store.path().back()) ? "p1" : "1"));
	{
		const Snapshot snapshot(control, {&origin});
		EXPECT_ERRNO(snapshot.append(partition, {{8192, 8}}), EINVAL);
		EXPECT_ERRNO(snapshot.append(partition, {{0, 64}}), 0);
		EXPECT_ERRNO(snapshot.append(store, {{2048, 8}}), EINVAL);
		EXPECT_ERRNO(snapshot.append(store, {{2048 + 63, 2}}), EINVAL);
		EXPECT_ERRNO(snapshot.append(store, {{2048 + 64, 64}}), 0);
		EXPECT_ERRNO(snapshot.append(partition, {{64, 8}}), EINVAL);
	}
	run_or_throw({"wipefs", "--quiet", "--all", "--force", store.path()});
}

TEST(what_another_snapshot_was_given_is_refused)
{
	const Control control;
	const NullDisk a(16), b(16), store(16);
	const Snapshot first(control, {&a}), second(control, {&b});
	EXPECT_ERRNO(first.append(store, {{64, 64}}), 0);
	EXPECT_ERRNO(second.append(store, {{0, 65}}), EINVAL);
	EXPECT_ERRNO(second.append(store, {{0, 64}}), 0);
	EXPECT_ERRNO(first.destroy(), 0);
	EXPECT_ERRNO(second.append(store, {{64, 64}}), 0);
}

TEST(a_read_only_device_is_refused)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	int yes = 1, no = 0;
	REQUIRE_EQ(ioctl(BlockFile(store, O_RDONLY).fd(), BLKROSET, &yes), 0);
	EXPECT_ERRNO(snapshot.append(store, {{0, 64}}), EROFS);
	REQUIRE_EQ(ioctl(BlockFile(store, O_RDONLY).fd(), BLKROSET, &no), 0);
	EXPECT_ERRNO(snapshot.append(store, {{0, 64}}), 0);
}

TEST(larger_blocks_than_those_of_the_origin_are_refused)
{
	const Control control;
	const NullDisk small(16), large(16, {"blocksize=4096"});
	const Snapshot of_small(control, {&small}), of_large(control, {&large});
	EXPECT_ERRNO(of_small.append(large, {{0, 64}}), EINVAL);
	EXPECT_ERRNO(of_large.append(small, {{0, 64}}), 0);
}

// --- where copies go -------------------------------------------------------------------------

// Ranges that begin and end anywhere are used inwards; nothing beside them changes.
TEST(only_the_given_sectors_are_written_to)
{
	for (const unsigned block : {512u, 4096u}) {
		const std::string size = "blocksize=" + std::to_string(block);
		const NullDisk origin(16, {size}), store(16, {size});
		const Control control;
		const Ranges ranges = {{1003, 2501}, {5000, 7},	 {5007, 9},
				       {8191, 6000}, {20001, 8}, {store.sectors() - 3001, 3001}};
		store.fill(3, 0, store.sectors());
		origin.fill(7, 0, 8192);
		const Snapshot snapshot(control, {&origin});
		REQUIRE_ERRNO(snapshot.append(store, ranges), 0);
		REQUIRE_ERRNO(snapshot.take(), 0);
		origin.fill(1, 0, 8192);
		EXPECT(snapshot.image_of(origin).holds(7, 0, 8192));
		EXPECT(!lost_image(snapshot, 200));
		expect_untouched_outside(store, 3, ranges);
	}
}

TEST(ranges_too_small_to_use_are_skipped)
{
	const Control control;
	const NullDisk origin(16), store(16);
	Ranges ranges;
	for (std::uint64_t i = 0; i < 500; i++)
		ranges.push_back({i * 16 + 1, 1 + i % 7}); // none holds a whole unit
	store.fill(3, 0, store.sectors());
	origin.fill(7, 0, 2048);
	const Snapshot snapshot(control, {&origin});
	EXPECT_ERRNO(snapshot.append(store, ranges), 0);
	EXPECT_ERRNO(snapshot.take(), ENOSPC);
	EXPECT_ERRNO(snapshot.append(store, {{16384, 2048}}), 0);
	EXPECT_ERRNO(snapshot.take(), 0);
	origin.fill(1, 0, 2048);
	EXPECT(snapshot.image_of(origin).holds(7, 0, 2048));
	EXPECT(!lost_image(snapshot, 200));
	expect_untouched_outside(store, 3, {{16384, 2048}});
}

// Pieces of three devices, some of them given when copies are made already.
TEST(several_devices_before_and_after_the_take)
{
	constexpr std::uint64_t kSectors = 16384;
	const Control control;
	const NullDisk origin(16, {"blocksize=4096"}), a(16), b(16), c(16, {"blocksize=4096"});
	origin.fill(8, 0, kSectors);
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(a, {{0, 512}, {1024, 512}}), 0);
	REQUIRE_ERRNO(snapshot.append(b, {{4096, 1024}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	origin.fill(1, 0, 2000);
	Ranges pieces;
	for (std::uint64_t i = 0; i < 400; i++)
		pieces.push_back({8192 + i * 48, 32});
	REQUIRE_ERRNO(snapshot.append(c, pieces), 0);
	REQUIRE_ERRNO(snapshot.append(a, {{16384, 8192}}), 0);
	origin.fill(1, 2000, kSectors - 2000);
	EXPECT(snapshot.image_of(origin).holds(8, 0, kSectors));
	EXPECT(!lost_image(snapshot, 200));
	EXPECT(origin.holds(1, 2000, kSectors - 2000));
}

// --- storage on an origin --------------------------------------------------------------------

TEST(a_store_on_its_own_origin_reads_as_zeroes)
{
	constexpr std::uint64_t kFirst = 8192, kCount = 16384;
	const NullDisk origin(32);
	const Control control;
	origin.fill(7, 0, origin.sectors());
	const Bytes then = origin.read(0, origin.sectors());
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(origin, {{kFirst, kCount}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	origin.fill(1, 0, kFirst);
	const Disk image = snapshot.image_of(origin);
	const auto part = [&](std::uint64_t first, std::uint64_t count) {
		return Bytes(then.begin() + static_cast<long>(first * 512),
			     then.begin() + static_cast<long>((first + count) * 512));
	};
	EXPECT(image.read(0, kFirst) == part(0, kFirst));
	EXPECT(image.read(kFirst, kCount) == Bytes(kCount * 512));
	const std::uint64_t behind = kFirst + kCount;
	EXPECT(image.read(behind, origin.sectors() - behind) ==
	       part(behind, origin.sectors() - behind));
	EXPECT(!lost_image(snapshot, 0));
}

// Given before that origin's take: its image shows zeroes there, and copies of copies are not made.
TEST(a_store_on_the_origin_of_another_snapshot_reads_as_zeroes)
{
	constexpr std::uint64_t kFirst = 8192, kCount = 16384;
	const Control control;
	const NullDisk a(32), b(32), small(1);
	a.fill(7, 0, 8192);
	b.fill(8, 0, b.sectors());
	const Bytes then = b.read(0, kFirst);
	const Snapshot of_a(control, {&a}), of_b(control, {&b});
	REQUIRE_ERRNO(of_a.append(b, {{kFirst, kCount}}), 0);
	REQUIRE_ERRNO(of_b.append(small, {{0, small.sectors()}}), 0);
	REQUIRE_ERRNO(of_a.take(), 0);
	REQUIRE_ERRNO(of_b.take(), 0);
	a.fill(1, 0, 8192); // 4 MiB of copies, more than the other store holds
	b.fill(1, 0, 64);
	EXPECT(of_a.image_of(a).holds(7, 0, 8192));
	EXPECT(of_b.image_of(b).read(kFirst, kCount) == Bytes(kCount * 512));
	EXPECT(of_b.image_of(b).read(0, kFirst) == then);
	EXPECT(!lost_image(of_a, 0) && !lost_image(of_b, 0));
}

// They would destroy what the image shows there. Not only in the own snapshot.
TEST(after_the_take_sectors_of_an_image_are_busy)
{
	const Control control;
	const NullDisk a(16), b(16), store(16);
	const Snapshot first(control, {&a}), second(control, {&b});
	REQUIRE_ERRNO(first.append(store, {{0, 8192}}), 0);
	REQUIRE_ERRNO(second.append(store, {{8192, 8192}}), 0);
	EXPECT_ERRNO(second.append(a, {{0, 8}}), 0); // not taken yet
	REQUIRE_ERRNO(first.take(), 0);
	EXPECT_ERRNO(first.append(a, {{4096, 64}}), EBUSY);
	EXPECT_ERRNO(second.append(a, {{4096, 64}}), EBUSY);
	EXPECT_ERRNO(first.append(b, {{4096, 64}}), 0); // second is not taken
	REQUIRE_ERRNO(second.take(), 0);
	EXPECT_ERRNO(first.append(b, {{8192, 64}}), EBUSY);
	EXPECT_ERRNO(second.append(a, {{8192, 64}, {16, 8}}), EBUSY);
	EXPECT_ERRNO(first.destroy(), 0);
	EXPECT_ERRNO(second.append(a, {{8192, 64}}), 0);
}

TEST(a_parameter_accepts_them_and_they_read_as_zeroes)
{
	constexpr std::uint64_t kFirst = 16384, kCount = 8192;
	const module::Parameter accept("storage_on_origin_after_take", "1");
	const NullDisk origin(32), store(1);
	const Control control;
	origin.fill(7, 0, 8192);
	origin.fill(8, kFirst, kCount);
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(store, {{0, 64}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	const Disk image = snapshot.image_of(origin);
	EXPECT(image.holds(8, kFirst, kCount));
	REQUIRE_ERRNO(snapshot.append(origin, {{kFirst, kCount}}), 0);
	EXPECT(image.read(kFirst, kCount) == Bytes(kCount * 512));
	origin.fill(1, 0, 8192);
	EXPECT(image.holds(7, 0, 8192));
	EXPECT(image.read(kFirst, kCount) == Bytes(kCount * 512));
	EXPECT(!lost_image(snapshot, 0));
}

// Copies that are written to a device with a tracker are no changes of that device.
TEST(writes_to_a_store_are_no_changes_of_its_device)
{
	const NullDisk origin(16), store(16), other(16);
	Held held(store, other); // the store has a tracker
	const unsigned since = tracker_of(held.control(), store.number()).value().snap_number;
	held.snapshot().destroy();
	origin.fill(7, 0, 4096);
	{
		const Snapshot snapshot(held.control(), {&origin});
		REQUIRE_ERRNO(snapshot.append(store, {{16384, 8192}}), 0);
		REQUIRE_ERRNO(snapshot.take(), 0);
		origin.fill(1, 0, 4096);
		EXPECT(snapshot.image_of(origin).holds(7, 0, 4096));
		store.fill(1, 0, 8); // a foreign write, as a proof
	}
	const Snapshot again(held.control(), {&store}, Snapshot::Trackers::Keep);
	again.take_with(other);
	EXPECT(changed_blocks(held.control(), store.number(), since) == std::vector<unsigned>{0});
}

// --- asking for more -------------------------------------------------------------------------

TEST(more_is_asked_for_when_half_of_a_portion_is_left)
{
	const module::Parameter portion("diff_storage_minimum", "4096");
	const NullDisk origin(32), store(32);
	const Control control;
	const Snapshot snapshot(control, {&origin});
	// The first portion, at once and only once.
	EXPECT(request_for_space(snapshot, 0) == 4096u);
	EXPECT(!request_for_space(snapshot, 300));
	std::uint64_t copied = 0, given = 0;
	const auto copy = [&](std::uint64_t sectors) {
		origin.fill(1, copied, sectors);
		copied += sectors;
	};
	for (const std::uint64_t sectors : {4096, 2048, 8192}) {
		REQUIRE_ERRNO(snapshot.append(store, {{given, sectors}}), 0);
		if (!given)
			REQUIRE_ERRNO(snapshot.take(), 0);
		given += sectors;
		// A little less than half of it used up: nothing is asked for.
		copy(given - copied - sectors / 2 - 128);
		EXPECT(!request_for_space(snapshot, 300));
		copy(256);
		EXPECT(request_for_space(snapshot, 3000) == 4096u);
		copy(sectors / 4 / kUnitSectors * kUnitSectors);
		EXPECT(!request_for_space(snapshot, 300));
	}
	EXPECT(!lost_image(snapshot, 0));
}

// --- not enough, or broken -------------------------------------------------------------------

// Both origins lose their images, with one event each, and nothing else.
TEST(a_full_store_costs_images_not_writes)
{
	const Control control;
	const NullDisk a(32), b(32), store(1);
	a.fill(7, 0, 16384);
	b.fill(8, 0, 16384);
	const Snapshot snapshot(control, {&a, &b});
	REQUIRE_ERRNO(snapshot.append(store, {{0, 1024}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	const Disk image_of_a = snapshot.image_of(a), image_of_b = snapshot.image_of(b);
	a.fill(1, 0, 16384);
	const auto first = lost_image(snapshot, 10000);
	REQUIRE(first.has_value());
	EXPECT(same(first->orig_dev_id, a.number()));
	EXPECT_ERRNO(first->err_code, ENOSPC);
	// The other one lives until it needs space, too.
	EXPECT(image_of_b.holds(8, 0, 16384));
	b.fill(1, 0, 16384);
	const auto second = lost_image(snapshot, 10000);
	REQUIRE(second.has_value());
	EXPECT(same(second->orig_dev_id, b.number()));
	EXPECT_ERRNO(second->err_code, ENOSPC);
	a.fill(2, 0, 16384);
	b.fill(2, 0, 16384);
	EXPECT(!lost_image(snapshot, 500));
	for (const Disk &image : {image_of_a, image_of_b}) {
		Bytes bytes(4096);
		EXPECT_ERRNO(image.try_read(0, bytes), EIO);
		EXPECT_ERRNO(image.try_write(0, bytes), EIO);
	}
	EXPECT(a.holds(2, 0, 16384) && b.holds(2, 0, 16384));
}

TEST(space_appended_in_time_keeps_the_image)
{
	const Control control;
	const NullDisk origin(32), store(32);
	origin.fill(7, 0, 32768);
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(store, {{0, 4096}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	for (std::uint64_t given = 4096; given < 32768; given += 4096) {
		origin.fill(given, given - 4096, 4096);
		REQUIRE_ERRNO(snapshot.append(store, {{given, 4096}}), 0);
	}
	EXPECT(snapshot.image_of(origin).holds(7, 0, 32768));
	EXPECT(!lost_image(snapshot, 0));
}

TEST(a_store_that_fails_costs_the_image_not_the_writes)
{
	const Control control;
	const NullDisk origin(32), below(32);
	const DmDisk store(linear(below));
	origin.fill(7, 0, 16384);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	const Disk image = snapshot.image_of(origin);
	Load load(origin, 0, 16384);
	load.wait_for(50);
	store.reload(error_table(below));
	const auto lost = lost_image(snapshot, 20000);
	load.wait_for(50);
	EXPECT_ERRNO(load.stop(), 0);
	REQUIRE(lost.has_value());
	EXPECT(same(lost->orig_dev_id, origin.number()));
	EXPECT_ERRNO(lost->err_code, EIO);
	EXPECT(!lost_image(snapshot, 300));
	Bytes bytes(4096);
	EXPECT_ERRNO(image.try_read(0, bytes), EIO);
	EXPECT_ERRNO(image.try_read(16000, bytes), EIO);
	EXPECT_ERRNO(snapshot.destroy(), 0);
	store.reload(linear(below));
}

// A store slower than the writers: they are held back, memory is not used up.
TEST(a_slow_store_takes_bounded_memory, .timeout_seconds = 240)
{
	constexpr std::uint64_t kSectors = 96 << 11;
	const module::Parameter limit("cow_memory_limit_kib", "4096");
	const NullDisk origin(96), below(112);
	below.fill(1, 0, below.sectors()); // so that its memory is there already
	const std::string path = below.path() + " 0 ";
	const DmDisk store("0 " + std::to_string(below.sectors()) + " delay " + path + "0 " + path +
			   "20");
	const Held held(origin, store, kSectors);
	int error = -1;
	const std::uint64_t taken = memory_taken_by([&] {
		const BlockFile file(origin);
		const Bytes mib = pattern(1, 2048);
		error = 0;
		for (std::uint64_t sector = 0; sector < kSectors && !error; sector += 2048)
			error = file.write(sector, mib);
	});
	note("%llu KiB", static_cast<unsigned long long>(taken));
	EXPECT_ERRNO(error, 0);
	EXPECT(taken < 32 << 10);
	EXPECT(held.image_is_right());
}
