// SPDX-License-Identifier: GPL-2.0
//
// discard: discards, trims and zeroes of a held origin. They cost as little as they may, and
// nothing of the image.
#include "kselftest.hpp"

#include "block_io.hpp"
#include "block_trace.hpp"
#include "file.hpp"
#include "free_memory.hpp"
#include "held.hpp"
#include "module.hpp"
#include "mount.hpp"
#include "process.hpp"

#include <algorithm>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kTrackingSectors = 128;
constexpr std::uint64_t kAt = 4 * kTrackingSectors; // where tests work: tracking blocks 4 to 7
constexpr std::uint64_t kCount = 4 * kTrackingSectors;

const std::vector<unsigned> kBlocks4To7{4, 5, 6, 7};

// A disk in memory that forgets what is discarded.
class DiscardDisk : public NullDisk
{
public:
	explicit DiscardDisk(std::uint64_t mib) : NullDisk(mib, {"discard=1"})
	{
		if (read_line("/sys/block/" + name() + "/queue/discard_max_bytes") == "0")
			skip("null_blk has no discard here");
	}
};

// A disk with commands for zeroes.
class ZeroDisk : public ScsiDisk
{
public:
	explicit ZeroDisk(unsigned mib)
		: ScsiDisk({"dev_size_mb=" + std::to_string(mib), "delay=0", "lbpu=1", "lbpws=1",
			    "lbprz=1"})
	{
		if (read_line("/sys/block/" + name() + "/queue/write_zeroes_max_bytes") == "0")
			skip("scsi_debug has no command for zeroes here");
	}
};

bool is_zero(const Disk &disk, std::uint64_t sector, std::uint64_t sectors)
{
	return disk.read(sector, sectors) == Bytes(sectors * 512);
}

std::size_t count_of(const std::vector<std::string> &letters, const std::string &beginning)
{
	return static_cast<std::size_t>(
		std::count_if(letters.begin(), letters.end(), [&](const std::string &each) {
			return each.starts_with(beginning);
		}));
}

} // namespace

// --- discards --------------------------------------------------------------------------------

TEST(with_a_tracker_alone_a_discard_is_passed_and_marked)
{
	const DiscardDisk origin(64);
	const NullDisk store(64);
	Held held(origin, store);
	held.snapshot().destroy();
	const unsigned since = tracker_of(held.control(), origin.number()).value().snap_number;
	EXPECT_ERRNO(BlockFile(origin).discard(kAt, kCount), 0);
	EXPECT(is_zero(origin, kAt, kCount));
	const Snapshot snapshot(held.control(), {&origin});
	snapshot.take_with(store);
	EXPECT(changed_blocks(held.control(), origin.number(), since) == kBlocks4To7);
}

// It is advice. While there is no copy of the blocks it ends without being passed down.
TEST(a_discard_of_needed_blocks_is_not_passed_but_marked)
{
	const DiscardDisk origin(64);
	const NullDisk store(1);
	Held held(origin, store);
	const BlockTrace trace(origin);
	EXPECT_ERRNO(BlockFile(origin).discard(kAt, kCount), 0);
	EXPECT_EQ(count_of(trace.issued(), "D"), 0u);
	EXPECT(held.origin_is_old(0, Held::kSectors));
	EXPECT(held.image_is_right());
	EXPECT(held.changes() == kBlocks4To7);
}

TEST(a_discard_of_copied_blocks_is_passed)
{
	const DiscardDisk origin(64);
	const NullDisk store(64);
	const Held held(origin, store);
	origin.fill(1, kAt, kCount);
	const BlockTrace trace(origin);
	EXPECT_ERRNO(BlockFile(origin).discard(kAt, kCount), 0);
	EXPECT_EQ(count_of(trace.issued(), "D"), 1u);
	EXPECT(is_zero(origin, kAt, kCount));
	EXPECT(held.image_is_right());
}

// As a whole or not at all: one block without a copy keeps the others.
TEST(a_discard_of_half_copied_blocks_is_not_passed)
{
	const DiscardDisk origin(64);
	const NullDisk store(64);
	const Held held(origin, store);
	origin.fill(1, kAt, kCount - 8);
	EXPECT_ERRNO(BlockFile(origin).discard(kAt, kCount), 0);
	EXPECT(origin.holds(1, kAt, kCount - 8));
	EXPECT(held.origin_is_old(kAt + kCount - 8, 8));
	EXPECT(held.image_is_right());
}

TEST(a_discard_that_the_device_lacks_is_refused_as_before)
{
	const NullDisk origin(64), store(64);
	const BlockFile file(origin);
	EXPECT_ERRNO(file.discard(kAt, kCount), EOPNOTSUPP);
	Held held(origin, store);
	EXPECT_ERRNO(file.discard(kAt, kCount), EOPNOTSUPP);
	EXPECT(held.image_is_right());
	EXPECT(held.changes().empty());
}

TEST(a_secure_erase_that_the_device_lacks_is_refused_as_before)
{
	const NullDisk origin(64, {"discard=1"}), store(64);
	const BlockFile file(origin);
	if (file.secure_discard(Held::kSectors, 8) != EOPNOTSUPP)
		skip("null_blk has secure erase here");
	Held held(origin, store);
	EXPECT_ERRNO(file.secure_discard(kAt, kCount), EOPNOTSUPP);
	EXPECT(held.origin_is_old(0, Held::kSectors));
	EXPECT(held.image_is_right());
	EXPECT(held.changes().empty());
}

// 32 GiB in one call, with a store of 1 MiB.
TEST(a_discard_of_many_gib_takes_neither_store_nor_memory)
{
	const DiscardDisk origin(40 << 10);
	const NullDisk store(1);
	const Held held(origin, store);
	const BlockFile file(origin);
	int error = -1;
	double seconds = 0;
	const std::uint64_t taken = memory_taken_by([&] {
		const double begin = now();
		error = file.discard(0, std::uint64_t{32} << 21);
		seconds = now() - begin;
	});
	note("%.3f s, %llu KiB", seconds, static_cast<unsigned long long>(taken));
	EXPECT_ERRNO(error, 0);
	EXPECT(taken < 16 << 10);
	EXPECT(held.origin_is_old(0, Held::kSectors));
	EXPECT(held.image_is_right());
}

// --- zeroes ----------------------------------------------------------------------------------

// They change data: copied before, and then one command for all of it.
TEST(zeroes_are_copied_and_go_down_as_one_command)
{
	const ZeroDisk origin(64);
	const NullDisk store(64);
	Held held(origin, store);
	const BlockTrace trace(origin);
	EXPECT_ERRNO(BlockFile(origin).zero_out(kAt, kCount), 0);
	// Newer kernels say WZ where older ones know no name.
	const auto issued = trace.issued(kAt, kCount);
	EXPECT_EQ(count_of(issued, "N") + count_of(issued, "WZ"), 1u);
	EXPECT_EQ(count_of(issued, "W"), count_of(issued, "WZ"));
	EXPECT(is_zero(origin, kAt, kCount));
	EXPECT(held.origin_is_old(0, kAt));
	EXPECT(held.image_is_right());
	EXPECT(held.changes() == kBlocks4To7);
}

// fallocate() asks to unmap what it zeroes, BLKZEROOUT not to.
TEST(zeroes_that_unmap_are_copied_too)
{
	const ZeroDisk origin(64);
	const NullDisk store(64);
	Held held(origin, store);
	const BlockFile file(origin);
	const int modes[] = {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
	for (unsigned i = 0; i < 2; i++)
		EXPECT_EQ(fallocate(file.fd(), modes[i],
				    static_cast<off_t>((kAt + i * kCount / 2) * 512),
				    static_cast<off_t>(kCount / 2 * 512)),
			  0);
	EXPECT(is_zero(origin, kAt, kCount));
	EXPECT(held.image_is_right());
	EXPECT(held.changes() == kBlocks4To7);
}

TEST(zeroes_without_a_command_are_writes)
{
	const NullDisk origin(64), store(64);
	Held held(origin, store);
	const BlockTrace trace(origin);
	EXPECT_ERRNO(BlockFile(origin).zero_out(kAt, kCount), 0);
	const auto issued = trace.issued(kAt, kCount);
	EXPECT(count_of(issued, "W") > count_of(issued, "WZ"));
	EXPECT(is_zero(origin, kAt, kCount));
	EXPECT(held.image_is_right());
	EXPECT(held.changes() == kBlocks4To7);
}

// The copies of one request of 96 MiB do not all have to be in memory.
TEST(zeroes_of_a_large_range_take_bounded_memory, .timeout_seconds = 180)
{
	constexpr std::uint64_t kSectors = 96 << 11;
	const module::Parameter limit("cow_memory_limit_kib", "4096");
	const ZeroDisk origin(128);
	const NullDisk store(112);
	store.fill(1, 0, store.sectors()); // so that its memory is there already
	const Held held(origin, store, kSectors);
	int error = -1;
	const std::uint64_t taken =
		memory_taken_by([&] { error = BlockFile(origin).zero_out(0, kSectors); });
	note("%llu KiB", static_cast<unsigned long long>(taken));
	EXPECT_ERRNO(error, 0);
	EXPECT(taken < 32 << 10);
	EXPECT(is_zero(origin, 0, kSectors));
	EXPECT(held.image_is_right());
}

// --- file systems ----------------------------------------------------------------------------

namespace
{

// An xfs beside its image needs nouuid; a frozen one leaves its counters to the log.
std::string image_options(const std::string &type)
{
	return type == "xfs" ? "nouuid" : "defaults";
}

void expect_right_image(const Disk &image, const std::string &type)
{
	if (type == "ext4")
		EXPECT_EQ(find_damage(image, type), "");
	{
		const Mount mount(image, image_options(type) + ",ro,norecovery");
		EXPECT(mount.holds_files("gone", 40, 1024));
		EXPECT(mount.holds_files("kept", 4, 1024));
		EXPECT(!exists(mount.path() + "/new0"));
	}
	{
		Mount mount(image, image_options(type));
		EXPECT(mount.holds_files("gone", 40, 1024));
		EXPECT_ERRNO(mount.unmount(), 0);
	}
	EXPECT_EQ(find_damage(image, type), "");
}

// All free space, much more than the store could hold, is trimmed while a snapshot is held.
void trim_while_held(const std::string &type)
{
	const DiscardDisk origin(512);
	const NullDisk store(24);
	const Control control;
	make_file_system(origin, type);
	Mount mount(origin);
	mount.write_files("gone", 40, 1024);
	mount.write_files("kept", 4, 1024);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	mount.remove_files("gone", 40);
	REQUIRE_ERRNO(mount.sync(), 0);
	const std::uint64_t trimmed = mount.trim();
	note("%llu MiB trimmed", static_cast<unsigned long long>(trimmed >> 20));
	EXPECT(trimmed > store.sectors() * 512 * 4);
	mount.write_files("new", 2, 1024);
	REQUIRE_ERRNO(mount.sync(), 0);
	EXPECT(!lost_image(snapshot, 0));
	expect_right_image(snapshot.image_of(origin), type);
	EXPECT(!lost_image(snapshot, 0));
	// What was trimmed for nothing may be trimmed again.
	EXPECT_ERRNO(snapshot.destroy(), 0);
	(void)mount.trim();
	EXPECT(mount.holds_files("kept", 4, 1024));
	EXPECT(mount.holds_files("new", 2, 1024));
	EXPECT_ERRNO(mount.unmount(), 0);
	EXPECT_EQ(find_damage(origin, type), "");
}

} // namespace

TEST(fstrim_of_ext4_costs_neither_store_nor_image, .timeout_seconds = 180)
{
	trim_while_held("ext4");
}

TEST(fstrim_of_xfs_costs_neither_store_nor_image, .timeout_seconds = 180)
{
	trim_while_held("xfs");
}

// A file system that discards as it frees, at each commit of its journal.
TEST(online_discards_of_ext4_leave_the_image_right, .timeout_seconds = 180)
{
	const DiscardDisk origin(512);
	const NullDisk store(64);
	const Control control;
	make_file_system(origin, "ext4");
	Mount mount(origin, "discard");
	mount.write_files("gone", 40, 1024);
	mount.write_files("kept", 4, 1024);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	mount.remove_files("gone", 40);
	REQUIRE_ERRNO(mount.sync(), 0);
	for (unsigned round = 0; round < 4; round++) {
		mount.write_files("new", 4, 1024);
		REQUIRE_ERRNO(mount.sync(), 0);
		mount.remove_files("new", 4);
		REQUIRE_ERRNO(mount.sync(), 0);
	}
	EXPECT(!lost_image(snapshot, 0));
	expect_right_image(snapshot.image_of(origin), "ext4");
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT_ERRNO(mount.unmount(), 0);
	EXPECT_EQ(find_damage(origin, "ext4"), "");
}
