// SPDX-License-Identifier: GPL-2.0
//
// tables: what a device stands on, or how far it reaches, is told anew under a tracker, a snapshot, an image or a
// store: tables of device mapper, tables of partitions, files of loop devices. More cells of the table of lives in
// Documentation/testing.rst.
#include "kselftest.hpp"

#include "file.hpp"
#include "held.hpp"
#include "load.hpp"
#include "opened.hpp"
#include "process.hpp"
#include "shown.hpp"

#include <fcntl.h>
#include <linux/blkpg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <functional>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kMib = 2048; // in sectors
constexpr std::uint64_t kTrackingSectors = 128;

bool same_generation(const blk_snap_cbt_info &a, const blk_snap_cbt_info &b)
{
	return !memcmp(a.generation_id.b, b.generation_id.b, sizeof(a.generation_id.b));
}

// A snapshot from create to destroy; the tracker stays.
blk_snap_cbt_info take_once(const Control &control, const Disk &origin, const Disk &store)
{
	const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);

	snapshot.take_with(store);
	EXPECT_EQ(snapshot.image_of(origin).sectors(), origin.sectors());
	return tracker_of(control, origin.number()).value();
}

// A volume that shows the first disk, until it is told to show something else.
struct Volume {
	static constexpr std::uint64_t kSectors = 32 * kMib;

	const NullDisk first{64}, second{64};
	const DmDisk disk{linear_table(first, 0, kSectors)};

	void show(const NullDisk &content) const
	{
		disk.reload(linear_table(content, 0, kSectors));
		settle_udev();
	}
	void show_errors() const
	{
		disk.reload("0 " + std::to_string(kSectors) + " error");
		settle_udev();
	}
};

// A disk with one partition of 32 MiB, and room behind it.
class PartitionedDisk : public NullDisk
{
public:
	static constexpr std::uint64_t kFirst = 2048, kEnd = kFirst + 32 * kMib;

	PartitionedDisk() : NullDisk(96) { write_table(kFirst, 32 * kMib); }

	void write_table(std::uint64_t first, std::uint64_t sectors) const
	{
		settle_udev();
		run_or_throw({"sh", "-c",
			      "echo 'start=" + std::to_string(first) +
				      ", size=" + std::to_string(sectors) +
				      "' | sfdisk --quiet --wipe=never " + path()});
		settle_udev();
	}
	Disk partition() const { return Disk(path() + (isdigit(path().back()) ? "p1" : "1")); }
	// As resizepart(8) does.
	void resize(std::uint64_t sectors) const
	{
		blkpg_partition partition{.start = kFirst * 512,
					  .length = static_cast<long long>(sectors * 512),
					  .pno = 1,
					  .devname = {},
					  .volname = {}};
		blkpg_ioctl_arg argument{BLKPG_RESIZE_PARTITION, 0, sizeof(partition), &partition};
		const int fd = open(path().c_str(), O_RDONLY | O_CLOEXEC);
		const int error = ioctl(fd, BLKPG, &argument) ? errno : 0;
		close(fd);
		REQUIRE_ERRNO(error, 0);
		settle_udev();
	}
};

// Gives a device of 32 MiB another size, in sectors.
using Resize = std::function<void(std::uint64_t)>;

void expect_new_sizes_are_taken(const Disk &origin, const Resize &resize)
{
	const NullDisk store(64);
	const Control control;
	const TrackerEnd tracker_end(control, origin);
	blk_snap_cbt_info last = take_once(control, origin, store);
	for (const std::uint64_t mib : {48, 16}) {
		resize(mib * kMib);
		const blk_snap_cbt_info next = take_once(control, origin, store);
		EXPECT_EQ(next.device_capacity, mib * kMib * 512);
		EXPECT(!same_generation(last, next));
		last = next;
	}
}

void expect_open_image_is_kept_or_lost(const Disk &origin, const Resize &resize)
{
	const NullDisk store(64);
	const Held held(origin, store);
	const Opened image(held);
	resize(48 * kMib);
	origin.fill(1, 0, kMib);
	origin.fill(1, 40 * kMib, kMib);
	EXPECT(image.is_right());
	EXPECT(held.image_is_right());
	EXPECT_EQ(held.image().sectors(), 32 * kMib);
	resize(16 * kMib);
	const auto lost = lost_image(held.snapshot(), 10000 * slowdown());
	REQUIRE(lost.has_value());
	EXPECT_ERRNO(lost->err_code, ENODEV);
	Bytes bytes(4096);
	EXPECT_ERRNO(image.try_read(bytes), EIO);
	origin.fill(2, 0, kMib);
	EXPECT(origin.holds(2, 0, kMib));
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
}

void expect_mounted_image_is_kept_or_lost(const Disk &origin, const Resize &resize)
{
	const NullDisk store(64);
	Shown shown(origin, store);
	resize(48 * kMib);
	origin.fill(1, 20 * kMib, kMib);
	origin.fill(1, 40 * kMib, kMib);
	EXPECT(shown.files_are_right());
	EXPECT(!lost_image(shown.snapshot(), 0).has_value());
	resize(16 * kMib);
	EXPECT(lost_image(shown.snapshot(), 10000 * slowdown()).has_value());
	shown.end();
}

// Nothing that was given is left of it but the first MiB, which is used first.
void expect_store_is_kept_or_lost(const Disk &store, const Resize &resize)
{
	const NullDisk origin(64);
	const Held held(origin, store);
	origin.fill(1, 0, kMib);
	resize(48 * kMib);
	origin.fill(1, kMib, kMib);
	EXPECT(held.image_is_right());
	resize(kMib);
	origin.fill(2, 0, 16 * kMib);
	EXPECT(origin.holds(2, 0, 16 * kMib));
	EXPECT(lost_image(held.snapshot(), 10000 * slowdown()).has_value());
	Bytes bytes(4096);
	EXPECT_ERRNO(held.image().try_read(0, bytes), EIO);
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
}

} // namespace

// --- dm: a table that goes to another disk ---------------------------------------------------

// The same content in another place: nothing changed but what is written.
TEST(a_table_that_shows_the_same_is_no_change)
{
	const Volume volume;
	const NullDisk store(64);
	Held held(volume.disk, store);
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
	volume.second.write(0, volume.first.read(0, Volume::kSectors));
	volume.disk.fill(1, 3 * kTrackingSectors, 8);
	volume.show(volume.first);
	volume.disk.fill(1, 5 * kTrackingSectors, 8);
	volume.second.write(0, volume.first.read(0, Volume::kSectors));
	volume.show(volume.second);
	volume.disk.fill(1, 9 * kTrackingSectors, 8);
	EXPECT((held.changes() == std::vector<unsigned>{3, 5, 9}));
}

// A limit: no write makes the change, and none is told. Without the tracker there is a new generation.
TEST(a_table_with_other_content_is_not_seen_by_a_tracker)
{
	const Volume volume;
	const NullDisk store(64);
	const Control control;
	const TrackerEnd tracker_end(control, volume.disk);
	volume.first.fill(7, 0, kMib);
	volume.second.fill(8, 0, kMib);
	const auto before = take_once(control, volume.disk, store);
	volume.show(volume.second);
	volume.disk.fill(1, 5 * kTrackingSectors, 8);
	{
		const Snapshot next(control, {&volume.disk}, Snapshot::Trackers::Keep);
		next.take_with(store);
		EXPECT(same_generation(before, *tracker_of(control, volume.disk.number())));
		EXPECT(changed_blocks(control, volume.disk.number(), 1) ==
		       std::vector<unsigned>{5});
		EXPECT(next.image_of(volume.disk).holds(8, 0, kTrackingSectors));
	}
	EXPECT_ERRNO(remove_tracker(control, volume.disk.number()), 0);
	EXPECT(!same_generation(before, take_once(control, volume.disk, store)));
}

// The same limit: what was not kept before is shown, and kept from now on, as it is there now.
TEST(a_table_with_other_content_shows_through_an_open_image)
{
	const Volume volume;
	const NullDisk store(64);
	const Held held(volume.disk, store);
	const Opened image(held);
	volume.second.fill(8, 0, kMib);
	volume.disk.fill(1, 0, 64);
	{
		Load load(volume.disk, 16 * kMib, 8 * kMib);
		load.wait_for(5);
		volume.show(volume.second);
		load.wait_for(5);
		EXPECT_ERRNO(load.stop(), 0);
	}
	EXPECT(image.is_right(0, 64));
	const Bytes other = volume.second.read(64, 1024);
	Bytes bytes(1024 * 512);
	EXPECT_ERRNO(image.try_read(bytes, 64), 0);
	EXPECT(bytes == other);
	volume.disk.fill(2, 64, 1024);
	EXPECT(volume.second.holds(2, 64, 1024));
	EXPECT_ERRNO(image.try_read(bytes, 64), 0);
	EXPECT(bytes == other);
	EXPECT(!lost_image(held.snapshot(), 0));
	volume.show(volume.first);
	EXPECT(image.is_right(0, 64));
	EXPECT(image.is_right(64 + 1024, 64)); // what nobody touched meanwhile
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
}

TEST(a_table_with_other_content_under_a_mounted_image, .timeout_seconds = 120)
{
	const Volume volume;
	const NullDisk store(64);
	Shown shown(volume.disk, store);
	volume.show(volume.second);
	volume.disk.fill(1, 0, kMib);
	EXPECT(volume.second.holds(1, 0, kMib));
	(void)shown.files_are_right();
	shown.end();
}

TEST(a_store_whose_table_shows_other_content_hurts_nobody_else)
{
	const Volume volume;
	const NullDisk origin(64);
	const Held held(origin, volume.disk);
	origin.fill(1, 0, kMib);
	volume.show(volume.second);
	origin.fill(2, 0, 2 * kMib);
	EXPECT(origin.holds(2, 0, 2 * kMib));
	Bytes bytes(4096);
	(void)held.image().try_read(0, bytes);
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
}

// --- dm: a table of errors -------------------------------------------------------------------

// What was tried is told as changed.
TEST(a_table_of_errors_keeps_the_map)
{
	const Volume volume;
	const NullDisk store(64);
	Held held(volume.disk, store);
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
	volume.show_errors();
	EXPECT_ERRNO(volume.disk.try_write(5 * kTrackingSectors, pattern(1, 8)), EIO);
	volume.show(volume.first);
	volume.disk.fill(1, 9 * kTrackingSectors, 8);
	EXPECT((held.changes() == std::vector<unsigned>{5, 9}));
	EXPECT(held.snapshot().image_of(volume.disk).holds(7, 0, kTrackingSectors));
}

// Reads of the image fail where they need the device; the image is not lost by that.
TEST(a_table_of_errors_under_an_open_image)
{
	const Volume volume;
	const NullDisk store(64);
	const Held held(volume.disk, store);
	const Opened image(held);
	volume.disk.fill(1, 0, 64);
	volume.show_errors();
	Bytes bytes(4096);
	EXPECT(image.is_right(0, 64));
	EXPECT_ERRNO(image.try_read(bytes, 1024), EIO);
	EXPECT_ERRNO(volume.disk.try_write(0, pattern(2, 8)), EIO);
	EXPECT(!lost_image(held.snapshot(), 0));
	volume.show(volume.first);
	EXPECT(volume.disk.holds(1, 0, 64));
	EXPECT(image.is_right());
	EXPECT(held.image_is_right());
}

// Its old content cannot be kept then; the write itself may succeed, as far as we know.
TEST(a_write_to_a_table_of_errors_costs_the_open_image)
{
	const Volume volume;
	const NullDisk store(64);
	Held held(volume.disk, store);
	const Opened image(held);
	volume.disk.fill(1, 0, 64);
	volume.show_errors();
	EXPECT_ERRNO(volume.disk.try_write(1024, pattern(2, 8)), EIO);
	const auto lost = lost_image(held.snapshot(), 10000 * slowdown());
	REQUIRE(lost.has_value());
	EXPECT_ERRNO(lost->err_code, EIO);
	volume.show(volume.first);
	Bytes bytes(4096);
	EXPECT_ERRNO(image.try_read(bytes), EIO);
	EXPECT_ERRNO(image.try_read(bytes, 1024), EIO);
	EXPECT(held.origin_is_old(1024, 8));
	volume.disk.fill(3, 0, 64);
	EXPECT(volume.disk.holds(3, 0, 64));
	EXPECT((held.changes() == std::vector<unsigned>{0, 1024 / kTrackingSectors}));
	EXPECT(held.snapshot().image_of(volume.disk).holds(3, 0, 64));
}

TEST(a_table_of_errors_under_a_mounted_image, .timeout_seconds = 120)
{
	const Volume volume;
	const NullDisk store(64);
	Shown shown(volume.disk, store);
	volume.show_errors();
	EXPECT(!shown.files_are_right());
	shown.end();
	volume.show(volume.first);
	EXPECT_EQ(find_damage(volume.disk, "ext4"), "");
}

TEST(a_store_whose_table_is_of_errors_costs_the_image_not_the_writes)
{
	const Volume volume;
	const NullDisk origin(64);
	const Held held(origin, volume.disk);
	Load load(origin, 0, 16 * kMib);
	load.wait_for(20);
	volume.show_errors();
	const auto lost = lost_image(held.snapshot(), 20000 * slowdown());
	load.wait_for(50);
	EXPECT_ERRNO(load.stop(), 0);
	REQUIRE(lost.has_value());
	EXPECT_ERRNO(lost->err_code, EIO);
	Bytes bytes(4096);
	EXPECT_ERRNO(held.image().try_read(0, bytes), EIO);
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
}

// --- tables of partitions --------------------------------------------------------------------

// The partition that is read anew is another device, wherever it is now.
TEST(a_table_that_changes_under_a_tracked_partition, .timeout_seconds = 120)
{
	const PartitionedDisk disk;
	const NullDisk store(64);
	const Control control;
	blk_snap_cbt_info last = take_once(control, disk.partition(), store);
	for (const std::uint64_t first : {PartitionedDisk::kFirst, 2 * PartitionedDisk::kFirst}) {
		disk.write_table(first, 16 * kMib);
		disk.fill(first, first, 64);
		const Disk partition = disk.partition();
		const Snapshot snapshot(control, {&partition}, Snapshot::Trackers::Keep);
		snapshot.take_with(store);
		EXPECT(snapshot.image_of(partition).holds(first, 0, 64));
		EXPECT_EQ(snapshot.image_of(partition).sectors(), 16 * kMib);
		const auto next = tracker_of(control, partition.number()).value();
		EXPECT(!same_generation(last, next));
		EXPECT_EQ(trackers(control).size(), 1u);
		last = next;
	}
	EXPECT_ERRNO(remove_tracker(control, disk.partition().number()), 0);
	EXPECT(wait_until([&] { return control.trackers() == 0; }));
}

// Copies are in sectors of the disk, whatever partitions say.
TEST(a_table_is_read_and_changed_under_a_disk_that_is_a_store)
{
	const PartitionedDisk disk;
	const NullDisk origin(64);
	const Control control;
	origin.fill(7, 0, 8 * kMib);
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(disk, {{PartitionedDisk::kEnd, 32 * kMib}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	origin.fill(1, 0, kMib);
	settle_udev();
	EXPECT_EQ(run({"blockdev", "--rereadpt", disk.path()}).status, 0);
	EXPECT(snapshot.image_of(origin).holds(7, 0, 8 * kMib));
	disk.write_table(2 * PartitionedDisk::kFirst, 16 * kMib);
	EXPECT_EQ(disk.partition().sectors(), 16 * kMib);
	disk.partition().fill(3, 0, 16 * kMib);
	origin.fill(1, kMib, kMib);
	EXPECT(snapshot.image_of(origin).holds(7, 0, 8 * kMib));
	EXPECT(!lost_image(snapshot, 0));
}

TEST(a_partition_that_is_resized_while_it_is_tracked)
{
	const PartitionedDisk disk;
	expect_new_sizes_are_taken(disk.partition(), [&](auto sectors) { disk.resize(sectors); });
}

TEST(a_partition_that_is_resized_under_its_open_image)
{
	const PartitionedDisk disk;
	expect_open_image_is_kept_or_lost(disk.partition(),
					  [&](auto sectors) { disk.resize(sectors); });
}

TEST(a_partition_that_is_resized_under_its_mounted_image, .timeout_seconds = 120)
{
	const PartitionedDisk disk;
	expect_mounted_image_is_kept_or_lost(disk.partition(),
					     [&](auto sectors) { disk.resize(sectors); });
}

TEST(a_partition_that_is_resized_while_it_is_a_store)
{
	const PartitionedDisk disk;
	expect_store_is_kept_or_lost(disk.partition(), [&](auto sectors) { disk.resize(sectors); });
}

// --- files of loop devices -------------------------------------------------------------------

TEST(a_loop_device_that_is_resized_while_it_is_tracked)
{
	const LoopDisk loop(32 << 20);
	expect_new_sizes_are_taken(loop, [&](auto sectors) { loop.resize(sectors * 512); });
}

TEST(a_loop_device_that_is_resized_under_its_open_image)
{
	const LoopDisk loop(32 << 20);
	expect_open_image_is_kept_or_lost(loop, [&](auto sectors) { loop.resize(sectors * 512); });
}

TEST(a_loop_device_that_is_resized_under_its_mounted_image, .timeout_seconds = 120)
{
	const LoopDisk loop(32 << 20);
	expect_mounted_image_is_kept_or_lost(loop,
					     [&](auto sectors) { loop.resize(sectors * 512); });
}

TEST(a_loop_device_that_is_resized_while_it_is_a_store)
{
	const LoopDisk loop(32 << 20);
	expect_store_is_kept_or_lost(loop, [&](auto sectors) { loop.resize(sectors * 512); });
}

// What comes back need not be what went: here it is zeroes, which no write brought.
TEST(a_loop_device_that_shrinks_and_grows_back_while_it_is_tracked)
{
	const LoopDisk loop(32 << 20);
	const NullDisk store(64);
	const Control control;
	const TrackerEnd tracker_end(control, loop);
	loop.fill(7, 16 * kMib, kMib);
	const auto before = take_once(control, loop, store);
	loop.resize(16 << 20);
	EXPECT_EQ(trackers(control).size(), 1u); // looks at it, as the module does once a second
	loop.resize(32 << 20);
	EXPECT(loop.read(16 * kMib, kMib) == Bytes(kMib * 512));
	EXPECT(!same_generation(before, take_once(control, loop, store)));
}

TEST(a_loop_device_that_shrinks_and_grows_back_under_its_open_image)
{
	const LoopDisk loop(32 << 20);
	const NullDisk store(64);
	const Held held(loop, store);
	const Opened image(held);
	const auto before = tracker_of(held.control(), loop.number()).value();
	loop.resize(16 << 20);
	EXPECT(lost_image(held.snapshot(), 10000 * slowdown()).has_value());
	loop.resize(32 << 20);
	Bytes bytes(4096);
	EXPECT_ERRNO(image.try_read(bytes), EIO);
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
	EXPECT(!same_generation(before, take_once(held.control(), loop, store)));
}
