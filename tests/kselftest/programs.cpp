// SPDX-License-Identifier: GPL-2.0
//
// programs: programs that end between requests and in them, and the removal of the module in each
// state. Snapshots belong to nobody: what a program leaves, another one can end.
#include "kselftest.hpp"

#include "block_io.hpp"
#include "file.hpp"
#include "held.hpp"
#include "load.hpp"
#include "missing_page.hpp"
#include "module.hpp"
#include "mount.hpp"
#include "process.hpp"

#include <sys/mman.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kMib = 2048; // in sectors

// The steps of a backup, in their order.
enum Step { Opened, Created, Appended, Taken, Asked, Destroyed };

// Memory of the test and its children: whether the child is where it was sent to.
class Arrival
{
public:
	Arrival()
		: flag_(static_cast<std::atomic<bool> *>(mmap(nullptr, sizeof(bool),
							      PROT_READ | PROT_WRITE,
							      MAP_SHARED | MAP_ANONYMOUS, -1, 0)))
	{
		REQUIRE(flag_ != MAP_FAILED);
	}
	~Arrival() { munmap(flag_, sizeof(bool)); }
	Arrival(const Arrival &) = delete;
	Arrival &operator=(const Arrival &) = delete;

	void tell() const { *flag_ = true; }
	bool is_told() const { return flag_->load(); }
	[[noreturn]] void tell_and_stay() const
	{
		tell();
		for (;;)
			pause();
	}
	void wait_for() const
	{
		REQUIRE(wait_until([this] { return is_told(); }, 30));
	}

private:
	std::atomic<bool> *flag_;
};

int go_to(Step last, const Disk &origin, const Disk &store, const Arrival &arrival)
{
	const Control control;
	if (last == Opened)
		arrival.tell_and_stay();
	const blk_snap_uuid id = control.create({origin.number()});
	if (last == Created)
		arrival.tell_and_stay();
	if (control.try_append(id, store.number(), {{0, store.sectors()}}))
		return 1;
	if (last == Appended)
		arrival.tell_and_stay();
	if (control.try_take(id))
		return 1;
	if (last == Taken)
		arrival.tell_and_stay();
	(void)control.images(id);
	if (last == Asked)
		arrival.tell_and_stay();
	if (control.try_destroy(id))
		return 1;
	arrival.tell_and_stay();
}

// What anybody finds can be ended by anybody.
void end_all(const Control &control)
{
	for (const blk_snap_uuid &id : snapshot_ids(control))
		EXPECT_ERRNO(control.try_destroy(id), 0);
	for (const blk_snap_cbt_info &info : trackers(control))
		EXPECT_ERRNO(remove_tracker(control, info.dev_id), 0);
	EXPECT_EQ(control.snapshots(), 0u);
	EXPECT_EQ(control.trackers(), 0u);
}

// A dm device that holds what is written to it until it is resumed.
class Stuck
{
public:
	explicit Stuck(const Disk &lower, std::uint64_t sectors)
		: disk_(linear_table(lower, 0, sectors))
	{
	}
	~Stuck() { (void)run({"dmsetup", "resume", disk_.dm_name()}); }

	const DmDisk &disk() const { return disk_; }
	void hold() const
	{
		settle_udev();
		run_or_throw({"dmsetup", "suspend", "--nolockfs", "--noflush", disk_.dm_name()});
	}
	void let_go() const { run_or_throw({"dmsetup", "resume", disk_.dm_name()}); }

private:
	const DmDisk disk_;
};

// A test that ends early must not wait for what is held.
class LetGo
{
public:
	explicit LetGo(const Stuck &stuck) : stuck_(stuck) {}
	~LetGo() { (void)run({"dmsetup", "resume", stuck_.disk().dm_name()}); }

private:
	const Stuck &stuck_;
};

std::size_t count_in_log(const std::string &text)
{
	const std::string log = run({"dmesg"}).output;
	std::size_t count = 0;

	for (auto at = log.find(text); at != std::string::npos; at = log.find(text, at + 1))
		count++;
	return count;
}

// Threads of the kernel.
unsigned threads_called(const std::string &name)
{
	unsigned count = 0;

	for (const auto &process : std::filesystem::directory_iterator("/proc"))
		count += read_line(process.path() / "comm") == name;
	return count;
}

// Kills a child. Return: whether it was gone in time.
bool dies(Child &child, double seconds = 10)
{
	const double begin = now();
	child.kill(SIGKILL);
	const int status = child.wait();
	note("it died after %.2f s", now() - begin);
	return status == 256 + SIGKILL && now() - begin < seconds * slowdown();
}

} // namespace

// --- between requests ------------------------------------------------------------------------

TEST(a_program_killed_between_any_two_requests, .timeout_seconds = 120)
{
	const NullDisk origin(64), store(64);
	const Control control;
	for (const Step step : {Opened, Created, Appended, Taken, Asked, Destroyed}) {
		origin.fill(7, 0, kMib);
		const Arrival arrival;
		Child agent([&] { return go_to(step, origin, store, arrival); });
		arrival.wait_for();
		EXPECT_EQ(control.snapshots(), step == Opened || step == Destroyed ? 0u : 1u);
		EXPECT(dies(agent));
		const bool is_held = step == Taken || step == Asked;
		EXPECT(exists("/dev/blksnap-image0") == is_held);
		origin.fill(1, 0, kMib);
		if (is_held)
			EXPECT(Disk("/dev/blksnap-image0").holds(7, 0, kMib));
		end_all(control);
	}
}

// --- in a request ----------------------------------------------------------------------------

// It waits for writes that do not end. The take is undone, and can be had again.
TEST(a_program_killed_in_a_take_that_waits_for_writes, .timeout_seconds = 120)
{
	const module::Parameter patience("drain_timeout_ms", "20000");
	const NullDisk plain(256), lower(64), store(64);
	const Control control;
	make_file_system(plain, "ext4");
	Mount mount(plain);
	const Stuck stuck(lower, 32 * kMib);
	stuck.disk().fill(7, 0, kMib);
	const Snapshot snapshot(control, {&plain, &stuck.disk()});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	stuck.hold();
	Child writer([&] { return BlockFile(stuck.disk()).write(8 * kMib, pattern(2, 8)); });
	writer.wait_until_asleep();
	Child agent([&] { return snapshot.take(); });
	agent.wait_until_asleep();
	usleep(500000);
	EXPECT(dies(agent, 30)); // no later than drain_timeout_ms allows
	EXPECT(!exists("/dev/blksnap-image0"));
	mount.write_files("after", 2, 64); // not frozen
	EXPECT_ERRNO(mount.sync(), 0);
	stuck.let_go();
	EXPECT_EQ(writer.wait(), 0);
	EXPECT_ERRNO(snapshot.take(), 0);
	stuck.disk().fill(3, 0, kMib);
	EXPECT(snapshot.image_of(stuck.disk()).holds(7, 0, kMib));
}

// It looks for older writes, for half a second, since its device has changed. Who is killed gets no thread that
// would freeze: nothing is taken, or with what is dirty.
TEST(a_program_killed_before_anything_is_frozen_takes_nothing, .timeout_seconds = 180)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear_table(lower, 0, 32 * kMib));
	const Control control;
	make_file_system(origin, "ext4");
	Mount mount(origin);
	const std::size_t told = count_in_log("take: the caller was killed");
	for (unsigned mib = 33; mib < 50 && count_in_log("take: the caller was killed") == told;
	     mib++) {
		const Snapshot snapshot(control, {&origin});
		REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
		origin.reload(linear_table(lower, 0, mib * kMib));
		const std::string name = "dirty" + std::to_string(mib) + "-";
		mount.write_files(name, 2, 64);
		Child agent([&] { return snapshot.take(); });
		usleep(50000 * (mib - 31)); // 100 ms and more, until it falls into that half second
		agent.kill(SIGKILL);
		(void)agent.wait();
		const int again = snapshot.take();
		EXPECT(again == 0 || again == EALREADY);
		EXPECT(Mount(snapshot.image_of(origin)).holds_files(name, 2, 64));
	}
	EXPECT(count_in_log("take: the caller was killed") > told);
}

// What it leaves to a device that does not answer holds the module, until it answers.
TEST(the_module_stays_while_a_freeze_is_late, .timeout_seconds = 180)
{
	const module::Reload reload;
	const NullDisk lower(64), store(64);
	const Stuck stuck(lower, lower.sectors());
	make_file_system(stuck.disk(), "ext4");
	Mount mount(stuck.disk());
	const LetGo let_go(stuck);
	{
		const Control control;
		const module::Parameter limit("freeze_timeout_ms", "200");
		const Snapshot snapshot(control, {&stuck.disk()});
		REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
		mount.write_files("dirty", 4, 64);
		stuck.hold();
		const double begin = now();
		EXPECT_ERRNO(snapshot.take(), ETIMEDOUT);
		EXPECT(now() - begin < 2 * slowdown());
		EXPECT_ERRNO(snapshot.take(), EBUSY); // instead of one more that waits
		EXPECT_EQ(threads_called("blksnap-freeze"), 1u);
	}
	EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK);
	stuck.let_go();
	EXPECT(wait_until([] { return threads_called("blksnap-freeze") == 0; }, 30));
	mount.write_files("later", 4, 64);
	EXPECT_ERRNO(mount.sync(), 0);
	EXPECT_ERRNO(module::unload(), 0);
}

// It waits for a file system that does not freeze.
TEST(a_program_killed_in_a_take_that_waits_for_a_file_system, .timeout_seconds = 180)
{
	const NullDisk lower(64), store(64);
	const Control control;
	const Stuck stuck(lower, lower.sectors());
	make_file_system(stuck.disk(), "ext4");
	Mount mount(stuck.disk());
	const module::Parameter limit("freeze_timeout_ms", "60000");
	const Snapshot snapshot(control, {&stuck.disk()});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	mount.write_files("dirty", 4, 64);
	stuck.hold();
	Child agent([&] { return snapshot.take(); });
	agent.wait_until_asleep();
	usleep(500000);
	agent.kill(SIGKILL);
	usleep(200000);
	stuck.let_go();
	const int status = agent.wait();
	EXPECT(status == 256 + SIGKILL || status == 0);
	mount.write_files("later", 4, 64); // it is thawed, also if it froze in the end
	EXPECT_ERRNO(mount.sync(), 0);
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT_ERRNO(mount.unmount(), 0);
}

// It waits for a store that does not answer. The snapshot is gone when the store does.
// More than the store gathers before it is written to: a destroy need not wait for what is still gathered.
void overwrite_some(const Disk &origin)
{
	for (std::uint64_t at = 0; at < 4 * kMib; at += kMib / 4)
		EXPECT_ERRNO(BlockFile(origin).write(at, pattern(2, kMib / 4)), 0);
	usleep(1000000);
}

TEST(a_program_killed_in_a_destroy_that_waits_for_the_store, .timeout_seconds = 120)
{
	const NullDisk origin(64), lower(64);
	const Control control;
	const Stuck stuck(lower, 64 * kMib);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(stuck.disk());
	// The copy is in memory, and on its way to the store: the writer waits for neither.
	stuck.hold();
	const LetGo at_end(stuck);
	overwrite_some(origin);
	Child agent([&] { return snapshot.destroy(); });
	agent.wait_until_asleep();
	usleep(300000);
	agent.kill(SIGKILL);
	usleep(200000);
	stuck.let_go();
	const int status = agent.wait();
	EXPECT(status == 256 + SIGKILL || status == 0);
	EXPECT(wait_until([&] { return control.snapshots() == 0 || !snapshot.destroy(); }));
	EXPECT(!exists("/dev/blksnap-image0"));
}

// --- the module ------------------------------------------------------------------------------

TEST(the_module_goes_in_every_state_that_nobody_uses, .timeout_seconds = 180)
{
	const module::Reload reload;
	const NullDisk origin(64), store(64);
	Load load(origin, 0, 16 * kMib);
	for (const Step step : {Opened, Created, Appended, Taken, Asked, Destroyed}) {
		if (!module::is_loaded())
			REQUIRE_ERRNO(module::load(), 0);
		const Arrival arrival;
		Child agent([&] { return go_to(step, origin, store, arrival); });
		arrival.wait_for();
		EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK); // it has the node open
		EXPECT(dies(agent));
		load.wait_for(20);
		REQUIRE_ERRNO(module::unload(), 0);
		EXPECT(!exists("/dev/blksnap-image0"));
	}
	EXPECT_ERRNO(load.stop(), 0);
}

TEST(the_module_goes_with_a_lost_image, .timeout_seconds = 120)
{
	const module::Reload reload;
	const NullDisk origin(64), store(16);
	{
		const Control control;
		const blk_snap_uuid id = control.create({origin.number()});
		REQUIRE_ERRNO(control.try_append(id, store.number(), {{0, 2 * kMib}}), 0);
		REQUIRE_ERRNO(control.try_take(id), 0);
	}
	origin.fill(1, 0, 16 * kMib); // more than the store takes
	Bytes bytes(4096);
	EXPECT_ERRNO(Disk("/dev/blksnap-image0").try_read(0, bytes), EIO);
	EXPECT_ERRNO(module::unload(), 0);
	EXPECT(origin.holds(1, 0, 16 * kMib));
}

// Whoever is in a request keeps it.
TEST(the_module_stays_while_a_request_is_in_flight, .timeout_seconds = 180)
{
	const module::Reload reload;
	const module::Parameter patience("drain_timeout_ms", "20000");
	const NullDisk lower(64), lower_store(64);
	const Stuck origin(lower, 32 * kMib), store(lower_store, 64 * kMib);
	blk_snap_uuid id;
	{
		const Control control;
		id = control.create({origin.disk().number()});
		REQUIRE_ERRNO(control.try_append(id, store.disk().number(), {{0, 64 * kMib}}), 0);
	}
	const auto request = [&](auto &&call) {
		return [&, call] {
			const Control control;
			return call(control);
		};
	};
	const auto stays = [&](Child &agent) {
		agent.wait_until_asleep();
		usleep(300000);
		EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK);
	};
	{
		origin.hold();
		Child writer([&] { return BlockFile(origin.disk()).write(0, pattern(2, 8)); });
		writer.wait_until_asleep();
		Child take(request([&](const Control &control) { return control.try_take(id); }));
		stays(take);
		origin.let_go();
		EXPECT_EQ(writer.wait(), 0);
		EXPECT_EQ(take.wait(), 0);
	}
	{
		Child wait(request([&](const Control &control) {
			blk_snap_snapshot_event event{};
			event.id = id;
			event.timeout_ms = 60000;
			for (;;)
				if (control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, &event))
					return 0;
		}));
		stays(wait);
		EXPECT(dies(wait));
	}
	{
		store.hold();
		const LetGo at_end(store);
		overwrite_some(origin.disk());
		Child destroy(
			request([&](const Control &control) { return control.try_destroy(id); }));
		stays(destroy);
		store.let_go();
		EXPECT_EQ(destroy.wait(), 0);
	}
	EXPECT_ERRNO(module::unload(), 0);
}

// Of a disk with a request queue: create waits for what is in there since before the attach.
TEST(the_module_stays_while_a_create_waits_for_older_writes, .timeout_seconds = 120)
{
	const module::Reload reload;
	const ScsiDisk origin({"dev_size_mb=64", "delay=0"});
	const std::string delay = "/sys/bus/pseudo/drivers/scsi_debug/delay"; // in jiffies
	settle_udev();
	REQUIRE(wait_until([&] { return write_file(delay, "750") == 0; })); // not while it is busy
	const Arrival returned;
	// Open until the disk is quick again: udev reads one that a writer has closed, piece by piece.
	std::optional<BlockFile> file(std::in_place, origin);
	Child writer([&] { return file->write(0, pattern(2, 8)); });
	writer.wait_until_asleep();
	Child create([&] {
		const Control control;
		(void)control.create({origin.number()});
		returned.tell();
		return 0;
	});
	create.wait_until_asleep();
	EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK);
	EXPECT(!returned.is_told());
	EXPECT_EQ(writer.wait(), 0);
	EXPECT_EQ(create.wait(), 0);
	EXPECT(wait_until([&] { return write_file(delay, "0") == 0; }));
	file.reset();
	EXPECT_ERRNO(module::unload(), 0);
	EXPECT(origin.read(0, 8) == pattern(2, 8));
}

namespace
{

// A snapshot that is held, and belongs to nobody. The first half of the store is given.
blk_snap_uuid hold(const Disk &origin, const Disk &store)
{
	const Control control;
	const blk_snap_uuid id = control.create({origin.number()});
	REQUIRE_ERRNO(control.try_append(id, store.number(), {{0, store.sectors() / 2}}), 0);
	REQUIRE_ERRNO(control.try_take(id), 0);
	return id;
}

} // namespace

// They reach for memory of their program, which is not there yet.
TEST(the_module_stays_while_a_request_waits_for_memory, .timeout_seconds = 120)
{
	const module::Reload reload;
	const NullDisk origin(64), store(64);
	const blk_snap_uuid id = hold(origin, store);
	const blk_snap_dev device = origin.number();
	const auto stays = [](unsigned long number, void *argument, const MissingPage &page,
			      const blk_snap_block_range &content) {
		int error = -1;
		std::thread agent([&] { error = Control().try_call(number, argument); });
		EXPECT(page.is_asked_for(30000));
		EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK);
		page.provide(&content, sizeof(content));
		agent.join();
		EXPECT_ERRNO(error, 0);
	};
	{
		const MissingPage page;
		blk_snap_snapshot_append_storage append{};
		append.id = id;
		append.dev_id = store.number();
		append.count = 1;
		append.ranges = static_cast<blk_snap_block_range *>(page.get());
		stays(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &append, page,
		      {32 * kMib, 32 * kMib});
	}
	{
		const MissingPage page;
		blk_snap_tracker_mark_dirty_blocks dirty{};
		dirty.dev_id = device;
		dirty.count = 1;
		dirty.dirty_blocks_array = static_cast<blk_snap_block_range *>(page.get());
		stays(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty, page, {5 * 128, 1});
	}
	{
		const MissingPage page;
		blk_snap_tracker_read_cbt_bitmap read{};
		read.dev_id = device;
		read.length = 1024;
		read.buff = static_cast<__u8 *>(page.get());
		stays(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &read, page, {0, 0});
		const auto *map = static_cast<const unsigned char *>(page.get());
		EXPECT(map[5] != 0 && map[4] == 0 && map[6] == 0);
	}
	EXPECT_ERRNO(module::unload(), 0);
}

// Either somebody has the node open, or the module goes; what comes then finds no node.
TEST(the_module_goes_or_stays_under_a_storm_of_requests, .timeout_seconds = 180)
{
	const module::Reload reload;
	const NullDisk origin(64), other(16), store(64);
	const blk_snap_dev device = origin.number(), store_number = store.number();
	std::atomic<bool> stop = false;
	std::atomic<unsigned> appended = 0, marked = 0, read = 0, created = 0, absent = 0;
	std::atomic<std::uint64_t> next = 0;
	blk_snap_uuid id{};
	std::mutex id_lock;
	const auto requests = [&] {
		const Control control;
		blk_snap_uuid now_held;
		{
			const std::lock_guard guard(id_lock);
			now_held = id;
		}
		const std::uint64_t at = 32 * kMib + next++ * 8 % (32 * kMib);
		appended += !control.try_append(now_held, store_number, {{at, 8}});
		marked += !mark_dirty(control, device, {{0, 1}});
		created += !try_create(control, {other.number()});
		Bytes map(1024);
		blk_snap_tracker_read_cbt_bitmap argument{device, 0, 1024, map.data()};
		read += !control.try_call(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &argument);
	};
	const auto storm = [&] {
		while (!stop) {
			try {
				requests();
			} catch (const std::system_error &) {
				absent++;
			}
			usleep(1000);
		}
	};
	std::thread one(storm), two(storm);
	unsigned gone = 0, kept = 0;
	for (unsigned round = 0; round < 5; round++) {
		if (!module::is_loaded())
			EXPECT_ERRNO(module::load(), 0);
		const blk_snap_uuid held = hold(origin, store);
		{
			const std::lock_guard guard(id_lock);
			id = held;
		}
		const unsigned before = read;
		EXPECT(wait_until([&] { return read > before + 3; }));
		int error = EWOULDBLOCK;
		EXPECT(wait_until([&] {
			error = module::try_unload();
			kept += error == EWOULDBLOCK || error == EBUSY;
			return error != EWOULDBLOCK && error != EBUSY;
		}));
		EXPECT_ERRNO(error, 0);
		gone += error == 0;
		usleep(20000);
	}
	stop = true;
	one.join();
	two.join();
	note("%u appends, %u marks, %u reads, %u creates; no node %u times; it stayed %u times",
	     appended.load(), marked.load(), read.load(), created.load(), absent.load(), kept);
	EXPECT_EQ(gone, 5u);
	EXPECT(appended && marked && created && absent);
}
