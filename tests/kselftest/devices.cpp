// SPDX-License-Identifier: GPL-2.0
//
// devices: what happens to devices while they are tracked, held, shown or used as storage. One
// row of the table in Documentation/testing.rst is one section; the cells that are not here have tests in
// lives, removal, stacking, tracker and snapshot.
#include "kselftest.hpp"

#include "block_io.hpp"
#include "extents.hpp"
#include "file.hpp"
#include "held.hpp"
#include "load.hpp"
#include "module.hpp"
#include "mount.hpp"
#include "opened.hpp"
#include "process.hpp"
#include "shown.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <optional>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kMib = 2048; // in sectors

// As when it is pulled out: there is no asking.
void pull_out(const Disk &scsi_disk)
{
	REQUIRE_ERRNO(write_file("/sys/block/" + scsi_disk.name() + "/device/delete", "1"), 0);
	EXPECT(wait_until([&] { return !exists("/sys/block/" + scsi_disk.name()); }));
}

// Return: the errno of the first read that fails, or 0.
int error_of_reading(const std::string &path)
{
	const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
	char bytes[4096];
	ssize_t got;
	do
		got = read(fd, bytes, sizeof(bytes));
	while (got > 0);
	const int error = got < 0 ? errno : 0;
	close(fd);
	return error;
}

// What is tracked, then taken: the tracker follows what became of its device meanwhile.
void expect_takes(const Control &control, const Disk &origin, const Disk &store)
{
	const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
	snapshot.take_with(store);
	EXPECT_EQ(snapshot.image_of(origin).sectors(), origin.sectors());
	EXPECT_EQ(tracker_of(control, origin.number())->device_capacity, origin.sectors() * 512);
	origin.fill(9, 0, 64);
	EXPECT(!lost_image(snapshot, 0).has_value());
}

} // namespace

// --- the device goes -------------------------------------------------------------------------

TEST(an_origin_that_is_pulled_out_under_its_mounted_image, .timeout_seconds = 120)
{
	const NullDisk store(64);
	const ScsiDisk origin({"dev_size_mb=64", "delay=0"});
	Shown shown(origin, store);
	pull_out(origin);
	shown.end();
}

TEST(an_origin_that_is_powered_off_under_its_mounted_image, .timeout_seconds = 120)
{
	const NullDisk store(64), origin(64);
	Shown shown(origin, store);
	REQUIRE_ERRNO(origin.set("power=0"), 0);
	shown.end();
}

// What was kept before is read, and nothing else: its metadata the mount knows already.
TEST(files_of_a_mounted_image_whose_origin_is_gone, .timeout_seconds = 120)
{
	for (const bool powered_off : {true, false}) {
		const NullDisk store(64);
		std::optional<NullDisk> null_disk;
		std::optional<ScsiDisk> scsi_disk;
		if (powered_off)
			null_disk.emplace(64);
		else
			scsi_disk.emplace(std::vector<std::string>{"dev_size_mb=64", "delay=0"});
		const Disk &origin =
			powered_off ? static_cast<const Disk &>(*null_disk) : *scsi_disk;
		const Control control;
		make_file_system(origin, "ext4");
		{
			Mount mount(origin);
			mount.write_files("kept", 4, 64);
			mount.write_files("other", 4, 64);
			REQUIRE_ERRNO(mount.unmount(), 0);
		}
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
		snapshot.take_with(store);
		Mount shown(snapshot.image_of(origin), "ro");
		for (int i = 0; i < 4; i++) {
			(void)ranges_of(shown.path() + "/other" + std::to_string(i));
			for (const auto &range :
			     ranges_of(shown.path() + "/kept" + std::to_string(i)))
				origin.fill(1, range.sector_offset, range.sector_count);
		}
		if (powered_off)
			REQUIRE_ERRNO(null_disk->set("power=0"), 0);
		else
			pull_out(origin);
		EXPECT(shown.holds_files("kept", 4, 64));
		for (int i = 0; i < 4; i++)
			EXPECT_ERRNO(error_of_reading(shown.path() + "/other" + std::to_string(i)),
				     EIO);
		EXPECT(shown.holds_files("kept", 4, 64));
		EXPECT(!lost_image(snapshot, 0));
		EXPECT_ERRNO(shown.unmount(), 0);
		EXPECT_ERRNO(snapshot.destroy(), 0);
		EXPECT(wait_until([&] { return control.trackers() == 0; }));
	}
}

TEST(an_origin_that_is_powered_off_under_its_open_image)
{
	const NullDisk store(64), origin(64);
	const Control control;
	origin.fill(7, 0, 16 * kMib);
	Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
	snapshot.take_with(store);
	origin.fill(1, 0, kMib); // kept in the store
	const Disk image = snapshot.image_of(origin);
	const BlockFile file(image);
	REQUIRE_ERRNO(origin.set("power=0"), 0);
	// Errors, or what was kept; never anything else.
	Bytes bytes(4096);
	for (std::uint64_t at = 0; at < 16 * kMib; at += 1024)
		if (!file.read(at, bytes)) {
			const Bytes then = pattern(7, at + 8);
			EXPECT(!memcmp(bytes.data(), &then[at * 512], bytes.size()));
		}
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT(wait_until([&] { return control.trackers() == 0; }));
}

TEST(a_store_that_is_powered_off_costs_the_image_not_the_writes)
{
	const NullDisk origin(64), store(64);
	Held held(origin, store);
	Load load(origin, 0, 16 * kMib);
	load.wait_for(20);
	REQUIRE_ERRNO(store.set("power=0"), 0);
	const auto lost = lost_image(held.snapshot(), 20000);
	load.wait_for(50);
	EXPECT_ERRNO(load.stop(), 0);
	EXPECT(lost.has_value());
	Bytes bytes(4096);
	EXPECT_ERRNO(held.image().try_read(0, bytes), EIO);
}

// --- another size ----------------------------------------------------------------------------

TEST(a_tracked_device_that_is_resized_is_taken_in_its_new_size)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear_table(lower, 0, 16 * kMib));
	const Control control;
	expect_takes(control, origin, store);
	for (const std::uint64_t mib : {32, 8}) {
		origin.reload(linear_table(lower, 0, mib * kMib));
		settle_udev();
		expect_takes(control, origin, store);
	}
	EXPECT_ERRNO(remove_tracker(control, origin.number()), 0);
}

TEST(a_device_that_is_resized_between_create_and_take_is_taken_in_its_new_size)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear_table(lower, 0, 16 * kMib));
	const Control control;
	for (const std::uint64_t mib : {32, 8}) {
		const Snapshot snapshot(control, {&origin});
		origin.reload(linear_table(lower, 0, mib * kMib));
		settle_udev();
		snapshot.take_with(store);
		EXPECT_EQ(snapshot.image_of(origin).sectors(), mib * kMib);
		EXPECT_EQ(tracker_of(control, origin.number())->device_capacity, mib * kMib * 512);
	}
}

TEST(an_origin_that_is_resized_under_its_mounted_image, .timeout_seconds = 120)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear_table(lower, 0, 32 * kMib));
	Shown shown(origin, store);
	origin.reload(linear_table(lower, 0, 64 * kMib));
	settle_udev();
	EXPECT(shown.files_are_right());
	origin.fill(1, 32 * kMib, kMib);
	EXPECT(shown.files_are_right());
	origin.reload(linear_table(lower, 0, 16 * kMib));
	EXPECT(lost_image(shown.snapshot(), 10000).has_value());
	shown.end();
}

TEST(a_store_that_grows_changes_nothing)
{
	const NullDisk origin(64), lower(64);
	const DmDisk store(linear_table(lower, 0, 32 * kMib));
	const Held held(origin, store);
	origin.fill(1, 0, kMib);
	store.reload(linear_table(lower, 0, 64 * kMib));
	settle_udev();
	origin.fill(1, kMib, kMib);
	EXPECT(held.image_is_right());
}

// Nothing that was given is left of it but the first MiB, which is used first.
TEST(a_store_that_shrinks_costs_the_image_not_the_writes)
{
	const NullDisk origin(64), lower(64);
	const DmDisk store(linear_table(lower, 0, 32 * kMib));
	const Held held(origin, store);
	store.reload(linear_table(lower, 0, kMib));
	settle_udev();
	origin.fill(1, 0, 16 * kMib);
	EXPECT(origin.holds(1, 0, 16 * kMib));
	EXPECT(lost_image(held.snapshot(), 10000).has_value());
	Bytes bytes(4096);
	EXPECT_ERRNO(held.image().try_read(0, bytes), EIO);
}

// --- partitions ------------------------------------------------------------------------------

// The partition that is held, or stored on, is in use: its table is not read again. Nor is anything lost.
TEST(a_partition_table_is_not_read_under_a_held_partition)
{
	const NullDisk disk(64), store(64);
	run_or_throw(
		{"sh", "-c",
		 "printf 'start=2048, size=32768\\nstart=34816, size=32768\\n' | sfdisk --quiet " +
			 disk.path()});
	settle_udev();
	const std::string prefix = disk.path() + (isdigit(disk.path().back()) ? "p" : "");
	{
		const Disk partition(prefix + "1");
		const Held held(partition, store);
		EXPECT(run({"blockdev", "--rereadpt", disk.path()}).status != 0);
		partition.fill(1, 0, kMib);
		EXPECT(held.image_is_right());
	}
	{
		const NullDisk origin(64);
		const Disk partition(prefix + "2");
		const Held held(origin, partition);
		EXPECT(run({"blockdev", "--rereadpt", disk.path()}).status != 0);
		origin.fill(1, 0, kMib);
		EXPECT(held.image_is_right());
	}
	settle_udev();
	EXPECT_EQ(run({"blockdev", "--rereadpt", disk.path()}).status, 0);
	settle_udev();
}

// udev, for one, has a table read again when a writer of the disk goes. The kernel may open a
// partition that is being dropped then, which has another one in its place afterwards.
TEST(a_partition_that_is_replaced_while_it_is_opened_is_taken, .timeout_seconds = 180)
{
	const Control control;
	const NullDisk disk(64), store(64);
	run_or_throw({"sh", "-c", "echo 'start=2048, size=8192' | sfdisk --quiet " + disk.path()});
	settle_udev();
	const Disk partition(disk.path() + (isdigit(disk.path().back()) ? "p1" : "1"));
	const auto read_tables = [&] {
		const int fd = open(disk.path().c_str(), O_RDONLY | O_CLOEXEC);
		// As often as create may need to get there; udev has to look at each of them.
		for (unsigned i = 0; i < 12; i++) {
			(void)ioctl(fd, BLKRRPART);
			usleep(1000);
		}
		return 0;
	};
	unsigned taken = 0;
	for (unsigned i = 0; i < 40 && taken < 8; i++) {
		// Some kernels give the successor another number.
		const std::string text = read_line("/sys/class/block/" + partition.name() + "/dev");
		blk_snap_dev number{};
		if (sscanf(text.c_str(), "%u:%u", &number.mj, &number.mn) != 2)
			continue;
		blk_snap_snapshot_create create{1, &number, {}};
		int error;
		{
			Child reader(read_tables);
			error = control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &create);
			(void)reader.wait(); // Killed, it might leave the disk without partitions.
		}
		if (error) { // There is none just now.
			EXPECT_ERRNO(error, ENXIO);
			continue;
		}
		EXPECT_ERRNO(control.try_append(create.id, store.number(), {{0, 8192}}), 0);
		EXPECT_ERRNO(control.try_take(create.id), 0);
		EXPECT_ERRNO(control.try_destroy(create.id), 0);
		taken++;
	}
	note("%u takes", taken);
	EXPECT(taken >= 3);
	EXPECT(wait_until([&] {
		for (const blk_snap_cbt_info &tracker : trackers(control))
			(void)remove_tracker(control, tracker.dev_id);
		return control.trackers() == 0;
	}));
}

// The disk as a whole is another matter: its partitions may come and go.
TEST(a_partition_table_is_read_under_a_held_disk)
{
	const NullDisk disk(64), store(64);
	const Held held(disk, store);
	run_or_throw(
		{"sh", "-c",
		 "echo 'start=2048, size=32768' | sfdisk --quiet --wipe=never " + disk.path()});
	settle_udev();
	EXPECT_EQ(run({"blockdev", "--rereadpt", disk.path()}).status, 0);
	EXPECT(held.image_is_right());
}

// --- dm tables, loop files -------------------------------------------------------------------

// A table that maps to the same place, as when a volume is moved; under load.
TEST(a_table_that_is_swapped_under_load, .timeout_seconds = 120)
{
	const NullDisk first(64), second(64);
	const DmDisk origin(linear_table(first, 0, 32 * kMib)),
		store(linear_table(second, 0, 64 * kMib));
	const Control control;
	{
		Load load(origin, 0, 16 * kMib); // tracked only
		expect_takes(control, origin, store);
		for (int i = 0; i < 3; i++)
			origin.reload(linear_table(first, 0, 32 * kMib));
		EXPECT_ERRNO(load.stop(), 0);
	}
	const Held held(origin, store);
	Load load(origin, 0, 16 * kMib);
	for (int i = 0; i < 3; i++) {
		origin.reload(linear_table(first, 0, 32 * kMib));
		store.reload(linear_table(second, 0, 64 * kMib));
		load.wait_for(5);
	}
	EXPECT_ERRNO(load.stop(), 0);
	EXPECT(held.image_is_right());
}

// It is taken out when its last user goes, which is the snapshot.
TEST(a_loop_device_that_is_detached_stays_while_it_is_held)
{
	const NullDisk other(64);
	for (const bool as_store : {false, true}) {
		const LoopDisk loop(32 << 20);
		const Disk &origin = as_store ? static_cast<const Disk &>(other) : loop;
		const Disk &store = as_store ? static_cast<const Disk &>(loop) : other;
		{
			const Held held(origin, store);
			origin.fill(1, 0, kMib);
			settle_udev();
			LoopDisk::detach(loop.path());
			EXPECT(held.image_is_right());
			origin.fill(1, kMib, kMib);
			EXPECT(held.image_is_right());
		}
		EXPECT(wait_until(
			[&] { return read_line("/sys/block/" + loop.name() + "/size") == "0"; }));
	}
}

// --- made anew -------------------------------------------------------------------------------

TEST(a_file_system_made_over_a_held_device, .timeout_seconds = 120)
{
	const NullDisk origin(64), store(128);
	Shown shown(origin, store);
	EXPECT_EQ(run({"mkfs.ext4", "-q", "-F", "-E", "nodiscard", origin.path()}).status, 0);
	origin.fill(1, 16 * kMib, 16 * kMib);
	EXPECT(shown.files_are_right());
	(void)run({"mkfs.xfs", "-q", "-f", "-K", origin.path()}); // where there is one
	EXPECT(shown.files_are_right());
	EXPECT(!lost_image(shown.snapshot(), 0).has_value());
	shown.end();
}

// With its discard of everything: the image keeps what it needs, the tracker knows.
TEST(a_file_system_made_over_a_tracked_device_is_a_change)
{
	const NullDisk origin(64, {"discard=1"}), store(64);
	Held held(origin, store);
	EXPECT_EQ(run({"mkfs.ext4", "-q", "-F", origin.path()}).status, 0);
	EXPECT(held.image_is_right());
	EXPECT(!held.changes().empty());
}

// Each block with other content is told of, with nobody there to keep the old one for.
TEST(a_file_system_made_over_a_device_that_is_only_tracked, .timeout_seconds = 120)
{
	for (const char *discard : {"discard", "nodiscard"}) {
		const NullDisk origin(32, {"discard=1"}), store(64);
		const Control control;
		const TrackerEnd tracker_end(control, origin);
		origin.fill(7, 0, origin.sectors());
		{
			const Snapshot past(control, {&origin}, Snapshot::Trackers::Keep);
			past.take_with(store);
		}
		const Bytes before = origin.read(0, origin.sectors());
		run_or_throw({"mkfs.ext4", "-q", "-F", "-E", discard, origin.path()});
		const Snapshot next(control, {&origin}, Snapshot::Trackers::Keep);
		next.take_with(store);
		const auto tracker = tracker_of(control, origin.number()).value();
		EXPECT_EQ(tracker.snap_number, 2);
		const Bytes after = origin.read(0, origin.sectors()),
			    map = cbt_map(control, origin.number());
		unsigned changed = 0, missing = 0;
		for (std::size_t at = 0; at < after.size(); at += tracker.blk_size) {
			if (!memcmp(&before[at], &after[at], tracker.blk_size))
				continue;
			changed++;
			missing += map[at / tracker.blk_size] < 2;
		}
		note("%s: %u of %u blocks changed", discard, changed, tracker.blk_count);
		EXPECT(changed > 0);
		EXPECT_EQ(missing, 0u);
	}
}

TEST(a_file_system_made_over_a_device_whose_image_is_open, .timeout_seconds = 120)
{
	for (const char *discard : {"discard", "nodiscard"}) {
		const NullDisk origin(64, {"discard=1"}), store(64);
		const Held held(origin, store);
		const Opened image(held);
		run_or_throw({"mkfs.ext4", "-q", "-F", "-E", discard, origin.path()});
		EXPECT(!held.origin_is_old(0, Held::kSectors));
		EXPECT(image.is_right());
		EXPECT(held.image_is_right());
	}
}

// Who writes to the store has the image on his conscience, but no more than that.
TEST(a_file_system_made_over_a_store_hurts_nobody_else)
{
	const NullDisk origin(64), store(64);
	const Held held(origin, store);
	origin.fill(1, 0, kMib);
	(void)run({"mkfs.ext4", "-q", "-F", store.path()});
	Bytes bytes(4096);
	(void)held.image().try_read(0, bytes);
	origin.fill(2, 0, 2 * kMib);
	EXPECT(origin.holds(2, 0, 2 * kMib));
}

// --- frozen and suspended --------------------------------------------------------------------

// What somebody froze before is taken, may be destroyed, and stays frozen until he thaws it.
TEST(a_frozen_file_system_is_taken_and_stays_frozen)
{
	const NullDisk origin(64), store(64);
	const Control control;
	make_file_system(origin, "ext4");
	Mount mount(origin);
	mount.write_files("old", 4, 64);
	run_or_throw({"fsfreeze", "--freeze", mount.path()});
	{
		const Snapshot snapshot(control, {&origin});
		snapshot.take_with(store);
		EXPECT_EQ(find_damage(snapshot.image_of(origin), "ext4"), "");
		EXPECT_ERRNO(snapshot.destroy(), 0);
	}
	EXPECT(run({"fsfreeze", "--freeze", mount.path()}).status != 0); // it is
	EXPECT_EQ(run({"fsfreeze", "--unfreeze", mount.path()}).status, 0);
	mount.write_files("new", 4, 64);
	EXPECT_ERRNO(mount.unmount(), 0);
}

// Nothing is in flight there: a take has nothing to wait for.
TEST(a_suspended_device_is_taken)
{
	const NullDisk lower(64), store(64);
	const Control control;
	for (const bool mounted : {false, true}) {
		const DmDisk origin(linear_table(lower, 0, 64 * kMib));
		std::optional<Mount> mount;
		if (mounted) {
			make_file_system(origin, "ext4");
			mount.emplace(origin);
			mount->write_files("old", 4, 64);
		} else {
			origin.fill(7, 0, kMib);
		}
		const Snapshot snapshot(control, {&origin});
		REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
		settle_udev();
		run_or_throw({"dmsetup", "suspend", origin.dm_name()});
		Child take([&] { return snapshot.take(); });
		const int taken = take.wait();
		EXPECT_ERRNO(taken, 0);
		run_or_throw({"dmsetup", "resume", origin.dm_name()});
		if (mounted) {
			mount->write_files("new", 4, 64);
			EXPECT_ERRNO(mount->sync(), 0);
			EXPECT_EQ(find_damage(snapshot.image_of(origin), "ext4"), "");
			EXPECT_ERRNO(mount->unmount(), 0);
		} else {
			origin.fill(1, 0, kMib);
			EXPECT(snapshot.image_of(origin).holds(7, 0, kMib));
		}
	}
}
