// SPDX-License-Identifier: GPL-2.0
//
// cbt: the map of changes: its bytes, how it is read and marked, its blocks and its generations.
#include "kselftest.hpp"

#include "memory.hpp"
#include "snapshot.hpp"

#include <algorithm>
#include <random>

using namespace kselftest;

namespace
{

using Blocks = std::vector<unsigned>;

constexpr std::uint64_t kBlock = 128; // sectors of a tracking block of 64 KiB
constexpr std::uint64_t kGib = 1ull << 30;

// A snapshot that is taken at once and keeps its tracker.
class Taken : public Snapshot
{
public:
	Taken(const Control &control, const Disk &origin, const Disk &store)
		: Snapshot(control, {&origin}, Trackers::Keep)
	{
		take_with(store);
	}
};

// Return: the number of bytes, or a negative errno.
int read_map(const Control &control, const Disk &origin, __u32 offset, __u32 length, void *buffer)
{
	blk_snap_tracker_read_cbt_bitmap argument{origin.number(), offset, length,
						  static_cast<__u8 *>(buffer)};
	const int result = ioctl(control.fd(), IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &argument);

	return result < 0 ? -errno : result;
}

unsigned number_of(const Control &control, const Disk &origin)
{
	return tracker_of(control, origin.number())->snap_number;
}

blk_snap_uuid generation_of(const Control &control, const Disk &origin)
{
	return tracker_of(control, origin.number())->generation_id;
}

} // namespace

// --- bytes and numbers -----------------------------------------------------------------------

TEST(a_byte_is_the_number_of_the_last_change)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const TrackerEnd end(control, origin);
	{
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
		origin.fill(1, 0, 2 * kBlock);
		snapshot.take_with(store);
		EXPECT_EQ(number_of(control, origin), 1u);
		const Bytes map = cbt_map(control, origin.number());
		EXPECT_EQ(map.size(), 256u);
		EXPECT(map[0] == 1 && map[1] == 1 && all_bytes(&map[2], 254, 0));
		origin.fill(2, kBlock, 2 * kBlock);
	}
	origin.fill(2, 3 * kBlock, 1);
	{
		const Taken snapshot(control, origin, store);
		EXPECT_EQ(number_of(control, origin), 2u);
		const Bytes map = cbt_map(control, origin.number());
		EXPECT(map[0] == 1 && map[1] == 2 && map[2] == 2 && map[3] == 2 && map[4] == 0);
		EXPECT_EQ(changed_blocks(control, origin.number(), 1), (Blocks{1, 2, 3}));
		EXPECT_EQ(changed_blocks(control, origin.number(), 0), (Blocks{0, 1, 2, 3}));
		EXPECT_EQ(changed_blocks(control, origin.number(), 2), Blocks{});
	}
	const Taken snapshot(control, origin, store);
	EXPECT_EQ(number_of(control, origin), 3u);
	EXPECT_EQ(changed_blocks(control, origin.number(), 2), Blocks{});
}

TEST(every_block_that_a_write_touches_is_marked)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	origin.fill(1, 1 * kBlock - 1, 2);	      // the end of 0, the begin of 1
	origin.fill(1, 3 * kBlock, 1);		      // the first sector of 3
	origin.fill(1, 6 * kBlock - 1, 1);	      // the last sector of 5
	origin.fill(1, 10 * kBlock - 8, 16 + kBlock); // 9, 10, 11
	origin.fill(1, 256 * kBlock - 1, 1);	      // the last sector of all
	snapshot.take_with(store);
	EXPECT_EQ(changed_blocks(control, origin.number(), 0),
		  (Blocks{0, 1, 3, 5, 9, 10, 11, 255}));
}

TEST(the_readable_map_does_not_change_while_it_is_held)
{
	const Control control;
	const NullDisk origin(16), store(32);
	const TrackerEnd end(control, origin);
	{
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
		origin.fill(1, 0, 1);
		snapshot.take_with(store);
		const Bytes before = cbt_map(control, origin.number());
		origin.fill(2, 0, 16 * kBlock);
		EXPECT(cbt_map(control, origin.number()) == before);
		EXPECT_EQ(number_of(control, origin), 1u);
	}
	const Taken snapshot(control, origin, store);
	EXPECT_EQ(changed_blocks(control, origin.number(), 1).size(), 16u);
}

TEST(image_writes_mark_both_maps)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const TrackerEnd end(control, origin);
	{
		const Taken snapshot(control, origin, store);
		snapshot.image_of(origin).fill(1, 7 * kBlock - 1, 2);
		EXPECT_EQ(changed_blocks(control, origin.number(), 0), (Blocks{6, 7}));
	}
	const Taken snapshot(control, origin, store);
	EXPECT_EQ(changed_blocks(control, origin.number(), 1), (Blocks{6, 7}));
}

// --- reading ---------------------------------------------------------------------------------

TEST(the_map_is_readable_only_while_a_snapshot_is_taken)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const TrackerEnd end(control, origin);
	unsigned char byte = kPoison;
	EXPECT_ERRNO(-read_map(control, origin, 0, 1, &byte), ENODATA);
	{
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
		EXPECT_ERRNO(-read_map(control, origin, 0, 1, &byte), EPERM);
		EXPECT_EQ(byte, kPoison);
		snapshot.take_with(store);
		EXPECT_EQ(read_map(control, origin, 0, 1, &byte), 1);
		EXPECT_EQ(byte, 0);
	}
	EXPECT_ERRNO(-read_map(control, origin, 0, 1, &byte), EPERM);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), 0);
	EXPECT_ERRNO(-read_map(control, origin, 0, 1, &byte), ENODATA);
}

TEST(the_map_of_a_device_that_is_not_tracked_is_enodata)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	unsigned char byte;
	EXPECT_ERRNO(-read_map(control, store, 0, 1, &byte), ENODATA);
	EXPECT_ERRNO(-read_map(control, snapshot.image_of(origin), 0, 1, &byte), ENODATA);
	blk_snap_tracker_read_cbt_bitmap missing{kMissingDevice, 0, 1, &byte};
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &missing), ENODATA);
}

TEST(reading_ends_with_short_counts_and_zero)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	unsigned char buffer[512];
	memset(buffer, kPoison, sizeof(buffer));
	EXPECT_EQ(read_map(control, origin, 0, sizeof(buffer), buffer), 256);
	EXPECT(all_bytes(buffer, 256, 0));
	EXPECT(all_bytes(buffer + 256, 256, kPoison));
	EXPECT_EQ(read_map(control, origin, 253, 16, buffer), 3);
	EXPECT_EQ(read_map(control, origin, 255, 1, buffer), 1);
	EXPECT_EQ(read_map(control, origin, 256, 16, buffer), 0);
	EXPECT_EQ(read_map(control, origin, 256, 0, nullptr), 0);
	EXPECT_EQ(read_map(control, origin, 0, 0, nullptr), 0);
	EXPECT_EQ(read_map(control, origin, 0, 0xffffffff, buffer), 256);
	EXPECT_EQ(read_map(control, origin, 255, 0xffffffff, buffer), 1);
}

TEST(reading_beyond_the_end_is_einval)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	unsigned char byte = kPoison;
	for (const __u32 offset : {257u, 258u, 0x7fffffffu, 0x80000000u, 0xffffffffu})
		for (const __u32 length : {0u, 1u, 0xffffffffu})
			EXPECT_ERRNO(-read_map(control, origin, offset, length, &byte), EINVAL);
	EXPECT_EQ(byte, kPoison);
}

// A map of more than one piece of any size, with marks that tell where they are.
TEST(any_offset_and_length_give_the_same_bytes)
{
	const Control control;
	const LoopDisk origin(12 * kGib + 512); // 196609 blocks
	const NullDisk store(16);
	const Snapshot snapshot(control, {&origin});
	std::mt19937 random(7);
	for (int i = 0; i < 200; i++)
		REQUIRE_ERRNO(
			mark_dirty(control, origin.number(), {{random() % 196609 * kBlock, 1}}), 0);
	snapshot.take_with(store);
	const Bytes whole = cbt_map(control, origin.number());
	REQUIRE_EQ(whole.size(), 196609u);
	EXPECT(std::count(whole.begin(), whole.end(), 1) > 150);
	Bytes piece(200000);
	for (int i = 0; i < 200; i++) {
		const unsigned offset = random() % 196610, length = random() % 150000;
		const unsigned expected = std::min(length, 196609 - offset);
		std::fill(piece.begin(), piece.end(), kPoison);
		REQUIRE_EQ(read_map(control, origin, offset, length, piece.data()), expected);
		EXPECT(!memcmp(piece.data(), whole.data() + offset, expected));
		EXPECT(all_bytes(piece.data() + expected, piece.size() - expected, kPoison));
	}
}

// --- mark dirty ------------------------------------------------------------------------------

TEST(mark_dirty_marks_both_maps_of_the_origin)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const TrackerEnd end(control, origin);
	{
		const Taken snapshot(control, origin, store);
		EXPECT_ERRNO(mark_dirty(control, origin.number(),
					{{0, 1}, {5 * kBlock - 1, 2}, {254 * kBlock, 2 * kBlock}}),
			     0);
		EXPECT_EQ(changed_blocks(control, origin.number(), 0), (Blocks{0, 4, 5, 254, 255}));
		// A client copies what is above the number it saw last, here 0.
		EXPECT_EQ(cbt_map(control, origin.number())[0], 1);
	}
	const Taken snapshot(control, origin, store);
	EXPECT_EQ(changed_blocks(control, origin.number(), 1), (Blocks{0, 4, 5, 254, 255}));
}

TEST(mark_dirty_of_an_image_means_its_origin)
{
	const Control control;
	const NullDisk one(16), two(16), store(16);
	const Snapshot snapshot(control, {&one, &two});
	snapshot.take_with(store);
	EXPECT_ERRNO(mark_dirty(control, snapshot.image_of(two).number(), {{9 * kBlock, 1}}), 0);
	EXPECT_EQ(changed_blocks(control, one.number(), 0), Blocks{});
	EXPECT_EQ(changed_blocks(control, two.number(), 0), Blocks{9});
}

TEST(mark_dirty_without_a_taken_snapshot_is_seen_by_the_next)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	EXPECT_ERRNO(mark_dirty(control, origin.number(), {{kBlock, 1}}), 0);
	snapshot.take_with(store);
	EXPECT_EQ(changed_blocks(control, origin.number(), 0), Blocks{1});
}

TEST(mark_dirty_of_nothing_marks_nothing)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	EXPECT_ERRNO(mark_dirty(control, origin.number(), {}), 0);
	EXPECT_ERRNO(
		mark_dirty(control, origin.number(), {{0, 0}, {kBlock, 0}, {origin.sectors(), 0}}),
		0);
	// Of no length, wherever it is.
	EXPECT_ERRNO(mark_dirty(control, origin.number(), {{~0ull, 0}}), 0);
	blk_snap_tracker_mark_dirty_blocks none{origin.number(), 0, nullptr};
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &none), 0);
	EXPECT_EQ(changed_blocks(control, origin.number(), 0), Blocks{});
}

TEST(mark_dirty_outside_the_device_is_einval_and_marks_nothing)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	const std::uint64_t end = origin.sectors();
	const blk_snap_block_range outside[] = {{end, 1},
						{end - 1, 2},
						{0, end + 1},
						{~0ull, 1},
						{~0ull, ~0ull},
						{1, ~0ull},
						{~0ull - 7, 16},
						{1ull << 63, 1ull << 63},
						{1ull << 40, 1ull << 40}};
	for (const blk_snap_block_range &range : outside)
		for (const blk_snap_dev &device :
		     {origin.number(), snapshot.image_of(origin).number()}) {
			EXPECT_ERRNO(mark_dirty(control, device, {range}), EINVAL);
			EXPECT_ERRNO(mark_dirty(control, device, {{0, 8}, range, {kBlock, 8}}),
				     EINVAL);
		}
	EXPECT_EQ(changed_blocks(control, origin.number(), 0), Blocks{});
	EXPECT_ERRNO(mark_dirty(control, origin.number(), {{end - 1, 1}}), 0);
	EXPECT_ERRNO(mark_dirty(control, origin.number(), {{0, end}}), 0);
	EXPECT_EQ(changed_blocks(control, origin.number(), 0).size(), 256u);
}

TEST(mark_dirty_of_a_device_that_is_not_tracked_is_enodev)
{
	const Control control;
	const NullDisk origin(16), other(16);
	EXPECT_ERRNO(mark_dirty(control, origin.number(), {{0, 1}}), ENODEV);
	EXPECT_ERRNO(mark_dirty(control, kMissingDevice, {{0, 1}}), ENODEV);
	const Snapshot snapshot(control, {&origin});
	EXPECT_ERRNO(mark_dirty(control, other.number(), {{0, 1}}), ENODEV);
}

// --- blocks ----------------------------------------------------------------------------------

TEST(blocks_double_while_there_would_be_too_many, .timeout_seconds = 180)
{
	const Control control;
	const struct {
		std::uint64_t bytes;
		unsigned block_bytes;
	} sizes[] = {
		{512, 65536},
		{65536, 65536},
		{65536 + 512, 65536},
		{128 * kGib, 65536}, // 2097152 blocks
		{128 * kGib + 512, 131072},
		{256 * kGib, 131072},
		{256 * kGib + 512, 262144},
		{1024 * kGib, 524288},
		{2048 * kGib, 1048576},
		{2048 * kGib + 512, 2097152},
		{16384 * kGib, 8388608},
	};
	for (const auto &size : sizes) {
		const LoopDisk origin(size.bytes);
		const Snapshot snapshot(control, {&origin});
		const auto info = tracker_of(control, origin.number());
		EXPECT_EQ(info->device_capacity, size.bytes);
		EXPECT_EQ(info->blk_size, size.block_bytes);
		EXPECT_EQ(info->blk_count, (size.bytes + size.block_bytes - 1) / size.block_bytes);
		EXPECT(info->blk_count <= 2097152);
	}
}

TEST(huge_devices_are_tracked_to_their_ends)
{
	const Control control;
	const NullDisk store(16);
	for (const std::uint64_t tib : {1, 2, 16}) {
		const LoopDisk origin(tib << 40);
		const std::uint64_t sectors = tib << 31;
		const Snapshot snapshot(control, {&origin});
		const unsigned blocks = tracker_of(control, origin.number())->blk_count;
		origin.fill(1, 0, 8);
		origin.fill(1, sectors - 8, 8);
		snapshot.take_with(store);
		EXPECT_EQ(changed_blocks(control, origin.number(), 0), (Blocks{0, blocks - 1}));
		// And shown as they were.
		origin.fill(2, sectors - 16, 16);
		const Disk image = snapshot.image_of(origin);
		EXPECT_EQ(image.sectors(), sectors);
		EXPECT(image.holds(1, sectors - 8, 8));
		EXPECT(image.read(sectors - 16, 8) == Bytes(4096));
	}
}

// --- generations -----------------------------------------------------------------------------

TEST(the_generation_lasts_while_nothing_happens)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const TrackerEnd end(control, origin);
	blk_snap_uuid generation{};
	for (unsigned number = 1; number <= 4; number++) {
		const Taken snapshot(control, origin, store);
		if (number == 1)
			generation = generation_of(control, origin);
		EXPECT(same(generation_of(control, origin), generation));
		EXPECT_EQ(number_of(control, origin), number);
	}
	EXPECT(same(generation_of(control, origin), generation));
}

TEST(a_resize_starts_a_generation)
{
	const Control control;
	const LoopDisk origin(16 << 20);
	const NullDisk store(16);
	const TrackerEnd end(control, origin);
	blk_snap_uuid generation;
	{
		const Taken snapshot(control, origin, store);
		generation = generation_of(control, origin);
	}
	for (const unsigned mib : {24u, 8u}) {
		origin.resize(std::uint64_t{mib} << 20);
		const Taken snapshot(control, origin, store);
		const auto info = tracker_of(control, origin.number());
		EXPECT(!same(info->generation_id, generation));
		EXPECT_EQ(info->device_capacity, std::uint64_t{mib} << 20);
		EXPECT_EQ(info->blk_count, mib * 16);
		EXPECT_EQ(info->snap_number, 1);
		EXPECT_EQ(cbt_map(control, origin.number()).size(), mib * 16);
		EXPECT_EQ(snapshot.image_of(origin).sectors(), mib * 2048u);
		generation = info->generation_id;
	}
}

// Between create and take, too: the image has the size of the take.
TEST(a_resize_of_a_created_snapshot_starts_a_generation)
{
	const Control control;
	const LoopDisk origin(16 << 20);
	const NullDisk store(16);
	const Snapshot snapshot(control, {&origin});
	const blk_snap_uuid generation = generation_of(control, origin);
	origin.resize(24 << 20);
	snapshot.take_with(store);
	EXPECT(!same(generation_of(control, origin), generation));
	EXPECT_EQ(snapshot.image_of(origin).sectors(), 24u * 2048);
	origin.fill(1, 20 * 2048, 8);
	EXPECT(snapshot.image_of(origin).read(20 * 2048, 8) == Bytes(4096));
}

// A client that follows the rule "copy what is above the number of the last backup, all of it in a new
// generation" holds the device at each take, before and after the number starts anew.
TEST(no_change_is_lost_at_the_wrap, .timeout_seconds = 600)
{
	const Control control;
	const NullDisk origin(4), store(16);
	const TrackerEnd end(control, origin);
	constexpr unsigned kBlocks = 64;
	std::vector<unsigned> device(kBlocks), backup(kBlocks); // versions of the blocks
	std::mt19937 random(1);
	blk_snap_uuid generation{};
	unsigned last_number = 0, generations = 0, version = 0;

	// All but a few takes are without writes: this is about numbers.
	for (unsigned take = 1; take <= 262; take++) {
		for (unsigned i = 0; i < (take < 5 || take > 250 ? 3 : 0); i++) {
			const unsigned block = random() % kBlocks;
			device[block] = ++version;
			origin.fill(version, block * kBlock, 8);
		}
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
		REQUIRE_ERRNO(snapshot.append(store, {{0, 4096}}), 0);
		REQUIRE_ERRNO(snapshot.take(), 0);
		const auto info = tracker_of(control, origin.number());
		const bool fresh = take == 1 || !same(info->generation_id, generation);
		const unsigned since = fresh ? 0 : last_number;
		const Bytes map = cbt_map(control, origin.number());
		for (unsigned block = 0; block < kBlocks; block++)
			if (fresh || map[block] > since)
				backup[block] = device[block];
		REQUIRE_EQ(backup, device);
		if (fresh) {
			note("take %u: a generation, number %u", take, info->snap_number);
			EXPECT(take == 1 || all_bytes(map.data(), map.size(), 0));
			generations++;
		} else {
			EXPECT_EQ(info->snap_number, last_number + 1);
		}
		EXPECT(info->snap_number >= 1);
		generation = info->generation_id;
		last_number = info->snap_number;
	}
	EXPECT_EQ(generations, 2u);
}
