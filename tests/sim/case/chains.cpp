// SPDX-License-Identifier: GPL-2.0
//
// Cases: chains of bios, of which each ends only after the one before it. Some are admitted, others are parked.
#include <case/stage.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

// A disk under a snapshot whose store hangs, and with it the memory for copies; another snapshot of a part of the
// disk is to be taken.
struct Scene {
	explicit Scene(Stage &stage, u32 pages)
		: disk(stage.disk(256)),
		  part(world().add_device(DeviceKind::Partition, "part", 64, &disk, 128)),
		  store(stage.store(1024))
	{
		stage.limit_pages(pages);
	}

	Device &disk, &part, &store;
};

SnapshotModel &created(Stage &stage, const std::vector<Device *> &origins)
{
	SnapshotModel &snapshot = stage.create(origins);
	stage.append(snapshot, stage.store(1024));
	return snapshot;
}

void take_soon(Stage &stage, SnapshotModel &snapshot)
{
	const u64 begin = scheduler().now();
	stage.take(snapshot);
	SIM_EXPECT(scheduler().now() - begin < 1'000'000);
}

void resume_soon(Stage &stage, Device &device)
{
	stage.spawn("resume", [&device] {
		scheduler().sleep(50'000);
		disk_resume(device);
	});
}

void meet_the_gate(Stage &stage, u32 bios)
{
	Scene scene(stage, 1);
	SnapshotModel &snapshot = stage.taken(scene.disk, scene.store);
	SnapshotModel &next = created(stage, {&scene.part});
	scene.store.hung = true;
	SIM_EXPECT(stage.write(scene.disk, 8 * (bios - 1), 8) == 0); // keeps the only page
	ForeignIo chain(scene.disk, Op::Write, 0, 8 * bios);
	for (u32 i = 1; i < bios; i++)
		chain.chain(8);
	chain.submit();
	scheduler().sleep(50'000);
	SIM_EXPECT(!chain.done());
	resume_soon(stage, scene.store);
	take_soon(stage, next);
	chain.wait();
	stage.join();
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 8 * bios) == 0);
	stage.destroy(next);
	stage.destroy(snapshot);
}

} // namespace

// The first waits for a copy when the gate closes, the second has passed.
void chain_meets_the_gate(History &history)
{
	Stage stage(history);
	meet_the_gate(stage, 2);
}

// The last has passed. The first asks before the second, on which alone the last waits.
void long_chain_meets_the_gate(History &history)
{
	Stage stage(history);
	meet_the_gate(stage, 3);
}

// The one that ends last is submitted first; the gate closes before the others.
void backward_chain_meets_the_gate(History &history)
{
	Stage stage(history);
	Scene scene(stage, 1);
	SIM_EXPECT(stage.try_create({&scene.disk}) == 0);
	SnapshotModel &next = created(stage, {&scene.part});
	ForeignIo chain(scene.disk, Op::Write, 0, 24);
	chain.chain(8);
	chain.chain(8);
	chain.submit_backwards();
	chain.submit_first();
	stage.spawn("others", [&chain] {
		scheduler().sleep(20'000);
		chain.submit_others();
	});
	take_soon(stage, next);
	chain.wait();
	stage.join();
	stage.destroy(next);
}

// The page that is free goes to a write that does not get past the gate.
void page_is_passed_on_at_the_gate(History &history)
{
	Stage stage(history);
	Scene scene(stage, 2);
	Device &small = world().add_device(DeviceKind::Disk, "small", 8, nullptr, 0);
	world().store_ranges.push_back({&small, 0, 8, nullptr, true});
	SnapshotModel &snapshot = stage.create({&scene.disk});
	stage.append(snapshot, small);
	stage.append(snapshot, scene.store);
	stage.take(snapshot);
	SnapshotModel &next = created(stage, {&scene.part});
	small.hung = scene.store.hung = true;
	SIM_EXPECT(stage.write(scene.disk, 64, 8) == 0); // fills the small store
	SIM_EXPECT(stage.write(scene.disk, 8, 8) == 0);	 // the last page
	stage.spawn("writer", [&] { SIM_EXPECT(stage.write(scene.disk, 96, 8) == 0); });
	scheduler().sleep(50'000);
	ForeignIo chain(scene.disk, Op::Write, 0, 16);
	chain.chain(8);
	chain.submit();
	scheduler().sleep(50'000);
	SIM_EXPECT(!chain.done());
	resume_soon(stage, small);
	take_soon(stage, next);
	chain.wait();
	disk_resume(scene.store);
	stage.join();
	stage.destroy(next);
	stage.destroy(snapshot);
}

// All records are out, with writes that wait for those that found none.
void chains_have_all_records(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(4096);
	SIM_EXPECT(stage.try_create({&disk}) == 0);
	std::vector<std::unique_ptr<ForeignIo>> chains;
	bool hold = true;
	u32 held = 0;
	const auto add = [&] {
		chains.push_back(
			std::make_unique<ForeignIo>(disk, Op::Write, chains.size() * 16, 16));
		return chains.back().get();
	};
	world().memory.faults.nowait_permille = 1000;
	disk.hung = true;
	for (u32 i = 0; i < 64; i++) { // these have the records
		add()->submit();
		while (disk.stuck.size() <= i)
			scheduler().sleep(1000);
	}
	for (u32 i = 0; i < 64; i++) { // these are parked
		ForeignIo *chain = add();
		chain->chain(8);
		if (i == 0)
			chain->submit_backwards();
		chain->submit_first();
	}
	world().on_release = [&] {
		held++;
		while (hold)
			scheduler().sleep(100);
	};
	disk_resume(disk);
	while (!held) // the worker is busy with the last bio of the first chain
		scheduler().sleep(100);
	scheduler().sleep(50'000); // and the others have ended
	for (std::size_t i = chains.size(); i-- > chains.size() - 64;)
		chains[i]->submit_others();
	hold = false;
	scheduler().sleep(50'000);
	SIM_EXPECT(!chains.back()->done());
	world().memory.faults.nowait_permille = 0;
	const u64 begin = scheduler().now();
	for (auto &chain : chains)
		chain->wait();
	SIM_EXPECT(scheduler().now() - begin < 2'000'000);
	world().on_release = nullptr;
}

} // namespace sim
