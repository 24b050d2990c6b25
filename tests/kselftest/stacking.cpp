// SPDX-License-Identifier: GPL-2.0
//
// stacking: devices above and below each other. What counts is which sectors of a tracked device
// are written to, not the way on which the write comes.
#include "kselftest.hpp"

#include "block_io.hpp"
#include "file.hpp"
#include "held.hpp"
#include "load.hpp"
#include "module.hpp"
#include "mount.hpp"
#include "process.hpp"

#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <deque>
#include <thread>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kTrackingSectors = 128;

// A disk with two partitions, which begin at tracking blocks 16 and 272 of it.
class PartitionedDisk : public NullDisk
{
public:
	static constexpr std::uint64_t kStart[2] = {2048, 34816};

	PartitionedDisk() : NullDisk(64)
	{
		run_or_throw(
			{"sh", "-c",
			 "printf 'label: gpt\nstart=2048, size=32768\nstart=34816, size=32768\n' | "
			 "sfdisk --quiet " +
				 path()});
		settle_udev();
	}
	Disk partition(unsigned number) const
	{
		return Disk(path() + (isdigit(path().back()) ? "p" : "") + std::to_string(number));
	}
};

// Two disks that md mirrors.
class MirrorDisk : public Disk
{
public:
	MirrorDisk(const Disk &a, const Disk &b)
	{
		path_ = "/dev/md/kst-md";
		const Run made = run({"mdadm", "--build", path_, "--quiet", "--level=1",
				      "--assume-clean", "--raid-devices=2", a.path(), b.path()});
		if (made.status)
			skip("md cannot be used here: " + made.output);
		settle_udev();
	}
	~MirrorDisk()
	{
		settle_udev();
		(void)run({"mdadm", "--stop", "--quiet", path_});
		settle_udev(); // the link goes when udev gets to it
	}
	MirrorDisk(const MirrorDisk &) = delete;
	MirrorDisk &operator=(const MirrorDisk &) = delete;
};

// What is written to `upper` at `sector` lands in tracking block `block` of `lower`.
void expect_seen(const Disk &upper, std::uint64_t sector, const Disk &lower, unsigned block)
{
	const NullDisk store(64);
	Held held(lower, store, 65536);
	const Bytes bytes = pattern(1, 16);
	EXPECT_ERRNO(BlockFile(upper).write(sector, bytes), 0);
	EXPECT(held.image_is_right());
	EXPECT(!held.origin_is_old(0, 65536));
	EXPECT(held.changes() == std::vector<unsigned>{block});
	EXPECT(upper.read(sector, 16) == bytes);
}

double processor_seconds()
{
	rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

} // namespace

// --- what arrives from above -----------------------------------------------------------------

TEST(writes_through_a_partition_are_seen_by_the_disk)
{
	const PartitionedDisk disk;
	const NullDisk store(64);
	const Control control;
	disk.fill(7, 2048, 32768);
	const Snapshot snapshot(control, {&disk}, Snapshot::Trackers::Keep);
	snapshot.take_with(store);
	disk.partition(1).fill(1, 256, 128);
	EXPECT(snapshot.image_of(disk).holds(7, 2048, 32768));
	EXPECT_ERRNO(snapshot.destroy(), 0);
	const Snapshot again(control, {&disk});
	again.take_with(store);
	EXPECT(changed_blocks(control, disk.number(), 1) == std::vector<unsigned>{18});
}

TEST(writes_through_the_disk_are_seen_by_a_partition)
{
	const PartitionedDisk disk;
	const NullDisk store(64);
	const Control control;
	const Disk first = disk.partition(1), second = disk.partition(2);
	first.fill(7, 0, 32768);
	second.fill(8, 0, 32768);
	const Snapshot snapshot(control, {&second}, Snapshot::Trackers::Keep);
	snapshot.take_with(store);
	// Across the border of both: only the second one's part is ours.
	disk.fill(1, PartitionedDisk::kStart[1] - 64, 128);
	EXPECT(snapshot.image_of(second).holds(8, 0, 32768));
	EXPECT_ERRNO(snapshot.destroy(), 0);
	const Snapshot again(control, {&second});
	again.take_with(store);
	EXPECT(changed_blocks(control, second.number(), 1) == std::vector<unsigned>{0});
}

TEST(writes_beside_a_partition_are_none_of_its)
{
	const PartitionedDisk disk;
	const NullDisk store(64);
	const Disk first = disk.partition(1);
	Held held(first, store);
	disk.fill(1, PartitionedDisk::kStart[0] - 64, 64); // before it
	disk.partition(2).fill(1, 0, 8192);		   // and behind it
	EXPECT(held.image_is_right());
	EXPECT(held.origin_is_old(0, Held::kSectors));
	EXPECT(held.changes().empty());
}

// One write, two images: each keeps a copy of its own.
TEST(a_disk_and_its_partition_in_one_snapshot)
{
	const PartitionedDisk disk;
	const NullDisk store(64);
	const Control control;
	const Disk partition = disk.partition(1);
	partition.fill(7, 0, 32768);
	const Snapshot snapshot(control, {&disk, &partition});
	snapshot.take_with(store);
	partition.fill(1, 0, 8192);
	disk.fill(2, 2048 + 4096, 8192);
	EXPECT(snapshot.image_of(partition).holds(7, 0, 32768));
	EXPECT(snapshot.image_of(disk).holds(7, 2048, 32768));
	EXPECT(!lost_image(snapshot, 0));
}

// A request of two bios, which end together: one waits for memory for its copy, the other has passed when the
// gate for the second snapshot closes.
TEST(a_take_waits_for_a_request_that_half_waits_for_a_copy, .timeout_seconds = 120)
{
	const module::Parameter memory("cow_memory_limit_kib", "1024");
	const module::Parameter drain("drain_timeout_ms", std::to_string(5000 * slowdown()));
	const PartitionedDisk disk;
	const NullDisk below(64), next_store(64);
	const std::string path = " " + below.path() + " 0 ";
	const DmDisk store("0 131072 delay" + path + "0" + path +
			   std::to_string(1500 * slowdown()));
	const Control control;
	const Disk partition = disk.partition(2);
	disk.fill(7, 4096, 4096);
	const Snapshot snapshot(control, {&disk}), next(control, {&partition});
	snapshot.take_with(store);
	disk.fill(1, 6144, 2048); // all the memory, until the store has it
	Child zeroes([&] { return BlockFile(disk).zero_out(4096, 4096); });
	zeroes.wait_until_asleep();
	const double begin = now();
	next.take_with(next_store);
	EXPECT(now() - begin > 0.2); // until the store had room
	EXPECT_EQ(zeroes.wait(), 0);
	EXPECT(snapshot.image_of(disk).holds(7, 4096, 4096));
	EXPECT(!lost_image(snapshot, 0));
}

TEST(writes_through_dm_linear_are_seen_below)
{
	const NullDisk lower(64);
	const DmDisk upper(linear_table(lower, 4096, 65536));
	expect_seen(upper, 5 * kTrackingSectors, lower, 37);
}

TEST(writes_through_dm_crypt_are_seen_below)
{
	const NullDisk lower(64);
	const std::string key(64, '5');
	if (run({"modprobe", "dm-crypt"}).status)
		skip("no dm-crypt here");
	const DmDisk upper("0 65536 crypt aes-xts-plain64 " + key + " 0 " + lower.path() + " 4096");
	expect_seen(upper, 5 * kTrackingSectors, lower, 37);
}

// Device mapper borrows the private word of a polled write while parts of it are under way, and submits the rest
// of the same bio again: nobody else may keep something there.
TEST(polled_writes_that_dm_splits_are_done_and_copied)
{
	const std::vector<std::string> polled{"submit_queues=1", "poll_queues=1"};
	const NullDisk even(64, polled), odd(64, polled), store(64);
	const DmDisk origin("0 131072 striped 2 8 " + even.path() + " 0 " + odd.path() + " 0");
	if (read_line(origin.sysfs() + "/queue/io_poll") != "1")
		skip("dm has no queues to poll here");
	const BlockFile file(origin);
	origin.fill(1, 0, 2048); // else null_blk allocates memory in its poll, as it must not
	if (const int error = polled_write(file, 0, pattern(1, 8));
	    error == ENOSYS || error == EPERM)
		skip("no io_uring here");
	Held held(origin, store);
	for (const unsigned sectors : {128, 24, 512})
		for (std::uint64_t sector = 0; sector + sectors <= 2048; sector += sectors)
			for (const unsigned touch : {1, 2})
				REQUIRE_ERRNO(
					polled_write(file, sector,
						     pattern(sectors + sector + touch, sectors)),
					0);
	for (std::uint64_t sector = 0; sector < 2048; sector += 512)
		EXPECT(origin.holds(512 + sector + 2, sector, 512));
	EXPECT(held.image_is_right());
	EXPECT_EQ(held.changes().size(), 2048 / kTrackingSectors);
}

TEST(writes_through_md_are_seen_by_both_members)
{
	const NullDisk a(64), b(64), store(64);
	const Control control;
	const MirrorDisk mirror(a, b);
	mirror.fill(7, 0, 8192);
	const Snapshot snapshot(control, {&a, &b});
	snapshot.take_with(store);
	Load load(mirror, 0, 8192);
	load.wait_for(200);
	for (const Disk *member : std::initializer_list<const Disk *>{&a, &b})
		EXPECT(snapshot.image_of(*member).holds(7, 0, 8192));
	EXPECT_ERRNO(load.stop(), 0);
	EXPECT(a.read(0, 8192) == b.read(0, 8192));
	EXPECT(!lost_image(snapshot, 0));
}

// A loop device on a file of the file system on the origin.
TEST(writes_through_loop_are_seen_below, .timeout_seconds = 120)
{
	const NullDisk lower(256), store(128);
	const Control control;
	make_file_system(lower, "ext4");
	Mount mount(lower);
	run_or_throw({"fallocate", "-l", "64M", mount.path() + "/disk"});
	const LoopDisk upper(mount.path() + "/disk", 512);
	upper.fill(7, 0, 8192);
	REQUIRE_ERRNO(BlockFile(upper).flush(), 0);
	REQUIRE_ERRNO(mount.sync(), 0);
	const Snapshot snapshot(control, {&lower});
	snapshot.take_with(store);
	upper.fill(1, 0, 8192);
	REQUIRE_ERRNO(BlockFile(upper).flush(), 0);
	const Disk image = snapshot.image_of(lower);
	EXPECT_EQ(find_damage(image, "ext4"), "");
	const Mount of_image(image, "ro,norecovery");
	const LoopDisk then(of_image.path() + "/disk", 512);
	EXPECT(then.holds(7, 0, 8192));
	EXPECT(upper.holds(1, 0, 8192));
	EXPECT(!lost_image(snapshot, 0));
}

TEST(a_tracker_above_sees_what_is_written_there)
{
	const NullDisk lower(64), store(64);
	const DmDisk upper(linear_table(lower, 4096, 65536));
	Held held(upper, store);
	upper.fill(1, 3 * kTrackingSectors, 8);
	EXPECT(held.image_is_right());
	EXPECT(held.changes() == std::vector<unsigned>{3});
}

// Both in one snapshot, under load from both sides: their images show one instant.
TEST(members_that_stand_on_each_other_show_one_instant, .timeout_seconds = 120)
{
	const NullDisk lower(64), store(64);
	const Control control;
	const DmDisk upper(linear_table(lower, 4096, 65536));
	Load above(upper, 0, 8192), below(lower, 90112, 8192);
	above.wait_for(20);
	below.wait_for(20);
	for (unsigned round = 0; round < 5; round++) {
		const Snapshot snapshot(control, {&upper, &lower});
		snapshot.take_with(store);
		EXPECT(snapshot.image_of(lower).read(4096, 8192) ==
		       snapshot.image_of(upper).read(0, 8192));
	}
	EXPECT_ERRNO(above.stop(), 0);
	EXPECT_ERRNO(below.stop(), 0);
}

// --- stores on stacks ------------------------------------------------------------------------

TEST(a_store_above_an_origin_is_refused)
{
	const NullDisk lower(64), other(64);
	const Control control;
	const DmDisk middle(linear_table(lower, 4096, 65536)),
		upper(linear_table(middle, 0, 65536));
	const Snapshot snapshot(control, {&lower});
	EXPECT_ERRNO(snapshot.append(upper, {{0, 8192}}), EINVAL);
	EXPECT_ERRNO(snapshot.append(middle, {{0, 8192}}), EINVAL);
	EXPECT_ERRNO(snapshot.append(other, {{0, 8192}}), 0);
	EXPECT_ERRNO(snapshot.destroy(), 0);
	// The other way round: it is a store already.
	const Snapshot second(control, {&other});
	EXPECT_ERRNO(second.append(upper, {{0, 8192}}), 0);
	EXPECT_ERRNO(try_create(control, {lower.number()}), EBUSY);
	EXPECT_ERRNO(second.take(), 0);
}

// What a device stands on changes while the module looks: a table of dm is exchanged.
TEST(a_store_whose_table_is_exchanged_is_looked_through, .timeout_seconds = 120)
{
	const NullDisk origin(64), a(64), b(64);
	const Control control;
	const DmDisk store(linear_table(a, 0, 65536));
	const Snapshot snapshot(control, {&origin});
	const std::string tables[] = {linear_table(b, 0, 65536), linear_table(a, 0, 65536)};
	std::atomic<unsigned> exchanged = 0;
	std::atomic<bool> stop = false;
	std::thread exchange([&] {
		for (; !stop; exchanged++)
			store.reload(tables[exchanged % 2]);
	});
	std::uint64_t at = 0;
	for (; at + 8 <= 65536 && exchanged < 30; at += 8)
		EXPECT_ERRNO(snapshot.append(store, {{at, 8}}), 0);
	stop = true;
	exchange.join();
	note("%u appends, %u exchanges", static_cast<unsigned>(at / 8), exchanged.load());
	EXPECT(exchanged > 2);
}

// Encryption on a loop device on a file of the origin cannot be looked through: each copy wants
// another one. It ends with a lost image, not with writers that wait for ever.
TEST(a_store_that_hides_its_origin_ends, .timeout_seconds = 180)
{
	const module::Parameter patience("cow_timeout_ms", "3000");
	const NullDisk origin(256);
	const Control control;
	if (run({"modprobe", "dm-crypt"}).status)
		skip("no dm-crypt here");
	make_file_system(origin, "ext4");
	Mount mount(origin);
	run_or_throw({"fallocate", "-l", "64M", mount.path() + "/store"});
	mount.write_files("file", 32, 1024);
	REQUIRE_ERRNO(mount.sync(), 0);
	const LoopDisk loop(mount.path() + "/store", 512);
	const DmDisk store("0 131072 crypt aes-xts-plain64 " + std::string(64, '5') + " 0 " +
			   loop.path() + " 0");
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	Child writer([&] {
		mount.remove_files("file", 32);
		mount.write_files("other", 32, 1024);
		return mount.sync();
	});
	EXPECT(wait_until([&] { return lost_image(snapshot, 100).has_value(); }, 90));
	EXPECT_EQ(writer.wait(), 0);
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT(mount.holds_files("other", 32, 1024));
}

// --- takes that fail half way ----------------------------------------------------------------

// A write stays in flight for longer than a take waits. The file system of the other member was
// frozen by then. Nothing stays frozen, closed or half taken, and nobody waits by spinning.
TEST(a_take_that_fails_half_way_is_undone, .timeout_seconds = 120)
{
	const module::Parameter patience("drain_timeout_ms", "2000");
	const NullDisk plain(256), lower(64), store(64);
	const Control control;
	make_file_system(plain, "ext4");
	Mount mount(plain);
	const DmDisk stuck(linear_table(lower, 0, 65536));
	stuck.fill(7, 0, 8192);
	const Snapshot snapshot(control, {&plain, &stuck});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	settle_udev();
	run_or_throw({"dmsetup", "suspend", "--nolockfs", "--noflush", stuck.dm_name()});
	Child writer([&] { return BlockFile(stuck).write(8192, pattern(2, 8)); });
	usleep(500000);
	const double begin = now(), spent = processor_seconds();
	EXPECT_ERRNO(snapshot.take(), EBUSY);
	const double waited = now() - begin, computed = processor_seconds() - spent;
	note("the take waited %.2f s and computed %.2f s", waited, computed);
	EXPECT(waited >= 1.9);
	EXPECT(computed < waited / 2);
	EXPECT_EQ(control.snapshots(), 1u);
	EXPECT(!exists("/dev/blksnap-image0"));
	mount.write_files("after", 2, 64);
	EXPECT_ERRNO(mount.sync(), 0);
	run_or_throw({"dmsetup", "resume", stuck.dm_name()});
	EXPECT_EQ(writer.wait(), 0);
	EXPECT_ERRNO(snapshot.take(), 0);
	stuck.fill(3, 0, 8192);
	EXPECT(snapshot.image_of(stuck).holds(7, 0, 8192));
	EXPECT(snapshot.image_of(stuck).holds(2, 8192, 8));
	EXPECT_EQ(find_damage(snapshot.image_of(plain), "ext4"), "");
}

// --- multipath -------------------------------------------------------------------------------

namespace
{

std::string multipath_table(const Disk &path, const std::string &features)
{
	if (run({"modprobe", "--quiet", "dm-multipath"}).status)
		skip("there is no dm-multipath here");
	return "0 " + std::to_string(path.sectors()) + " multipath " + features +
	       " 0 1 1 round-robin 0 1 1 " + path.path() + " 1";
}

} // namespace

// Multipath puts requests into the queue of a path. Then no bio tells what is written there.
TEST(a_path_of_multipath_is_refused)
{
	const NullDisk path(64), store(64);
	const Control control;
	blk_snap_cbt_info before;
	{
		const Snapshot snapshot(control, {&path}, Snapshot::Trackers::Keep);
		snapshot.take_with(store);
		before = tracker_of(control, path.number()).value();
	}
	{
		const DmDisk map(multipath_table(path, "0"));
		settle_udev();
		EXPECT_ERRNO(try_create(control, {path.number()}), EOPNOTSUPP);
		EXPECT_EQ(trackers(control).size(), 0u); // it has missed what was written since
		Held held(map, store, 8192);
		map.fill(1, 0, 8192);
		EXPECT(held.image_is_right());
	}
	const Snapshot snapshot(control, {&path});
	const auto after = tracker_of(control, path.number()).value();
	EXPECT(memcmp(&before.generation_id, &after.generation_id, sizeof(after.generation_id)));
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	const DmDisk map(multipath_table(path, "0"));
	settle_udev();
	EXPECT_ERRNO(snapshot.take(), EOPNOTSUPP);
}

// Among more devices than are looked at in one go.
TEST(multipath_is_found_among_many_volumes, .timeout_seconds = 240)
{
	const NullDisk path(64);
	const Control control;
	std::deque<DmDisk> volumes;
	for (std::uint64_t i = 0; i < 70; i++)
		volumes.emplace_back(linear_table(path, i * 64, 64));
	settle_udev();
	{
		const Snapshot snapshot(control, {&path});
	}
	const DmDisk map(multipath_table(path, "0"));
	settle_udev();
	EXPECT_ERRNO(try_create(control, {path.number()}), EOPNOTSUPP);
}

TEST(a_path_of_multipath_with_bios_is_seen)
{
	const NullDisk path(64), store(64);
	const DmDisk map(multipath_table(path, "2 queue_mode bio"));
	settle_udev();
	Held held(path, store, 8192);
	map.fill(1, 0, 8192);
	EXPECT(held.image_is_right());
}

// --- other sizes -----------------------------------------------------------------------------

TEST(a_device_that_grows_under_its_snapshot_keeps_its_image)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear_table(lower, 0, 16384));
	Held held(origin, store, 16384);
	const auto before = tracker_of(held.control(), origin.number()).value();
	origin.reload(linear_table(lower, 0, 65536));
	EXPECT_EQ(origin.sectors(), 65536u);
	origin.fill(1, 0, 32768); // old and new sectors
	EXPECT_EQ(held.image().sectors(), 16384u);
	EXPECT(held.image_is_right());
	// The next snapshot is of the new size, with a map that knows nothing of the old one.
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
	const Snapshot next(held.control(), {&origin}, Snapshot::Trackers::Keep);
	next.take_with(store);
	const auto after = tracker_of(held.control(), origin.number()).value();
	EXPECT_EQ(after.device_capacity, 65536u * 512);
	EXPECT(memcmp(before.generation_id.b, after.generation_id.b, 16) != 0);
	EXPECT_EQ(next.image_of(origin).sectors(), 65536u);
	origin.fill(3, 16000, 32768);
	EXPECT(Disk(next.image_of(origin)).read(0, 32768) == pattern(1, 32768));
}

TEST(a_device_that_shrinks_under_its_snapshot_loses_its_image)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear_table(lower, 0, 65536));
	Held held(origin, store);
	origin.reload(linear_table(lower, 0, 32768));
	const auto lost = lost_image(held.snapshot(), 10000);
	REQUIRE(lost.has_value());
	EXPECT_ERRNO(lost->err_code, ENODEV);
	Bytes bytes(4096);
	EXPECT_ERRNO(held.image().try_read(0, bytes), EIO);
	origin.fill(1, 0, 16384);
	EXPECT(origin.holds(1, 0, 16384));
}
