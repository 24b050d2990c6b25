// SPDX-License-Identifier: GPL-2.0
//
// FakeCore: the data path. See the header.
#include <selftest/fake_core.hpp>

#include <algorithm>
#include <blksnap/port/control.h>
#include <blksnap/port/hook.h>
#include <blksnap/port/memory.h>
#include <blksnap/port/work.h>
#include <cstdlib>
#include <utility>
#include <world/bio.hpp>
#include <world/world.hpp>

namespace fake
{

Core *core;

Fault fault()
{
	static const Fault chosen = [] {
		const char *number = std::getenv("SIM_FAKE_FAULT");
		return static_cast<Fault>(number ? std::atoi(number) : 0);
	}();
	return chosen;
}

namespace
{

struct Wait {
	bool done = false;
	int error = 0;
};

template <class F> void wait_for(F condition)
{
	shim_waitqueue_wait(
		&core->moved, [](void *argument) -> int { return (*static_cast<F *>(argument))(); },
		&condition, 0, 0);
}

int read_device(Member &member)
{
	const shim_u64 sectors = member.info.sectors;
	for (shim_u64 at = 0; at < sectors; at += 8) {
		page *page = shim_page_alloc(SHIM_GFP_KERNEL);
		if (!page)
			return -12;
		member.pages.push_back(page);
		Wait wait;
		shim_io *io = shim_io_alloc(member.bdev, SHIM_IO_READ, at, 1, true);
		shim_io_add_page(io, page,
				 512 * static_cast<shim_u32>(std::min<shim_u64>(8, sectors - at)));
		shim_io_submit(io, &wait);
		wait_for([&] { return wait.done; });
		if (wait.error)
			return -wait.error;
	}
	return 0;
}

void zero_store(Member &member)
{
	for (const Range &range : core->ranges)
		for (shim_u64 i = 0; range.key == member.info.disk_key && i < range.sectors; i++) {
			const shim_u64 at = range.sector + i - member.info.start_sector;
			if (at < member.info.sectors)
				member.pages[at / 8]->stamp[at % 8] = 0;
		}
}

void open_gate(Disk &disk)
{
	disk.closed = false;
	for (bio *bio : std::exchange(disk.parked, {}))
		if (fault() != Fault::Forgets)
			shim_bio_submit(bio);
}

void close_gates(std::vector<Disk *> disks)
{
	std::stable_sort(disks.begin(), disks.end(),
			 [](Disk *a, Disk *b) { return a->rank > b->rank; });
	for (Disk *disk : disks) {
		disk->closed = true;
		wait_for([disk] { return disk->in_flight == 0; });
	}
}

int number_takes(Snapshot &snapshot)
{
	for (auto &member : snapshot.members)
		for (Tracker &tracker : core->trackers)
			if (tracker.major == member->info.major &&
			    tracker.minor == member->info.minor)
				tracker.number++;
	return 0;
}

} // namespace

Disk *disk_of(shim_bdev *bdev, const shim_bdev_info &info)
{
	for (auto &disk : core->disks)
		if (disk->key == info.disk_key)
			return disk.get();
	core->disks.push_back(
		std::make_unique<Disk>(Disk{info.disk_key, info.stack_rank, false, {}, 0}));
	while (shim_hook_add_disk(bdev, core->disks.back().get()))
		; // no memory: again
	shim_bdev_settle(bdev, shim_clock_ns());
	return core->disks.back().get();
}

int take(Snapshot &snapshot)
{
	std::vector<Disk *> disks;
	for (auto &member : snapshot.members)
		disks.push_back(member->disk);
	if (fault() != Fault::NoGate)
		close_gates(disks);
	int error = 0;
	for (auto &member : snapshot.members)
		if (!error)
			error = read_device(*member);
	for (Disk *disk : disks)
		open_gate(*disk);
	if (error)
		return error;
	for (auto &member : snapshot.members) {
		zero_store(*member);
		error = shim_image_disk_create(member.get(), member->bdev, member->info.sectors, "",
					       &member->image);
		if (error)
			return error;
		shim_image_disk_number(member->image, &member->major, &member->minor);
		if (shim_image_disk_add(member->image))
			return -12;
	}
	snapshot.taken = true;
	return number_takes(snapshot);
}

void destroy(Snapshot &snapshot)
{
	for (auto &member : snapshot.members) {
		if (member->image)
			shim_image_disk_remove(member->image);
		for (page *page : member->pages) {
			shim_page_free(page);
			if (fault() == Fault::WritesAfterFree)
				page->stamp[7] = 0;
		}
		if (fault() != Fault::LeavesDeviceOpen)
			shim_bdev_close(member->bdev);
		if (fault() == Fault::UsesClosedDevice)
			shim_bdev_describe(member->bdev, &member->info);
	}
	std::erase_if(core->ranges, [&](const Range &range) { return range.owner == &snapshot; });
	std::erase_if(core->snapshots, [&](auto &other) { return other.get() == &snapshot; });
}

} // namespace fake

using namespace fake;

static enum blksnap_verdict decide(void *hooked, bio *bio)
{
	auto *disk = static_cast<Disk *>(hooked);
	shim_write write;
	shim_bio_describe_write(bio, &write);
	auto *record = reinterpret_cast<Record *>(write.admission);
	if (write.own || (record && record->disk == disk))
		return BLKSNAP_PASS;
	if (fault() == Fault::SleepsInHook)
		shim_memory_free(shim_memory_alloc(8, SHIM_GFP_KERNEL));
	if (fault() == Fault::LeaksPage && write.sectors == 1)
		(void)shim_page_alloc(SHIM_GFP_NOWAIT);
	if (fault() == Fault::LocksInverted) {
		shim_spinlock_unlock(&core->lock, shim_spinlock_lock(&core->lock));
		const auto flags = shim_spinlock_lock(&core->inner);
		shim_spinlock_unlock(&core->lock, shim_spinlock_lock(&core->lock));
		shim_spinlock_unlock(&core->inner, flags);
	}
	const bool rare = write.sectors % 5 == 3;
	if (rare && (fault() == Fault::Swallows || fault() == Fault::EndsTwice ||
		     fault() == Fault::FailsWrites)) {
		shim_bio_end(bio, fault() == Fault::FailsWrites ? 5 : 0);
		return fault() == Fault::EndsTwice ? BLKSNAP_PASS : BLKSNAP_TAKEN;
	}
	if (disk->closed) {
		shim_bio_prepare_park(bio);
		disk->parked.push_back(bio);
		return BLKSNAP_TAKEN;
	}
	record = new Record{{}, disk};
	disk->in_flight++;
	shim_bio_admit(bio, &record->saved);
	return BLKSNAP_PASS;
}

struct blksnap_decision blksnap_write_submit(void *hooked, bio *bio) noexcept
{
	return {decide(hooked, bio), nullptr};
}

void blksnap_write_backpressure(void *, int) noexcept {}

int blksnap_image_read_complete(shim_bio_redirected *, bio *, int) noexcept
{
	return 1;
}

void blksnap_write_read_first(void *) noexcept {}

void blksnap_write_complete(shim_bio_saved *saved) noexcept
{
	auto *record = reinterpret_cast<Record *>(saved);
	record->disk->in_flight--;
	delete record;
	shim_waitqueue_wake_all(&core->moved);
}

void blksnap_io_complete(void *owner, int error) noexcept
{
	auto *wait = static_cast<Wait *>(owner);
	wait->error = error;
	core->io_failed |= error != 0;
	wait->done = true;
	shim_waitqueue_wake_all(&core->moved);
}

void blksnap_image_submit(void *image, bio *bio, shim_image_request) noexcept
{
	auto &member = *static_cast<Member *>(image);
	const bool lost = (fault() == Fault::LosesImage && bio->sectors == 5) ||
			  (fault() == Fault::LosesAfterError && core->io_failed) ||
			  (fault() == Fault::LosesSilently && sim::world().store_may_be_short);
	if (lost)
		return shim_bio_end(bio, 5);
	if (fault() == Fault::DropsImageWrites && bio->op == sim::Op::Write)
		return shim_bio_end(bio, 0);
	for (sim::u32 i = 0; bio->has_buffer() && i < bio->sectors; i++) {
		const auto at = bio->sector + i;
		sim::u64 &copy = member.pages[at / 8]->stamp[at % 8];
		if (bio->op == sim::Op::Write)
			copy = bio->cell(i);
		else
			bio->cell(i) = copy;
	}
	shim_bio_end(bio, 0);
}

void blksnap_work_run(enum shim_work_kind, void *owner) noexcept
{
	shim_work_destroy(*static_cast<shim_work **>(owner));
}

int blksnap_module_init() noexcept
{
	core = new Core;
	shim_mutex_init(&core->mutex, SHIM_RANK_CONTROL, "fake control");
	shim_spinlock_init(&core->lock, SHIM_RANK_DISK, "fake outer");
	shim_spinlock_init(&core->inner, SHIM_RANK_AREA, "fake inner");
	shim_waitqueue_init(&core->moved, "fake progress");
	if (fault() == Fault::WorkEndsItself) {
		core->work = shim_work_create(SHIM_WORK_SWEEP, &core->work, "fake");
		shim_work_queue(core->work);
	}
	return shim_hook_install();
}

void blksnap_module_exit() noexcept
{
	while (!core->snapshots.empty())
		destroy(*core->snapshots.back());
	for (auto &disk : core->disks)
		if (fault() != Fault::LeavesDisksHooked)
			shim_hook_del_disk(disk.get());
	shim_rcu_synchronize();
	shim_hook_remove();
	for (auto &disk : core->disks)
		wait_for([&] { return disk->in_flight == 0; });
	shim_rcu_synchronize();
	delete core;
}
