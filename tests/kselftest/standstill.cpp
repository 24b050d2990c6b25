// SPDX-License-Identifier: GPL-2.0
//
// standstill: file systems that somebody else freezes and origins that somebody suspends, while they are tracked,
// their image is open or mounted, or a snapshot is destroyed. Stores that stand still are in lives.
#include "kselftest.hpp"

#include "extents.hpp"
#include "held.hpp"
#include "module.hpp"
#include "mount.hpp"
#include "opened.hpp"
#include "process.hpp"
#include "standstill.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <thread>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kMib = 2048; // in sectors
constexpr std::uint64_t kTrackingSectors = 128;
constexpr std::uint64_t kKept = 64;    // sectors of an origin that are overwritten after the cut
constexpr std::uint64_t kAside = 1024; // a sector that is not

// An origin with files, mounted, which were all replaced after the cut.
class MountedOrigin
{
public:
	explicit MountedOrigin(const Disk &store) : origin_(64), tracker_end_(control_, origin_)
	{
		make_file_system(origin_, "ext4");
		mount_.emplace(origin_);
		mount_->write_files("old", 4, 64);
		snapshot_.emplace(control_, std::vector<const Disk *>{&origin_},
				  Snapshot::Trackers::Keep);
		snapshot_->take_with(store);
		mount_->remove_files("old", 4);
		mount_->write_files("new", 4, 64);
		REQUIRE_ERRNO(mount_->sync(), 0);
	}

	const Mount &mount() const { return *mount_; }
	const Snapshot &snapshot() const { return *snapshot_; }
	Disk image() const { return snapshot_->image_of(origin_); }

	// What was frozen goes on where it was.
	void expect_thaws(const Frozen &frozen, Child &writer)
	{
		EXPECT_EQ(frozen.thaw(), 0);
		EXPECT_EQ(writer.wait(), 0);
		EXPECT(mount_->holds_files("new", 4, 64));
		EXPECT(mount_->holds_files("late", 4, 64));
		EXPECT_ERRNO(mount_->unmount(), 0);
		EXPECT_EQ(find_damage(origin_, "ext4"), "");
	}

private:
	const Control control_;
	const NullDisk origin_;
	const TrackerEnd tracker_end_;
	std::optional<Mount> mount_;
	std::optional<Snapshot> snapshot_;
};

int write_late(const Mount &mount)
{
	mount.write_files("late", 4, 64);
	return mount.sync();
}

// Freezes the file system of an image that is mounted, and destroys the snapshot.
void destroy_under_frozen_image(const std::string &type)
{
	const NullDisk origin(512), store(64);
	const Control control;
	make_file_system(origin, type);
	{
		Mount mount(origin);
		mount.write_files("old", 4, 64);
		REQUIRE_ERRNO(mount.unmount(), 0);
	}
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	Mount shown(snapshot.image_of(origin), type == "xfs" ? "nouuid" : "defaults");
	shown.write_files("mine", 4, 64);
	// Newer kernels shut a file system down whose device goes: xfs lets nobody open it then, to thaw it.
	const int directory = open(shown.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	{
		const Frozen frozen(shown);
		EXPECT(shown.holds_files("old", 4, 64));
		EXPECT(shown.holds_files("mine", 4, 64));
		EXPECT_EQ(control.images(snapshot.id()).size(), 1u);
		origin.fill(1, 256 * kMib, kMib);
		EXPECT(!lost_image(snapshot, 0));
		EXPECT_ERRNO(snapshot.destroy(), 0);
		EXPECT_EQ(control.snapshots(), 0u);
		EXPECT_ERRNO(ioctl(directory, FITHAW, 0) ? errno : 0, 0);
	}
	close(directory);
	EXPECT_ERRNO(shown.unmount(), 0);
}

// An origin that can be suspended, and another device in the same snapshot.
struct Pair {
	static constexpr std::uint64_t kSectors = 4 * kMib; // that are filled

	const NullDisk lower{64}, other{64};
	const DmDisk origin{linear_table(lower, 0, 64 * kMib)};
	const Control control;
	std::optional<Snapshot> taken;

	explicit Pair(const Disk &store)
	{
		origin.fill(7, 0, kSectors);
		other.fill(8, 0, kSectors);
		taken.emplace(control, std::vector<const Disk *>{&origin, &other});
		taken->take_with(store);
		origin.fill(1, 0, kKept);
	}

	const Snapshot &snapshot() const { return *taken; }
	Disk image() const { return taken->image_of(origin); }
	Disk image_of_other() const { return taken->image_of(other); }
};

// A destroy in a thread of its own.
class Destroy
{
public:
	explicit Destroy(const Snapshot &snapshot)
		: thread_([this, &snapshot] { result_ = snapshot.destroy(); })
	{
	}
	~Destroy()
	{
		if (thread_.joinable())
			thread_.join();
	}
	Destroy(const Destroy &) = delete;
	Destroy &operator=(const Destroy &) = delete;

	// Return: an errno or 0, or -1 as long as it has not come back.
	int result() const { return result_; }
	int wait()
	{
		thread_.join();
		return result_;
	}

private:
	std::atomic<int> result_ = -1;
	std::thread thread_;
};

} // namespace

// --- a file system that is frozen ------------------------------------------------------------

TEST(a_frozen_origin_is_read_through_its_open_image)
{
	const NullDisk store(64);
	MountedOrigin held(store);
	const Disk image = held.image();
	const BlockFile file(image, O_RDONLY | O_DIRECT);
	std::optional<Child> writer;
	const Frozen frozen(held.mount());
	writer.emplace([&] { return write_late(held.mount()); });
	writer->wait_until_asleep();
	EXPECT_EQ(find_damage(image, "ext4"), "");
	EXPECT(!lost_image(held.snapshot(), 0));
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
	Bytes bytes(4096);
	EXPECT(file.read(0, bytes) != 0);
	held.expect_thaws(frozen, *writer);
}

TEST(a_frozen_origin_is_read_through_its_mounted_image, .timeout_seconds = 120)
{
	const NullDisk store(64);
	MountedOrigin held(store);
	std::optional<Child> writer;
	Mount shown(held.image());
	const Frozen frozen(held.mount());
	writer.emplace([&] { return write_late(held.mount()); });
	writer->wait_until_asleep();
	EXPECT(shown.holds_files("old", 4, 64));
	shown.write_files("mine", 4, 64);
	EXPECT_ERRNO(shown.sync(), 0);
	EXPECT(!lost_image(held.snapshot(), 0));
	EXPECT_ERRNO(shown.unmount(), 0);
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
	held.expect_thaws(frozen, *writer);
}

// Nobody asks the file system on the image: it finds no device any more. It can be thawed and unmounted.
TEST(an_image_whose_ext4_is_frozen_is_destroyed, .timeout_seconds = 120)
{
	destroy_under_frozen_image("ext4");
}

TEST(an_image_whose_xfs_is_frozen_is_destroyed, .timeout_seconds = 120)
{
	destroy_under_frozen_image("xfs");
}

// --- an origin that is suspended -------------------------------------------------------------

TEST(a_suspended_device_is_tracked_no_more, .timeout_seconds = 120)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear_table(lower, 0, 32 * kMib));
	std::optional<Child> writer;
	Held held(origin, store);
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
	{
		const Suspended suspended(origin);
		writer.emplace(
			[&] { return origin.try_write(5 * kTrackingSectors, pattern(1, 8)); });
		writer->wait_until_asleep();
		suspended.resume();
		EXPECT_EQ(writer->wait(), 0);
	}
	EXPECT(held.changes() == std::vector<unsigned>{5});
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
	const Suspended suspended(origin);
	writer.emplace([&] { return origin.try_write(0, pattern(2, 8)); });
	writer->wait_until_asleep();
	EXPECT_ERRNO(remove_tracker(held.control(), origin.number()), 0);
	EXPECT_EQ(held.control().trackers(), 0u);
	suspended.resume();
	EXPECT_EQ(writer->wait(), 0);
	EXPECT(origin.holds(2, 0, 8));
}

// What was kept is read at once; the rest waits for the device, and nobody else does.
TEST(a_suspended_origin_holds_up_only_who_needs_it, .timeout_seconds = 120)
{
	const NullDisk store(64);
	Pair pair(store);
	const Disk image = pair.image();
	std::optional<Child> reader, writer;
	{
		const Suspended suspended(pair.origin);
		reader.emplace([&] { return image.holds(7, 0, kAside) ? 0 : 1; });
		reader->wait_until_asleep();
		writer.emplace([&] { return pair.origin.try_write(2 * kAside, pattern(2, 64)); });
		writer->wait_until_asleep();
		Bytes bytes(kKept * 512);
		const Bytes then = pattern(7, kKept);
		EXPECT_ERRNO(image.try_read(0, bytes), 0);
		EXPECT(bytes == then);
		pair.other.fill(2, 0, kMib);
		EXPECT(pair.image_of_other().holds(8, 0, Pair::kSectors));
		suspended.resume();
		EXPECT_EQ(reader->wait(), 0);
		EXPECT_EQ(writer->wait(), 0);
	}
	EXPECT(image.holds(7, 0, Pair::kSectors));
	EXPECT(pair.origin.holds(2, 2 * kAside, 64));
	EXPECT(!lost_image(pair.snapshot(), 0));
}

// The write cannot be done either: that it is let go shows after the resume.
TEST(an_origin_that_is_suspended_for_too_long_costs_its_image, .timeout_seconds = 120)
{
	const module::Parameter patience("cow_timeout_ms", std::to_string(1000 * slowdown()));
	const NullDisk store(64);
	Pair pair(store);
	const Disk image = pair.image();
	std::optional<Child> reader, writer;
	Bytes bytes(4096);
	{
		const Suspended suspended(pair.origin);
		reader.emplace([&] {
			Bytes aside(4096);
			return image.try_read(kAside, aside);
		});
		reader->wait_until_asleep();
		writer.emplace([&] { return pair.origin.try_write(2 * kAside, pattern(2, 64)); });
		const auto lost = lost_image(pair.snapshot(), 20000 * slowdown());
		EXPECT(lost.has_value());
		EXPECT_ERRNO(lost ? lost->err_code : 0, ETIMEDOUT);
		EXPECT_ERRNO(image.try_read(0, bytes), EIO);
		suspended.resume();
		EXPECT_EQ(reader->wait(), EIO);
		EXPECT_EQ(writer->wait(), 0);
	}
	EXPECT(pair.origin.holds(2, 2 * kAside, 64));
	EXPECT_ERRNO(image.try_read(kAside, bytes), EIO);
	EXPECT(pair.image_of_other().holds(8, 0, Pair::kSectors));
}

TEST(a_snapshot_of_a_suspended_origin_is_destroyed)
{
	const NullDisk store(64);
	Pair pair(store);
	const Disk image = pair.image();
	const BlockFile file(image, O_RDONLY | O_DIRECT);
	const Suspended suspended(pair.origin);
	const double begin = now();
	EXPECT_ERRNO(pair.snapshot().destroy(), 0);
	EXPECT(now() - begin < 5 * slowdown());
	Bytes bytes(4096);
	EXPECT(file.read(0, bytes) != 0);
	suspended.resume();
	EXPECT(pair.origin.holds(1, 0, kKept));
}

// Reads and copies that wait in the device hold their memory: they are waited for, by nobody else.
TEST(a_destroy_waits_for_what_waits_in_a_suspended_origin, .timeout_seconds = 120)
{
	const NullDisk store(64), next(64), next_store(64);
	Pair pair(store);
	const Disk image = pair.image();
	std::optional<Child> reader, writer;
	std::optional<Destroy> destroy;
	{
		const Suspended suspended(pair.origin);
		reader.emplace([&] {
			Bytes bytes(4096);
			const Bytes then = pattern(7, kAside + 8);
			return !image.try_read(kAside, bytes) &&
			       memcmp(bytes.data(), &then[kAside * 512], bytes.size());
		});
		reader->wait_until_asleep();
		writer.emplace([&] { return pair.origin.try_write(2 * kAside, pattern(2, 64)); });
		writer->wait_until_asleep();
		destroy.emplace(pair.snapshot());
		EXPECT(wait_until([&] { return pair.control.snapshots() == 0; }));
		const Held unconcerned(next, next_store);
		next.fill(1, 0, kMib);
		EXPECT(unconcerned.image_is_right());
		EXPECT_EQ(destroy->result(), -1);
		suspended.resume();
		EXPECT_ERRNO(destroy->wait(), 0);
		EXPECT_EQ(reader->wait(), 0); // an error, or what was there at the cut
		EXPECT_EQ(writer->wait(), 0);
	}
	EXPECT(pair.origin.holds(2, 2 * kAside, 64));
}

TEST(a_suspended_origin_under_its_mounted_image, .timeout_seconds = 120)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear_table(lower, 0, 64 * kMib));
	const Control control;
	make_file_system(origin, "ext4");
	{
		Mount mount(origin);
		mount.write_files("old", 1, 64);
		mount.write_files("aside", 1, 64);
		REQUIRE_ERRNO(mount.unmount(), 0);
	}
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	Mount shown(snapshot.image_of(origin), "noatime");
	for (const blk_snap_block_range &range : ranges_of(shown.path() + "/old0"))
		origin.fill(1, range.sector_offset, range.sector_count);
	(void)ranges_of(shown.path() + "/aside0"); // where it is, but not what is in it
	std::optional<Child> reader, writer;
	{
		const Suspended suspended(origin);
		reader.emplace([&] { return shown.holds_files("aside", 1, 64) ? 0 : 1; });
		reader->wait_until_asleep();
		EXPECT(shown.holds_files("old", 1, 64));
		writer.emplace([&] {
			shown.write_files("mine", 4, 64);
			return shown.sync();
		});
		writer->wait_until_asleep();
		suspended.resume();
		EXPECT_EQ(reader->wait(), 0);
		EXPECT_EQ(writer->wait(), 0);
	}
	EXPECT(shown.holds_files("mine", 4, 64));
	EXPECT(!lost_image(snapshot, 0));
	{
		const Suspended suspended(origin);
		EXPECT(shown.holds_files("old", 1, 64));
	}
	EXPECT_ERRNO(shown.unmount(), 0);
	EXPECT_ERRNO(snapshot.destroy(), 0);
}
