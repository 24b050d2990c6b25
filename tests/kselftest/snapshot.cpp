// SPDX-License-Identifier: GPL-2.0
//
// snapshot: CREATE, TAKE and DESTROY, with all their errors, one snapshot and several, one caller and
// several.
#include "kselftest.hpp"

#include "file.hpp"
#include "memory.hpp"
#include "module.hpp"
#include "mount.hpp"
#include "process.hpp"
#include "snapshot.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <thread>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kMib = 2048; // in sectors

int try_create_without_devices(const Control &control, blk_snap_dev *array)
{
	blk_snap_snapshot_create argument{};

	argument.dev_id_array = array;
	return control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &argument);
}

std::set<std::string> image_nodes()
{
	std::set<std::string> nodes;

	for (unsigned i = 0; i < 16; i++)
		if (exists("/dev/blksnap-image" + std::to_string(i)))
			nodes.insert("blksnap-image" + std::to_string(i));
	return nodes;
}

std::string linear(const Disk &disk)
{
	return "0 " + std::to_string(disk.sectors()) + " linear " + disk.path() + " 0";
}

// Writes to it last that many milliseconds.
std::string slow_writes(const Disk &disk, unsigned milliseconds)
{
	return "0 " + std::to_string(disk.sectors()) + " delay " + disk.path() + " 0 0 " +
	       disk.path() + " 0 " + std::to_string(milliseconds);
}

std::string open_count(const DmDisk &disk)
{
	settle_udev();
	const std::string output =
		run({"dmsetup", "info", "-c", "--noheadings", "-o", "open", disk.dm_name()}).output;
	return output.substr(0, output.find('\n'));
}

// Open for itself alone, as file systems do.
class Exclusive
{
public:
	explicit Exclusive(const Disk &disk)
		: fd_(open(disk.path().c_str(), O_RDWR | O_EXCL | O_CLOEXEC))
	{
		error_ = fd_ < 0 ? errno : 0;
	}
	~Exclusive() { close(fd_); }
	Exclusive(const Exclusive &) = delete;
	Exclusive &operator=(const Exclusive &) = delete;
	int error() const { return error_; }

private:
	int fd_, error_;
};

} // namespace

// --- create ----------------------------------------------------------------------------------

TEST(create_gives_a_random_version_4_uuid)
{
	const Control control;
	const NullDisk origin(16);
	std::set<std::string> seen;
	for (unsigned i = 0; i < 16; i++) {
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
		const __u8 *b = snapshot.id().b;
		EXPECT_EQ(b[6] & 0xf0, 0x40);
		EXPECT_EQ(b[8] & 0xc0, 0x80);
		seen.insert(std::string(reinterpret_cast<const char *>(b), 16));
	}
	EXPECT_EQ(seen.size(), 16u);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), 0);
}

TEST(create_tells_the_id_and_nothing_else)
{
	const Control control;
	const NullDisk origin(16);
	blk_snap_dev device = origin.number();
	struct {
		blk_snap_snapshot_create argument;
		unsigned char after[64];
	} memory;
	memset(&memory, kPoison, sizeof(memory));
	memory.argument.count = 1;
	memory.argument.dev_id_array = &device;
	REQUIRE_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &memory.argument), 0);
	EXPECT_EQ(memory.argument.count, 1u);
	EXPECT(memory.argument.dev_id_array == &device);
	EXPECT(all_bytes(memory.after, sizeof(memory.after), kPoison));
	EXPECT_ERRNO(control.try_destroy(memory.argument.id), 0);
	EXPECT_ERRNO(remove_tracker(control, device), 0);
}

TEST(create_without_devices_is_einval)
{
	const Control control;
	blk_snap_dev device = kMissingDevice;
	EXPECT_ERRNO(try_create_without_devices(control, &device), EINVAL);
	EXPECT_ERRNO(try_create_without_devices(control, nullptr), EINVAL);
	EXPECT_EQ(control.snapshots(), 0u);
}

TEST(create_with_a_device_twice_is_einval)
{
	const Control control;
	const NullDisk one(16), two(16);
	EXPECT_ERRNO(try_create(control, {one.number(), one.number()}), EINVAL);
	EXPECT_ERRNO(try_create(control, {one.number(), two.number(), one.number()}), EINVAL);
	EXPECT_EQ(control.snapshots(), 0u);
	EXPECT_EQ(control.trackers(), 0u);
}

TEST(create_of_a_missing_device_is_enxio)
{
	const Control control;
	for (const blk_snap_dev &device : {kMissingDevice, blk_snap_dev{0, 0},
					   blk_snap_dev{~0u, ~0u}, blk_snap_dev{1, 1u << 20}})
		EXPECT_ERRNO(try_create(control, {device}), ENXIO);
	EXPECT_EQ(control.snapshots(), 0u);
	EXPECT_EQ(control.trackers(), 0u);
}

TEST(create_of_a_device_in_a_snapshot_is_ealready)
{
	const Control control;
	const NullDisk origin(16), other(16), store(16);
	const Snapshot snapshot(control, {&origin});
	EXPECT_ERRNO(try_create(control, {origin.number()}), EALREADY);
	EXPECT_ERRNO(try_create(control, {other.number(), origin.number()}), EALREADY);
	snapshot.take_with(store);
	EXPECT_ERRNO(try_create(control, {origin.number()}), EALREADY);
	EXPECT_EQ(control.snapshots(), 1u);
	EXPECT_EQ(control.trackers(), 1u);
}

TEST(create_of_an_image_is_einval)
{
	const Control control;
	const NullDisk origin(16), other(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	const blk_snap_dev image = snapshot.image_of(origin).number();
	EXPECT_ERRNO(try_create(control, {image}), EINVAL);
	EXPECT_ERRNO(try_create(control, {other.number(), image}), EINVAL);
	EXPECT_EQ(control.trackers(), 1u);
}

TEST(create_under_the_store_of_another_snapshot_is_ebusy)
{
	const Control control;
	const NullDisk origin(16), lower(16);
	const DmDisk store(linear(lower));
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	EXPECT_ERRNO(try_create(control, {lower.number()}), EBUSY);
	EXPECT_EQ(control.trackers(), 1u);
}

TEST(create_that_fails_leaves_only_old_trackers)
{
	const Control control;
	const NullDisk old(16), fresh(16);
	{
		const Snapshot snapshot(control, {&old}, Snapshot::Trackers::Keep);
	}
	const blk_snap_uuid generation = tracker_of(control, old.number())->generation_id;
	EXPECT_ERRNO(try_create(control, {old.number(), fresh.number(), kMissingDevice}), ENXIO);
	EXPECT_EQ(control.snapshots(), 0u);
	EXPECT(!tracker_of(control, fresh.number()));
	const auto kept = tracker_of(control, old.number());
	REQUIRE(kept.has_value());
	EXPECT(same(kept->generation_id, generation));
	// Nothing holds it.
	EXPECT_ERRNO(remove_tracker(control, old.number()), 0);
}

// --- take ------------------------------------------------------------------------------------

TEST(take_of_an_unknown_snapshot_is_esrch)
{
	EXPECT_ERRNO(Control().try_take(kUnknownId), ESRCH);
}

TEST(take_without_storage_is_enospc_and_can_be_repeated)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	EXPECT_ERRNO(snapshot.take(), ENOSPC);
	EXPECT_ERRNO(snapshot.take(), ENOSPC);
	EXPECT_EQ(image_nodes(), std::set<std::string>{});
	snapshot.take_with(store);
	EXPECT_EQ(tracker_of(control, origin.number())->snap_number, 1);
}

TEST(second_take_is_ealready)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	EXPECT_ERRNO(snapshot.take(), EALREADY);
	EXPECT_EQ(control.images(snapshot.id()).size(), 1u);
	EXPECT_EQ(tracker_of(control, origin.number())->snap_number, 1);
}

TEST(take_of_a_destroyed_snapshot_is_esrch)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT_ERRNO(snapshot.take(), ESRCH);
}

TEST(take_with_a_device_gone_is_enodev_and_takes_none)
{
	const Control control;
	const NullDisk stays(16), store(16);
	auto goes = std::make_unique<NullDisk>(16);
	const Snapshot snapshot(control, {&stays, goes.get()});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	goes.reset();
	EXPECT_ERRNO(snapshot.take(), ENODEV);
	EXPECT_EQ(image_nodes(), std::set<std::string>{});
	EXPECT_EQ(tracker_of(control, stays.number())->snap_number, 0);
	stays.fill(1, 0, 128);
	EXPECT(stays.holds(1, 0, 128));
}

// Another table brings the store of a snapshot to stand there, after the create.
TEST(take_under_the_store_of_another_snapshot_is_ebusy)
{
	const Control control;
	const NullDisk other(16), origin(16), lower(16), store(16);
	const DmDisk upper(linear(lower));
	const Snapshot holds(control, {&other});
	holds.take_with(upper);
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	upper.reload(linear(origin));
	EXPECT_ERRNO(snapshot.take(), EBUSY);
	EXPECT_ERRNO(holds.destroy(), 0);
	EXPECT_ERRNO(snapshot.take(), 0);
}

TEST(take_with_writes_that_do_not_end_is_ebusy_and_takes_none)
{
	const Control control;
	const NullDisk fast(16), lower(16), store(16);
	const DmDisk slow(slow_writes(lower, 3000));
	const module::Parameter limit("drain_timeout_ms", "200");
	const Snapshot snapshot(control, {&fast, &slow});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	Child writer([&] {
		slow.fill(1, 0, 8);
		return 0;
	});
	writer.wait_until_asleep();
	EXPECT_ERRNO(snapshot.take(), EBUSY);
	EXPECT_EQ(image_nodes(), std::set<std::string>{});
	EXPECT_EQ(tracker_of(control, fast.number())->snap_number, 0);
	EXPECT_EQ(writer.wait(), 0);
	EXPECT_ERRNO(snapshot.take(), 0);
	EXPECT(snapshot.image_of(slow).holds(1, 0, 8));
}

// Its freeze writes what is dirty, and that lasts.
TEST(take_with_a_file_system_that_does_not_freeze_is_etimedout, .timeout_seconds = 180)
{
	const Control control;
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear(lower));
	make_file_system(origin, "ext4");
	Mount mounted(origin);
	const module::Parameter limit("freeze_timeout_ms", "200");
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	origin.reload(slow_writes(lower, 1000));
	mounted.write_files("dirty", 4, 64);
	EXPECT_ERRNO(snapshot.take(), ETIMEDOUT);
	EXPECT_EQ(image_nodes(), std::set<std::string>{});
	EXPECT_EQ(tracker_of(control, origin.number())->snap_number, 0);
	// What was frozen too late is thawed.
	origin.reload(linear(lower));
	mounted.write_files("later", 4, 64);
	EXPECT_ERRNO(mounted.sync(), 0);
	REQUIRE_ERRNO(module::set_parameter("freeze_timeout_ms", "60000"), 0);
	EXPECT_ERRNO(snapshot.take(), 0);
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT(mounted.holds_files("dirty", 4, 64));
	EXPECT_ERRNO(mounted.unmount(), 0);
}

TEST(of_concurrent_takes_exactly_one_wins, .timeout_seconds = 180)
{
	const Control control;
	const NullDisk origin(16), store(16);
	for (int round = 0; round < 10; round++) {
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
		REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
		std::atomic<bool> go = false;
		std::atomic<unsigned> won = 0, already = 0;
		std::vector<std::thread> threads;
		for (int i = 0; i < 6; i++)
			threads.emplace_back([&] {
				while (!go)
					sched_yield();
				const int error = snapshot.take();
				won += error == 0;
				already += error == EALREADY;
			});
		go = true;
		for (std::thread &thread : threads)
			thread.join();
		EXPECT_EQ(won.load(), 1u);
		EXPECT_EQ(already.load(), 5u);
		EXPECT_EQ(control.images(snapshot.id()).size(), 1u);
		EXPECT_EQ(image_nodes().size(), 1u);
	}
	EXPECT_ERRNO(remove_tracker(control, origin.number()), 0);
}

// --- destroy ---------------------------------------------------------------------------------

TEST(destroy_of_an_unknown_snapshot_is_enodev)
{
	const Control control;
	const NullDisk origin(16);
	EXPECT_ERRNO(control.try_destroy(kUnknownId), ENODEV);
	const Snapshot snapshot(control, {&origin});
	blk_snap_uuid nearly = snapshot.id();
	nearly.b[15] ^= 1;
	EXPECT_ERRNO(control.try_destroy(nearly), ENODEV);
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT_ERRNO(snapshot.destroy(), ENODEV);
	EXPECT_EQ(control.snapshots(), 0u);
}

TEST(destroy_removes_the_images_before_it_returns)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	EXPECT_EQ(image_nodes(), std::set<std::string>{"blksnap-image0"});
	EXPECT(exists("/sys/block/blksnap-image0"));
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT_EQ(image_nodes(), std::set<std::string>{});
	EXPECT(!exists("/sys/block/blksnap-image0"));
}

TEST(destroy_releases_devices_and_storage)
{
	const Control control;
	const NullDisk lower(16), lower_store(16);
	const DmDisk origin(linear(lower)), store(linear(lower_store));
	{
		const Snapshot snapshot(control, {&origin});
		snapshot.take_with(store);
		EXPECT_EQ(open_count(origin), "1");
		EXPECT_EQ(open_count(store), "1");
	}
	EXPECT_EQ(open_count(origin), "0");
	EXPECT_EQ(open_count(store), "0");
}

TEST(destroy_before_the_take)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	EXPECT_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT_EQ(control.snapshots(), 0u);
	// The device and the storage are free again.
	const Snapshot again(control, {&origin});
	again.take_with(store);
}

// --- several ---------------------------------------------------------------------------------

TEST(several_snapshots_end_in_any_order, .timeout_seconds = 300)
{
	const Control control;
	const NullDisk disks[3] = {NullDisk(16), NullDisk(16), NullDisk(16)};
	const NullDisk store(48);
	std::vector<int> order{0, 1, 2};
	do {
		std::unique_ptr<Snapshot> snapshots[3];
		for (unsigned i = 0; i < 3; i++) {
			disks[i].fill(i, 0, 256);
			snapshots[i] = std::make_unique<Snapshot>(
				control, std::vector<const Disk *>{&disks[i]},
				Snapshot::Trackers::Keep);
			REQUIRE_ERRNO(snapshots[i]->append(store, {{i * 16 * kMib, 16 * kMib}}), 0);
			REQUIRE_ERRNO(snapshots[i]->take(), 0);
			disks[i].fill(i + 10, 0, 128);
		}
		for (const int ended : order) {
			for (unsigned i = 0; i < 3; i++)
				if (snapshots[i])
					EXPECT(snapshots[i]->image_of(disks[i]).holds(i, 0, 256));
			EXPECT_ERRNO(snapshots[ended]->destroy(), 0);
			snapshots[ended].reset();
			disks[ended].fill(20, 0, 8);
		}
		EXPECT_EQ(control.snapshots(), 0u);
	} while (std::next_permutation(order.begin(), order.end()));
	for (const NullDisk &disk : disks)
		EXPECT_ERRNO(remove_tracker(control, disk.number()), 0);
}

TEST(all_devices_of_a_snapshot_have_images)
{
	const Control control;
	const NullDisk one(16), two(16), store(16);
	const LoopDisk three(16 << 20);
	const Disk *const disks[] = {&one, &two, &three};
	for (unsigned i = 0; i < 3; i++)
		disks[i]->fill(i, 0, 128);
	const Snapshot snapshot(control, {&one, &two, &three});
	snapshot.take_with(store);
	for (unsigned i = 0; i < 3; i++)
		disks[i]->fill(i + 10, 0, 64);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(snapshot.image_of(*disks[i]).holds(i, 0, 128));
}

TEST(an_image_has_the_lowest_free_number)
{
	const Control control;
	const NullDisk one(16), two(16), store(48);
	const Snapshot first(control, {&one}, Snapshot::Trackers::Keep);
	REQUIRE_ERRNO(first.append(store, {{0, 16 * kMib}}), 0);
	REQUIRE_ERRNO(first.take(), 0);
	EXPECT_EQ(first.image_of(one).path(), "/dev/blksnap-image0");
	const Snapshot second(control, {&two});
	REQUIRE_ERRNO(second.append(store, {{16 * kMib, 16 * kMib}}), 0);
	REQUIRE_ERRNO(second.take(), 0);
	EXPECT_EQ(second.image_of(two).path(), "/dev/blksnap-image1");
	EXPECT_ERRNO(first.destroy(), 0);
	EXPECT(second.image_of(two).sectors() == two.sectors());
	const Snapshot third(control, {&one});
	REQUIRE_ERRNO(third.append(store, {{0, 16 * kMib}}), 0);
	REQUIRE_ERRNO(third.take(), 0);
	EXPECT_EQ(third.image_of(one).path(), "/dev/blksnap-image0");
}

// The kernel takes a file system for another one by the number of its device: the next image would show the files of
// the one that is gone.
TEST(an_image_in_use_keeps_its_number, .timeout_seconds = 120)
{
	const Control control;
	const NullDisk origin(64), store(64);
	make_file_system(origin, "ext4");
	Mount mount(origin);
	mount.write_files("old", 4, 64);
	std::optional<Snapshot> snapshot(std::in_place, control,
					 std::vector<const Disk *>{&origin});
	snapshot->take_with(store);
	const Disk image = snapshot->image_of(origin);
	{
		Mount shown(image);
		EXPECT(shown.holds_files("old", 4, 64));
		snapshot.reset();
		EXPECT(!exists(image.path()));
		mount.write_files("new", 4, 64);
		const Snapshot next(control, {&origin});
		next.take_with(store);
		EXPECT(next.image_of(origin).path() != image.path());
		Mount shown_next(next.image_of(origin));
		EXPECT(shown_next.holds_files("new", 4, 64));
		EXPECT_ERRNO(shown_next.unmount(), 0);
		EXPECT_ERRNO(shown.unmount(), 0);
	}
	settle_udev();
	snapshot.emplace(control, std::vector<const Disk *>{&origin});
	snapshot->take_with(store);
	EXPECT_EQ(snapshot->image_of(origin).path(), image.path());
}

TEST(devices_and_images_may_be_open_exclusively)
{
	const Control control;
	const NullDisk origin(16), store(16);
	origin.fill(1, 0, 128);
	const Exclusive mounted(origin), other(store);
	EXPECT_ERRNO(mounted.error(), 0);
	EXPECT_ERRNO(other.error(), 0);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	const Exclusive image(snapshot.image_of(origin));
	EXPECT_ERRNO(image.error(), 0);
	EXPECT(snapshot.image_of(origin).holds(1, 0, 128));
	EXPECT_ERRNO(snapshot.destroy(), 0);
}

TEST(a_read_only_device_can_be_an_origin)
{
	const Control control;
	const NullDisk origin(16), store(16);
	origin.fill(1, 0, 128);
	run_or_throw({"blockdev", "--setro", origin.path()});
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	EXPECT(snapshot.image_of(origin).holds(1, 0, 128));
}

// Create, append, take, collect and destroy by several threads on one device: each result is one
// that the order of events can give.
TEST(threads_that_create_and_destroy_do_no_harm, .timeout_seconds = 120)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const double end = now() + 5;
	std::atomic<unsigned> taken = 0;
	const auto allow = [](int error, std::initializer_list<int> expected) {
		if (std::find(expected.begin(), expected.end(), error) == expected.end())
			EXPECT_ERRNO(error, 0);
		return error;
	};
	const auto once = [&](unsigned random) {
		blk_snap_dev device = origin.number();
		blk_snap_snapshot_create create{1, &device, {}};
		if (allow(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &create),
			  {0, EALREADY})) {
			// Another thread has the device: sometimes end what it made.
			blk_snap_uuid ids[8];
			blk_snap_snapshot_collect collect{8, ids};
			allow(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &collect), {0});
			if (collect.count && random % 16 == 0)
				allow(control.try_destroy(ids[0]), {0, ENODEV});
			if (random % 64 == 1)
				allow(remove_tracker(control, device), {0, EBUSY, ENODATA});
			return;
		}
		allow(control.try_append(create.id, store.number(), {{0, store.sectors()}}),
		      {0, ESRCH});
		taken += allow(control.try_take(create.id), {0, ESRCH, ENOSPC}) == 0;
		allow(control.try_destroy(create.id), {0, ENODEV});
	};
	std::vector<std::thread> threads;
	for (unsigned seed = 0; seed < 4; seed++)
		threads.emplace_back([&, seed] {
			for (unsigned i = seed; now() < end; i = i * 1103515245 + 12345)
				once(i >> 16);
		});
	for (std::thread &thread : threads)
		thread.join();
	note("%u takes", taken.load());
	EXPECT(taken > 0);
	EXPECT_EQ(control.snapshots(), 0u);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), 0);
}
