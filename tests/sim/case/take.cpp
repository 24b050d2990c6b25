// SPDX-License-Identifier: GPL-2.0
//
// Cases: taking.
#include <case/stage.hpp>
#include <array>
#include <world/counts.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

// Of a take that is cancelled, one that is undone, one that begins a new generation, and a destroy.
std::array<u64, 4> grace_periods(Stage &stage, u32 devices)
{
	std::vector<Device *> disks;
	for (u32 i = 0; i < devices; i++)
		disks.push_back(&stage.disk(64));
	Device &store = stage.store(1024);
	for (Device *disk : disks)
		stage.age(*disk, store, 255);
	SnapshotModel &snapshot = stage.create(disks);
	stage.append(snapshot, store);
	const auto count = [](auto &&call) {
		const u64 before = counts.grace_periods;
		call();
		return counts.grace_periods - before;
	};
	disks[0]->hung = true;
	stage.spawn("writer", [&] { SIM_EXPECT(stage.write(*disks[0], 8, 8) == 0); });
	while (disks[0]->stuck.empty())
		scheduler().sleep(1000);
	const u64 cancelled = count([&] { SIM_EXPECT(stage.try_take(snapshot) == -16); });
	disk_resume(*disks[0]);
	stage.join();
	world().failing_image_adds = 1;
	const u64 undone = count([&] { SIM_EXPECT(stage.try_take(snapshot) == -12); });
	const u64 renewed = count([&] { stage.take(snapshot); });
	return {cancelled, undone, renewed, count([&] { stage.destroy(snapshot); })};
}

} // namespace

// Nothing is frozen then, and somebody else can take it.
void killed_taker_takes_nothing(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(64);
	Device &store = stage.store(1024);
	disk.has_fs = true;
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, store);
	world().killed_taker_permille = 1000;
	SIM_EXPECT(stage.try_take(snapshot) == -4);
	SIM_EXPECT(!disk.frozen);
	world().killed_taker_permille = 0;
	stage.take(snapshot);
	stage.destroy(snapshot);
}

// The next take does not wait for a freeze that the one before gave up, nor does it go on without it.
void late_freeze_refuses_takes(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(64);
	Device &store = stage.store(1024);
	disk.has_fs = true;
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, store);
	world().freeze_timeout_permille = 1000;
	world().late_freeze_us = 100'000;
	SIM_EXPECT(stage.try_take(snapshot) == -110);
	SIM_EXPECT(stage.try_take(snapshot) == -16);
	world().freeze_timeout_permille = 0;
	scheduler().sleep(100'000);
	stage.take(snapshot);
	stage.destroy(snapshot);
}

// Thawing writes to the device, after copy-on-write is on. If the store does not answer and the pages
// are used up, only the watch can end that wait, and with it the take.
void watch_runs_before_the_thaw(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	disk.has_fs = true;
	stage.limit_pages(1);
	world().params.cow_timeout_ms = 2000;
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, store);
	store.hung = true;
	for (u32 i = 1; i <= 8; i++)
		stage.spawn("writer", [&, i] {
			for (u32 n = 0; n < 4; n++)
				SIM_EXPECT(stage.write(disk, i * 8, 8) == 0);
		});
	stage.take(snapshot);
	disk_resume(store);
	stage.join();
	stage.destroy(snapshot);
}

// An event comes once for each image, not for each device in the life of the snapshot.
void loss_is_told_again_after_a_retake(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	disk.has_fs = true; // whose thaw writes, and needs a copy
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, store);
	disk.faults.read_permille = 1000;
	world().failing_image_adds = 1;
	SIM_EXPECT(stage.try_take(snapshot) == -12);
	agent_ioctl::Event event;
	const bool reads_it = world().random.one_in(2);
	if (reads_it)
		stage.next_event(snapshot, event);
	disk.faults.read_permille = 0;
	stage.take(snapshot);
	SIM_EXPECT(stage.next_event(snapshot, event) == -2); // the old one is not of this image
	disk.faults.read_permille = 1000;
	SIM_EXPECT(stage.write(disk, 64, 8) == 0);
	stage.expect_corrupted(snapshot, disk, 5);
	SIM_EXPECT(stage.next_event(snapshot, event) == -2);
	disk.faults.read_permille = 0;
	stage.destroy(snapshot);
}

void take_is_refused(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	SnapshotModel &snapshot = stage.create({&disk});
	SIM_EXPECT(stage.try_create({&disk}) == -114);
	SIM_EXPECT(stage.try_take(snapshot) == -28);
	std::vector<agent_ioctl::Image> images;
	SIM_EXPECT(agent_ioctl::collect_images(snapshot.id, images) == -19);
	std::vector<u8> map;
	SIM_EXPECT(agent_ioctl::read_map(disk, map) == -1);
	SIM_EXPECT(agent_ioctl::read_map(store, map) == -61);
	SIM_EXPECT(stage.try_append(snapshot, store, 1, 6) == 0); // holds no unit
	SIM_EXPECT(stage.try_take(snapshot) == -28);
	SIM_EXPECT(stage.try_append(snapshot, store, 8, 1016) == 0);
	stage.take(snapshot);
	SIM_EXPECT(agent_ioctl::take(snapshot.id) == -114);
	SIM_EXPECT(stage.try_create({&snapshot.images[0]->image}) == -22);
	stage.destroy(snapshot);
	SIM_EXPECT(agent_ioctl::destroy(snapshot.id) == -19);
	SIM_EXPECT(agent_ioctl::collect_images(snapshot.id, images) == -3);
	agent_ioctl::Event event;
	SIM_EXPECT(agent_ioctl::wait_event(snapshot.id, 0, event) == -3);
	SIM_EXPECT(stage.try_append(snapshot, store, 0, 8) == -3);
	SnapshotModel &second = stage.create({&disk});
	stage.append(second, store);
	disk.removed = true;
	SIM_EXPECT(stage.try_take(second) == -19);
	stage.destroy(second);
	SIM_EXPECT(stage.try_create({&disk}) == -6);
	SIM_EXPECT(agent_ioctl::remove_tracker(disk) == -6);
}

// A take that cannot drain gives up and leaves everything as it was.
void writes_that_do_not_end(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &other = stage.disk(256);
	Device &store = stage.store(1024);
	SnapshotModel &snapshot = stage.create({&disk, &other});
	stage.append(snapshot, store);
	disk.hung = true;
	stage.spawn("writer", [&] { SIM_EXPECT(stage.write(disk, 8, 8) == 0); });
	while (disk.stuck.empty())
		scheduler().sleep(1000);
	stage.spawn("late-writer", [&] {
		scheduler().sleep(1000);
		SIM_EXPECT(stage.write(other, 8, 8) == 0); // waits at the gate
	});
	const u64 begin = scheduler().now();
	SIM_EXPECT(stage.try_take(snapshot) == -16);
	SIM_EXPECT(scheduler().now() - begin >= 5'000'000);
	SIM_EXPECT(scheduler().now() - begin < 7'000'000);
	SIM_EXPECT(stage.info(disk).snap_number == 0);
	disk_resume(disk);
	stage.join();
	stage.take(snapshot);
	SIM_EXPECT(stage.info(disk).snap_number == 1);
	SIM_EXPECT(stage.map(disk)[1] == 1 && stage.map(other)[1] == 1);
	stage.destroy(snapshot);
}

// Writes from before the first tracker are waited for, not for ever.
void older_writes_do_not_end(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	disk.hung = true;
	stage.spawn("writer", [&] { SIM_EXPECT(stage.write(disk, 8, 8) == 0); });
	while (disk.stuck.empty())
		scheduler().sleep(1000);
	const u64 begin = scheduler().now();
	SnapshotModel &snapshot = stage.create({&disk});
	SIM_EXPECT(scheduler().now() - begin >= 1'000'000);
	disk_resume(disk);
	stage.join();
	stage.append(snapshot, store);
	stage.take(snapshot);
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 256) == 0);
	stage.destroy(snapshot);
}

// The limit is one for all: the gates of all are closed until the last has drained.
void drain_limit_is_for_all(History &history)
{
	Stage stage(history);
	Device &slow = stage.disk(256);
	Device &dead = stage.disk(256);
	SnapshotModel &snapshot = stage.create({&slow, &dead});
	stage.append(snapshot, stage.store(1024));
	slow.hung = dead.hung = true;
	for (Device *disk : {&slow, &dead})
		stage.spawn("writer", [&, disk] { SIM_EXPECT(stage.write(*disk, 8, 8) == 0); });
	while (slow.stuck.empty() || dead.stuck.empty())
		scheduler().sleep(1000);
	stage.spawn("resume", [&] {
		scheduler().sleep(4'000'000);
		disk_resume(slow);
	});
	const u64 begin = scheduler().now();
	SIM_EXPECT(stage.try_take(snapshot) == -16);
	SIM_EXPECT(scheduler().now() - begin < 7'000'000);
	disk_resume(dead);
	stage.join();
	stage.take(snapshot);
	stage.destroy(snapshot);
}

// A map is readable only while its snapshot is taken: not while it is about to be, which may come to nothing.
void map_of_a_take_that_fails(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, stage.store(1024));
	bool stop = false;
	stage.spawn("reader", [&] {
		std::vector<u8> map;
		while (!stop)
			SIM_EXPECT(agent_ioctl::read_map(disk, map) == -1);
	});
	for (u32 i = 0; i < 5; i++) {
		world().failing_image_adds = 1;
		SIM_EXPECT(stage.try_take(snapshot) == -12);
	}
	stop = true;
	stage.join();
	stage.take(snapshot);
	SIM_EXPECT(stage.map(disk).size() == 32);
	stage.destroy(snapshot);
}

// They take long, the control's mutex may be held, and a snapshot may have hundreds of devices.
void grace_periods_are_for_all(History &history)
{
	Stage stage(history);
	world().params.drain_timeout_ms = 10;
	const auto one = grace_periods(stage, 1);
	const auto many = grace_periods(stage, 3);
	for (u32 i = 0; i < one.size(); i++)
		SIM_EXPECT(one[i] == many[i]);
}

// What dm hands down after a suspension comes in a row from one worker: a write from before the tracker,
// which finds no record, before those that have all of them.
void deferred_writes_meet_a_crowd(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(1024);
	Device &dm = stage.stacked(disk);
	world().params.parked_limit = 1;
	std::vector<std::unique_ptr<ForeignIo>> writes;
	const auto write = [&] {
		writes.push_back(std::make_unique<ForeignIo>(dm, Op::Write, writes.size() * 8, 8));
		ForeignIo &newest = *writes.back();
		stage.spawn("writer", [&newest] {
			newest.submit();
			newest.wait();
		});
		scheduler().sleep(1000);
	};
	dm.suspended = true;
	write();
	SIM_EXPECT(stage.try_create({&dm}) == 0);
	world().memory.faults.nowait_permille = 1000;
	while (writes.size() < 70)
		write();
	SIM_EXPECT(dm.deferred.size() < writes.size() - 2); // the others are parked
	linear_resume(dm);
	stage.join();
	world().memory.faults.nowait_permille = 0;
}

// What the upper disk was given before the take comes to the lower one in the middle of it, and must pass.
void write_on_its_way_down_is_waited_for(History &history)
{
	Stage stage(history);
	Device &lower = stage.stacked(stage.disk(256));
	Device &upper = stage.stacked(lower);
	world().params.drain_timeout_ms = 100;
	SnapshotModel &snapshot = stage.create({&lower, &upper});
	stage.append(snapshot, stage.store(1024));
	upper.suspended = true;
	stage.spawn("writer", [&] { SIM_EXPECT(stage.write(upper, 8, 8) == 0); });
	while (upper.deferred.empty())
		scheduler().sleep(1000);
	stage.spawn("resume", [&] {
		scheduler().sleep(30'000); // it is being taken
		linear_resume(upper);
	});
	stage.take(snapshot);
	stage.join();
	stage.destroy(snapshot);
}

// Only disks that stand on each other are held up one after the other: the others share one wait.
void stacks_side_by_side_are_held_up_together(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256), &other = stage.disk(256);
	Device &upper = stage.stacked(disk), &other_upper = stage.stacked(other);
	world().params.drain_timeout_ms = 100;
	SnapshotModel &snapshot = stage.create({&upper, &other_upper, &disk});
	stage.append(snapshot, stage.store(1024));
	for (Device *lower : {&disk, &other}) {
		Device &silent = lower == &disk ? upper : other_upper;
		Device &good = lower == &disk ? other_upper : upper;
		lower->hung = true;
		stage.spawn("writer", [&] { SIM_EXPECT(stage.write(silent, 8, 8) == 0); });
		while (lower->stuck.empty())
			scheduler().sleep(1000);
		bool written = false;
		stage.spawn("writer", [&] {
			scheduler().sleep(30'000); // it is being taken
			SIM_EXPECT(stage.write(good, 16, 8) == 0);
			written = true;
		});
		stage.spawn("witness", [&] {
			scheduler().sleep(80'000);
			SIM_EXPECT(!written);
		});
		SIM_EXPECT(stage.try_take(snapshot) == -16);
		disk_resume(*lower);
		stage.join();
	}
	stage.take(snapshot);
	stage.destroy(snapshot);
}

// Who waits because too many are parked goes on when they go, not when he has waited long enough.
void crowd_is_let_in(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &other = stage.disk(256);
	world().params.parked_limit = 1;
	world().params.drain_timeout_ms = 20;
	SnapshotModel &snapshot = stage.create({&disk, &other});
	stage.append(snapshot, stage.store(1024));
	disk.hung = true;
	stage.spawn("writer", [&] { SIM_EXPECT(stage.write(disk, 8, 8) == 0); });
	while (disk.stuck.empty())
		scheduler().sleep(1000);
	u64 last = 0;
	stage.spawn("crowd", [&] {
		scheduler().sleep(5000);
		for (const u64 sector : {0, 8, 16, 24})
			stage.spawn("writer", [&, sector] {
				SIM_EXPECT(stage.write(other, sector, 8) == 0);
				last = scheduler().now();
			});
	});
	SIM_EXPECT(stage.try_take(snapshot) == -16);
	const u64 opened = scheduler().now();
	disk_resume(disk);
	stage.join();
	SIM_EXPECT(last < opened + 40'000);
	stage.destroy(snapshot);
}

} // namespace sim
