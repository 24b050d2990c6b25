// SPDX-License-Identifier: GPL-2.0
//
// Cases: copies on their way, and who waits for them.
#include <case/stage.hpp>
#include <blksnap/base/mark.hpp>
#include <cstring>
#include <world/report.hpp>

extern "C" blksnap::CoverageMark __start_coverage_marks[] __attribute__((weak));
extern "C" blksnap::CoverageMark __stop_coverage_marks[] __attribute__((weak));

namespace sim
{

namespace
{

// A request to an image that nobody waits for at once.
class ImageWrite
{
public:
	ImageWrite(ImageModel &image, u64 sector, u32 sectors)
		: io_(image.image, Op::Write, sector, sectors, &image)
	{
		io_.submit();
	}
	~ImageWrite() { io_.wait(); }
	bool done() const { return io_.done(); }
	int status() const { return io_.status(); }

private:
	ForeignIo io_;
};

// How often the core came by.
u64 hits(const char *name)
{
	for (auto *mark = __start_coverage_marks; mark != __stop_coverage_marks; mark++)
		if (!std::strcmp(mark->name, name))
			return mark->hits;
	fail("case", "no such mark: %s", name);
}

} // namespace

// A walk over many blocks is made in slices, and a copy stays within its region: nothing between them is
// left out, nothing counts as preserved that is only about to be.
void large_writes(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(10000);
	Device &store = stage.store(16384);
	disk.max_sectors = world().random.one_in(4) ? 512 : 0;
	world().params.cow_memory_limit_kib = 16384;
	SnapshotModel &snapshot = stage.taken(disk, store);
	ImageModel &image = *snapshot.images[0];
	// The first slices of a walk are there already, each block in a place of its own; the others are not.
	for (u64 block = 300; block-- > 0;)
		SIM_EXPECT(stage.write(disk, block * 8, 8) == 0);
	scheduler().sleep(200'000);
	for (u32 i = 0; i < 3; i++) {
		stage.spawn("writer", [&] { SIM_EXPECT(stage.write(disk, 0, 10000) == 0); });
		stage.spawn("small", [&, i] {
			for (u64 at = i; at < 9990; at += 97)
				SIM_EXPECT(stage.write(disk, at, 8) == 0);
		});
	}
	for (u64 at = 0; at < 10000; at += 500)
		SIM_EXPECT(stage.read(image, at, 500) == 0);
	stage.join();
	for (u64 sector = 0; sector < 10000; sector++)
		SIM_EXPECT(image.cut(sector) >> 36 == 0);
	SIM_EXPECT(stage.read(image, 0, 10000) == 0);
	stage.destroy(snapshot);
}

// One large write across regions, whose copies the store does not take yet: each block of the image is
// read from them, and a second write needs no other, for which there would be no memory.
void large_copies_are_found(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(8192);
	Device &store = stage.store(16384);
	world().params.cow_memory_limit_kib = 7000 / 2;
	SnapshotModel &snapshot = stage.taken(disk, store);
	store.hung = true;
	SIM_EXPECT(stage.write(disk, 800, 7000) == 0);
	const u64 begin = scheduler().now();
	for (u64 sector = 800; sector < 7800; sector += 56)
		SIM_EXPECT(stage.write(disk, sector, 8) == 0);
	SIM_EXPECT(scheduler().now() - begin < 1'000'000);
	for (u64 sector = 0; sector < 8192; sector += 256)
		SIM_EXPECT(stage.read(*snapshot.images[0], sector, 256) == 0);
	disk_resume(store);
	scheduler().sleep(500'000);
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 8192) == 0);
	stage.destroy(snapshot);
}

// Every other block is preserved, so that each slice has copies to wait for. What is preserved is not
// looked at again on each wake: a device would be busy with a write of GiBs for minutes.
void long_zeroes_are_walked_once(History &history)
{
	constexpr u32 kBlocks = 4096, kSliceBlocks = 128;
	constexpr const char *kSlice = "diff_area: a slice of a write is preserved";
	Stage stage(history);
	Device &disk = stage.disk(kBlocks * 8);
	Device &store = stage.store(2 * kBlocks * 8);
	world().params.cow_memory_limit_kib = 65536;
	SnapshotModel &snapshot = stage.taken(disk, store);
	for (u64 block = 0; block < kBlocks; block += 2)
		SIM_EXPECT(stage.write(disk, block * 8, 8) == 0);
	const u64 before = hits(kSlice);
	ForeignIo io(disk, world().random.one_in(2) ? Op::WriteZeroes : Op::Erase, 0, kBlocks * 8);
	io.submit();
	io.wait();
	SIM_EXPECT(io.status() == 0);
	SIM_EXPECT(hits(kSlice) - before <= 2 * kBlocks / kSliceBlocks);
	for (u64 sector = 0; sector < kBlocks * 8; sector += 4096)
		SIM_EXPECT(stage.read(*snapshot.images[0], sector, 4096) == 0);
	stage.destroy(snapshot);
}

// What the block layer will refuse waits for no copy, though no memory is left for one.
void refused_writes_wait_for_nothing(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	stage.limit_pages(1);
	SnapshotModel &snapshot = stage.taken(disk, store);
	store.hung = true;
	SIM_EXPECT(stage.write(disk, 0, 8) == 0); // takes the only page
	const u64 begin = scheduler().now();
	for (const u64 sector : {u64{250}, u64{255}, u64{256}, u64{1000}}) {
		ForeignIo io(disk, Op::Write, sector, 8);
		io.expect_error(5);
		io.submit();
		io.wait();
	}
	SIM_EXPECT(scheduler().now() - begin < 100'000);
	disk_resume(store);
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 256) == 0);
	stage.destroy(snapshot);
}

// Two pages come back and two writes are woken, but the second needs none: it waits for the copy of the
// first. Then the third must have the page, though no other comes back: the store has stopped.
void page_is_passed_on(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &first = stage.store(16);
	Device &second = stage.store(1024);
	stage.limit_pages(3);
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, first);
	stage.append(snapshot, second);
	stage.take(snapshot);
	first.hung = second.hung = true;
	SIM_EXPECT(stage.write(disk, 0, 16) == 0); // fills the first store
	scheduler().sleep(50'000);		   // even if who has read its copy is held up
	SIM_EXPECT(stage.write(disk, 40, 8) == 0);
	u32 done = 0;
	for (const u64 sector : {80, 80, 120}) {
		stage.spawn("writer", [&, sector] {
			SIM_EXPECT(stage.write(disk, sector, 8) == 0);
			done++;
		});
		scheduler().sleep(50'000);
	}
	SIM_EXPECT(done == 0);
	disk_resume(first);
	scheduler().sleep(500'000);
	SIM_EXPECT(done == 3);
	disk_resume(second);
	stage.join();
	stage.destroy(snapshot);
}

// A store that is slow is not one that has stopped.
void slow_store_is_waited_for(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(1024);
	Device &store = stage.store(1024);
	stage.limit_pages(1);
	world().params.cow_timeout_ms = 2000;
	SnapshotModel &snapshot = stage.taken(disk, store);
	store.latency_us = 100'000; // and sometimes ten times as much
	const u64 begin = scheduler().now();
	for (u32 i = 0; i < 16; i++)
		stage.spawn("writer", [&, i] {
			for (u32 n = 0; n < 8; n++)
				SIM_EXPECT(stage.write(disk, (i * 8 + n) * 8, 8) == 0);
		});
	stage.join();
	SIM_EXPECT(scheduler().now() - begin > 2'500'000);
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 1024) == 0);
	stage.destroy(snapshot);
}

// A device does not answer reads, while copies of another member of the snapshot are stored all the time: they
// help nobody who waits for the first one, though that had copies in the store before.
void another_members_progress_is_none(History &history)
{
	Stage stage(history);
	Device &stuck = stage.disk(256);
	Device &busy = stage.disk(1024);
	Device &store = stage.store(2048);
	world().params.cow_timeout_ms = 2000;
	SnapshotModel &snapshot = stage.create({&stuck, &busy});
	stage.append(snapshot, store);
	stage.take(snapshot);
	SIM_EXPECT(stage.write(stuck, 128, 8) == 0);
	scheduler().sleep(500'000); // it is stored
	stuck.hung = true;
	stage.spawn("writer", [&] { SIM_EXPECT(stage.write(stuck, 0, 8) == 0); });
	for (u64 sector = 0; sector < 480; sector += 8) {
		SIM_EXPECT(stage.write(busy, sector, 8) == 0);
		scheduler().sleep(100'000);
	}
	stage.expect_corrupted(snapshot, stuck, 110);
	SIM_EXPECT(stage.read(*snapshot.images[1], 0, 1024) == 0);
	disk_resume(stuck);
	stage.join();
	stage.destroy(snapshot);
}

// It waits for its block to be stored. The store does not answer, but the image is lost for another
// reason: then nothing is waited for any more.
void image_write_ends_with_the_image(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	SnapshotModel &snapshot = stage.taken(disk, store);
	store.hung = true;
	SIM_EXPECT(stage.write(disk, 0, 8) == 0);
	{
		ImageWrite write(*snapshot.images[0], 0, 8);
		scheduler().sleep(100'000);
		SIM_EXPECT(!write.done());
		disk.faults.read_permille = 1000;
		SIM_EXPECT(stage.write(disk, 64, 8) == 0);
		stage.expect_corrupted(snapshot, disk, 5);
		scheduler().sleep(100'000);
		SIM_EXPECT(write.done() && write.status() == 5);
	}
	disk.faults.read_permille = 0;
	disk_resume(store);
	stage.destroy(snapshot);
}

// More copies are waited for than are looked at at once. All who wait go on, whoever it is that loses the
// image or ends it, and though copies complete meanwhile.
void loss_releases_a_crowd(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(4096);
	Device &store = stage.store(8192);
	Random &random = world().random;
	world().params.cow_memory_limit_kib = 16384;
	world().params.cow_timeout_ms = 2000;
	world().params.parked_limit = 1024;
	SnapshotModel &snapshot = stage.taken(disk, store);
	bool destroyed = false;
	u32 released = 0;
	world().on_release = [&] { released++; };
	disk.hung = true;
	for (u32 i = 0; i < 200; i++)
		stage.spawn("writer", [&, i] { SIM_EXPECT(stage.write(disk, i * 16, 8) == 0); });
	switch (random.below(3)) {
	case 0:
		scheduler().sleep(2'000'000);
		stage.expect_corrupted(snapshot, disk, 110);
		scheduler().sleep(100'000);
		SIM_EXPECT(released == 200);
		break;
	case 1:
		scheduler().sleep(random.between(1'900'000, 2'600'000));
		break;
	default:
		scheduler().sleep(random.below(100'000));
		stage.spawn("destroyer", [&] { stage.destroy(snapshot); });
		destroyed = true;
		scheduler().sleep(random.below(10'000));
	}
	disk_resume(disk);
	stage.join();
	world().on_release = nullptr;
	if (!destroyed)
		stage.destroy(snapshot);
}

// The store does not answer and has more copies than it takes at once, then the image is lost. They go piece
// by piece, and the image of another device is stored.
void loss_drops_many_copies(History &history)
{
	constexpr u32 kCopies = 1500;
	Stage stage(history);
	Device &disk = stage.disk(kCopies * 16);
	Device &other = stage.disk(256);
	Device &store = stage.store(kCopies * 16);
	world().params.cow_memory_limit_kib = 65536;
	SnapshotModel &snapshot = stage.create({&disk, &other});
	stage.append(snapshot, store);
	stage.take(snapshot);
	store.hung = true;
	for (u64 i = 1; i < kCopies; i++)
		SIM_EXPECT(stage.write(disk, i * 16, 8) == 0);
	SIM_EXPECT(stage.write(other, 0, 256) == 0);
	disk.faults.read_permille = 1000;
	SIM_EXPECT(stage.write(disk, 0, 8) == 0);
	stage.expect_corrupted(snapshot, disk, 5);
	disk.faults.read_permille = 0;
	const u64 before = hits("diff_storage: an image is lost with many copies");
	disk_resume(store);
	scheduler().sleep(500'000);
	SIM_EXPECT(hits("diff_storage: an image is lost with many copies") > before);
	SIM_EXPECT(stage.read(*snapshot.images[1], 0, 256) == 0);
	stage.destroy(snapshot);
}

// A parked write is released when nobody tracks its disk any more. While it is on its way down the disk is
// not taken away; and then it meets a new snapshot, for which too many writes are parked: who releases them
// all must not wait for that.
void released_write_meets_a_new_snapshot(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	Device &next_store = stage.store(1024);
	SIM_EXPECT(stage.try_create({&stage.disk(64)}) == 0); // the hook stays
	world().params.parked_limit = 1;
	stage.limit_pages(1);
	const auto park = [&](u64 first) { // of three one finds a page
		for (u64 sector = first; sector < first + 24; sector += 8) {
			stage.spawn("writer", [&stage, &disk, sector] {
				SIM_EXPECT(stage.write(disk, sector, 8) == 0);
			});
			scheduler().sleep(20'000);
		}
	};
	u32 released = 0, allowed = 0;
	bool destroyed = false;
	SnapshotModel &snapshot = stage.taken(disk, store);
	store.hung = true;
	park(0);
	world().on_release = [&] {
		for (const u32 number = released++; number >= allowed;)
			scheduler().sleep(100);
	};
	stage.spawn("destroyer", [&] {
		stage.destroy(snapshot);
		destroyed = true;
	});
	while (!released)
		scheduler().sleep(100);
	disk_resume(store);
	while (!destroyed)
		scheduler().sleep(100);
	SIM_EXPECT(agent_ioctl::remove_tracker(disk) == 0);
	allowed = 1;
	while (released < 2)
		scheduler().sleep(100);
	scheduler().sleep(2'500'000); // the sweep takes disks away
	SnapshotModel &next = stage.taken(disk, next_store);
	next_store.hung = true;
	park(128);
	allowed = ~0u;
	scheduler().sleep(50'000);
	disk_resume(next_store);
	const u64 begin = scheduler().now();
	stage.join();
	SIM_EXPECT(scheduler().now() < begin + 40'000); // the worker has not waited for itself
	world().on_release = nullptr;
	SIM_EXPECT(stage.read(*next.images[0], 0, 256) == 0);
	stage.destroy(next);
}

} // namespace sim
