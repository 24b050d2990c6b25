// SPDX-License-Identifier: GPL-2.0
//
// Cases: what may be given as diff storage.
#include <case/stage.hpp>
#include <world/report.hpp>

namespace sim
{

// The destroy waits for a store that does not answer. The sectors that its snapshot covered are free
// all the same.
void append_while_another_ends(History &history)
{
	Stage stage(history);
	Device &covered = stage.disk(256);
	Device &other = stage.disk(256);
	Device &store = stage.store(1024);
	SnapshotModel &ending = stage.taken(covered, store);
	SnapshotModel &snapshot = stage.create({&other});
	SIM_EXPECT(stage.try_append(snapshot, covered, 128, 64) == -16);
	store.hung = true;
	SIM_EXPECT(stage.write(covered, 0, 8) == 0);
	scheduler().sleep(50'000); // its copy is on the way
	stage.spawn("destroyer", [&] { stage.destroy(ending); });
	while (!ending.ending())
		scheduler().sleep(10);
	scheduler().sleep(world().random.below(200));
	world().store_ranges.push_back({&covered, 128, 64, &snapshot, true});
	long result = -16;
	for (u32 i = 0; i < 5 && result == -16; i++) {
		scheduler().sleep(1000);
		result = stage.try_append(snapshot, covered, 128, 64);
	}
	SIM_EXPECT(result == 0);
	// What is still written to stays taken.
	SIM_EXPECT(stage.try_append(snapshot, store, 0, 1024) == -22);
	disk_resume(store);
	stage.join();
	SIM_EXPECT(stage.try_append(snapshot, store, 0, 1024) == 0);
	stage.take(snapshot);
	SIM_EXPECT(stage.write(other, 0, 256) == 0);
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 256) == 0);
	stage.destroy(snapshot);
}

void storage_is_refused(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &upper = stage.stacked(disk);
	Device &store = stage.store(1024);
	Device &nothing = stage.disk(256);
	nothing.untrackable = 95;
	SIM_EXPECT(stage.try_create({&nothing}) == -95);
	SIM_EXPECT(stage.try_create({&disk, &nothing}) == -95);
	SIM_EXPECT(stage.try_create({&disk, &disk}) == -22);
	SIM_EXPECT(stage.try_create({}) == -22);
	{
		SnapshotModel &snapshot = stage.create({&disk});
		store.block_bytes = 4096;
		SIM_EXPECT(stage.try_append(snapshot, store, 0, 1024) == -22);
		store.block_bytes = 512;
		store.unstorable = 30;
		SIM_EXPECT(stage.try_append(snapshot, store, 0, 1024) == -30);
		store.unstorable = 0;
		SIM_EXPECT(stage.try_append(snapshot, upper, 0, 64) == -22);
		SIM_EXPECT(agent_ioctl::append(snapshot.id, store, nullptr, 0) == 0);
		SIM_EXPECT(store.opens == 0); // nothing was given
		stage.destroy(snapshot);
	}
	// The other way round: the store came first, tracked or not.
	Device &other = stage.disk(256);
	SnapshotModel &stores = stage.create({&other});
	SIM_EXPECT(stage.try_append(stores, upper, 0, 64) == 0);
	SIM_EXPECT(stage.try_create({&disk}) == -16);
	SIM_EXPECT(agent_ioctl::remove_tracker(disk) == 0);
	SIM_EXPECT(stage.try_create({&disk}) == -16);
	// What a device stands on may be changed while it is a store. Then it is found at the take.
	upper.visible_stack = false;
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, store);
	upper.visible_stack = true;
	SIM_EXPECT(stage.try_take(snapshot) == -16);
	stage.destroy(snapshot);
	stage.destroy(stores);
	SIM_EXPECT(stage.try_create({&disk}) == 0);
}

// By parameter such storage is accepted: those sectors of the image read as zeroes from then on, and
// writes to the image are refused there.
void storage_on_a_taken_snapshot(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	world().params.storage_on_origin_after_take = 1;
	SnapshotModel &snapshot = stage.taken(disk, store);
	ImageModel &image = *snapshot.images[0];
	SIM_EXPECT(stage.read(image, 0, 256) == 0);
	bool stop = false;
	scheduler().steal_often();
	for (u32 n = 0; n < 2; n++) {
		stage.spawn("image-writer", [&, n] {
			for (u32 i = n; !stop; i++) {
				ForeignIo io(image.image, Op::Write, 120 + i % 64, 8, &image);
				io.submit();
				io.wait();
			}
		});
		stage.spawn("image-reader", [&, n] {
			while (!stop)
				stage.read(image, 176 + n, 16);
		});
	}
	scheduler().sleep(world().random.below(3000));
	world().store_ranges.push_back({&disk, 128, 64, &snapshot, true});
	image.on_store_offered(128, 64);
	SIM_EXPECT(stage.try_append(snapshot, disk, 128, 64) == 0);
	image.on_store_given(128, 64);
	for (u32 i = 0; i < 4; i++)
		SIM_EXPECT(stage.read(image, 128 + 8 * i, 32) == 0);
	stop = true;
	stage.join();
	SIM_EXPECT(stage.read(image, 0, 256) == 0);
	stage.destroy(snapshot);
}

// Storage was accepted, and what lies there cannot be told to the image: it is lost. Or nothing was
// accepted, and nothing has changed.
void no_memory_to_exclude(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	world().params.storage_on_origin_after_take = 1;
	world().store_ranges.push_back({&disk, 128, 64, nullptr, true});
	u32 lost = 0;
	for (u64 nth = 1; nth < 16; nth++) {
		SnapshotModel &snapshot = stage.taken(disk, store);
		ImageModel &image = *snapshot.images[0];
		world().memory.fail_nth(nth);
		const long result = stage.try_append(snapshot, disk, 128, 64);
		world().memory.fail_nth(0);
		SIM_EXPECT(result == 0 || result == -12);
		if (!result)
			image.on_store_given(128, 64);
		const int status = stage.read(image, 0, 256);
		SIM_EXPECT(status == 0 || (status == 5 && result == 0));
		if (status) {
			stage.expect_corrupted(snapshot, disk, 12);
			lost++;
		}
		stage.destroy(snapshot);
	}
	SIM_EXPECT(lost == 2);
}

// Every other block of some, from behind, so that no two of them are remembered as one.
void write_apart(Stage &stage, Device &disk, u64 first, u64 end)
{
	while (end > first) {
		end -= 16;
		SIM_EXPECT(stage.write(disk, end, 8) == 0);
	}
	scheduler().sleep(100'000);
}

// Copies are made, and there is no memory to remember where they are stored. For some hundred there is a
// reserve, since who frees memory may be waiting for them; then the image is lost, the writes are not.
void no_memory_to_store(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(65536);
	Device &store = stage.store(65536);
	SnapshotModel &snapshot = stage.taken(disk, store);
	ImageModel &image = *snapshot.images[0];

	world().memory.faults.any_permille = 1000;
	write_apart(stage, disk, 57344, 65536);
	world().memory.faults.any_permille = 0;
	SIM_EXPECT(stage.read(image, 57344, 256) == 0);

	world().memory.faults.any_permille = 1000;
	write_apart(stage, disk, 0, 57344);
	world().memory.faults.any_permille = 0;
	SIM_EXPECT(stage.read(image, 0, 256) == 5);
	stage.expect_corrupted(snapshot, disk, 12);
	stage.destroy(snapshot);
}

// What lies on an origin and is a store has no frozen content: a write there needs no copy, whoever
// makes it, and the image shows zeroes.
void writes_over_a_store(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, store); // comes first, and takes all copies
	SIM_EXPECT(stage.try_append(snapshot, disk, 128, 64) == 0);
	world().store_ranges.push_back({&disk, 128, 64, &snapshot, false});
	stage.take(snapshot);
	ImageModel &image = *snapshot.images[0];
	SIM_EXPECT(stage.write(disk, 136, 48) == 0);
	SIM_EXPECT(stage.write(disk, 100, 120) == 0);
	ForeignIo discard(disk, Op::Discard, 144, 32);
	discard.submit();
	discard.wait();
	SIM_EXPECT(discard.status() == 0);
	SIM_EXPECT(stage.read(image, 0, 256) == 0);
	SIM_EXPECT(image.cut(100) >> 36 == 0 && image.cut(219) >> 36 == 0);
	stage.destroy(snapshot);
}

// The same without a store that answers, and with no memory for copies: nothing is waited for.
void writes_over_a_store_need_no_copy(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	stage.limit_pages(1);
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, store);
	SIM_EXPECT(stage.try_append(snapshot, disk, 128, 64) == 0);
	world().store_ranges.push_back({&disk, 128, 64, &snapshot, false});
	stage.take(snapshot);
	store.hung = true;
	SIM_EXPECT(stage.write(disk, 0, 8) == 0); // takes the only page
	const u64 begin = scheduler().now();
	SIM_EXPECT(stage.write(disk, 128, 64) == 0);
	SIM_EXPECT(scheduler().now() - begin < 100'000);
	disk_resume(store);
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 256) == 0);
	stage.destroy(snapshot);
}

// Whatever number of blocks the store has: the image is there if all of them were enough, lost if not, and
// no write notices.
void store_is_full_at_each_point(History &history)
{
	constexpr u32 kBlocks = 16;
	Stage stage(history);
	Device &disk = stage.disk(kBlocks * 8);
	Device &store = stage.store(1024);
	for (u32 room = 1; room <= kBlocks + 1; room++) {
		SnapshotModel &snapshot = stage.create({&disk});
		snapshot.store_may_be_short = room < kBlocks;
		SIM_EXPECT(stage.try_append(snapshot, store, 0, room * 8) == 0);
		stage.take(snapshot);
		for (u32 block = 0; block < kBlocks; block++)
			stage.spawn("writer", [&stage, &disk, block] {
				SIM_EXPECT(stage.write(disk, block * 8, 8) == 0);
			});
		stage.join();
		scheduler().sleep(100'000);
		const int status = stage.read(*snapshot.images[0], 0, kBlocks * 8);
		SIM_EXPECT(status == (room < kBlocks ? 5 : 0));
		if (status)
			stage.expect_corrupted(snapshot, disk, 28);
		stage.destroy(snapshot);
	}
}

// Copies that go to a store on their own origin are no change of it.
void copies_are_no_changes(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(512);
	SnapshotModel &snapshot = stage.create({&disk});
	SIM_EXPECT(stage.try_append(snapshot, disk, 256, 256) == 0);
	world().store_ranges.push_back({&disk, 256, 256, &snapshot, false});
	stage.take(snapshot);
	SIM_EXPECT(stage.write(disk, 0, 200) == 0);
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 256) == 0);
	scheduler().sleep(200'000); // all of them are stored
	stage.destroy(snapshot);
	SnapshotModel &second = stage.taken(disk, stage.store(512));
	const std::vector<u8> map = stage.map(disk);
	for (u32 block = 0; block < 64; block++)
		SIM_EXPECT((map[block] != 0) == (block < 25));
	stage.destroy(second);
}

// By parameter a store is put where an image read is on its way, and written to before that arrives. The
// copy that is stored there was made before the read began, so nothing else tells it to look again.
void store_is_put_under_a_read(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(16);
	disk.latency_us = 1;
	world().params.storage_on_origin_after_take = 1;
	SnapshotModel &snapshot = stage.taken(disk, store);
	ImageModel &image = *snapshot.images[0];
	SIM_EXPECT(stage.read(image, 0, 256) == 0);
	SIM_EXPECT(stage.write(disk, 16, 16) == 0); // fills the store
	scheduler().sleep(100'000);
	SIM_EXPECT(stage.write(disk, 0, 8) == 0); // its copy is gathered for a moment
	disk.latency_us = 300'000;
	stage.spawn("reader", [&] { SIM_EXPECT(stage.read(image, 128, 64) == 0); });
	scheduler().sleep(100);
	disk.latency_us = 1;
	world().store_ranges.push_back({&disk, 128, 64, &snapshot, true});
	image.on_store_offered(128, 64);
	SIM_EXPECT(stage.try_append(snapshot, disk, 128, 64) == 0);
	image.on_store_given(128, 64);
	stage.join();
	SIM_EXPECT(stage.read(image, 0, 256) == 0);
	stage.destroy(snapshot);
}

// More is asked for when half of the last portion is used, each time.
void space_is_asked_for(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(1024);
	agent_ioctl::Event event;
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, stage.store(256)); // 32 blocks
	stage.take(snapshot);
	for (u32 portion = 0; portion < 3; portion++) {
		const u64 at = portion * 256;
		SIM_EXPECT(stage.write(disk, at, 15 * 8) == 0);
		scheduler().sleep(100'000);
		SIM_EXPECT(stage.next_event(snapshot, event) == -2);
		SIM_EXPECT(stage.write(disk, at + 15 * 8, 2 * 8) == 0);
		scheduler().sleep(100'000);
		SIM_EXPECT(stage.next_event(snapshot, event) == 0 && event.code == 0);
		SIM_EXPECT(event.requested == world().params.diff_storage_minimum);
		SIM_EXPECT(stage.write(disk, at + 17 * 8, 15 * 8) == 0);
		scheduler().sleep(100'000);
		SIM_EXPECT(stage.next_event(snapshot, event) == -2);
		stage.append(snapshot, stage.store(256));
	}
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 1024) == 0);
	stage.destroy(snapshot);
}

} // namespace sim
