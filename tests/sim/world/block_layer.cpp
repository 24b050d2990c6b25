// SPDX-License-Identifier: GPL-2.0
//
// Submission and completion, in the order of submit_bio_noacct(): hook, checks, partition remap,
// then the driver, with current->bio_list turning recursion into a loop.
#include <world/block_layer.hpp>

#include <blksnap/port/bio.h>
#include <blksnap/port/lock.h>
#include <world/report.hpp>
#include <world/world.hpp>

namespace sim
{

namespace
{

constexpr int kWouldBlock = 11;

// Returns true if the core has taken the bio.
bool hook_takes(bio *bio)
{
	World &w = world();
	if (!w.hook_installed)
		return false;
	const bool may_wait = !scheduler().current().bio_list && !bio->nowait;
	Device *whole = bio->device->whole();
	w.inside_hook++;
	blksnap_decision decision;
	void *tracked;
	do {
		decision = {BLKSNAP_PASS, nullptr};
		tracked = nullptr;
		shim_rcu_read_lock();
		for (const HookEntry &entry : w.hooked)
			if (entry.disk == whole)
				tracked = entry.tracked;
		if (tracked)
			decision = blksnap_write_submit(tracked, bio);
		shim_rcu_read_unlock();
		if (decision.verdict == BLKSNAP_READ_FIRST)
			blksnap_write_read_first(decision.copy);
	} while (decision.verdict == BLKSNAP_READ_FIRST);
	if (decision.verdict == BLKSNAP_TAKEN_CROWDED)
		blksnap_write_backpressure(tracked, may_wait);
	w.inside_hook--;
	return decision.verdict != BLKSNAP_PASS;
}

int check(const bio &bio)
{
	Device &device = *bio.device;
	if (device.gone())
		return 5;
	Device &bottom = *device.bottom();
	if ((bio.op == Op::Discard && !bottom.supports_discard) ||
	    ((bio.op == Op::WriteZeroes || bio.op == Op::Erase) && !bottom.supports_zeroes))
		return 95;
	const u64 start =
		bio.remapped && device.kind == DeviceKind::Partition ? device.lower_start : 0;
	if (bio.sectors && (bio.sector < start || bio.sector - start > device.sectors ||
			    device.sectors - (bio.sector - start) < bio.sectors))
		return 5;
	return 0;
}

// What a request of 1 MiB can be cut into.
constexpr std::size_t kHeldBackLimit = 257;

void drive(bio *bio)
{
	switch (bio->device->whole()->kind) {
	case DeviceKind::Disk:
	case DeviceKind::Partition:
		return disk_submit(bio);
	case DeviceKind::Linear:
		return linear_submit(bio);
	case DeviceKind::Remap:
		return remap_submit(bio);
	case DeviceKind::Image:
		return image_submit(bio);
	}
}

} // namespace

bio *make_bio(Device &device, Op op, u64 sector, u32 sectors)
{
	bio *bio = world().bios.make({});
	bio->device = &device;
	bio->op = op;
	bio->sector = sector;
	bio->sectors = sectors;
	bio->id = world().next_bio++;
	return bio;
}

void submit_bio(bio *bio)
{
	Scheduler &sched = scheduler();
	sched.might_sleep("submit_bio");
	sched.point();
	if (bio->life == BioLife::Ended)
		fail("bio", "bio %llu is submitted after it ended", (unsigned long long)bio->id);
	if (bio->next)
		fail("bio", "bio %llu is submitted with a link set", (unsigned long long)bio->id);
	bio->life = BioLife::Submitted;
	if (changes_data(bio->op) && hook_takes(bio))
		return;
	if (const int error = check(*bio))
		return end_bio(bio, error);
	// The queue has no room just now. Writes of others with this flag are not refused: their fate is none
	// of ours.
	if (bio->own && bio->nowait && bio->id % 3 == 0)
		return end_bio(bio, kWouldBlock);
	if (bio->device->kind == DeviceKind::Partition && !bio->remapped) {
		bio->sector += bio->device->lower_start;
		bio->remapped = true;
	}
	Fiber &self = sched.current();
	if (self.bio_list) {
		self.bio_list->push_back(bio);
		if (bio->own && self.bio_list->size() > kHeldBackLimit)
			fail("context", "a submitter holds back too many own bios");
		return;
	}
	std::vector<struct bio *> list{bio};
	self.bio_list = &list;
	while (!list.empty()) {
		struct bio *first = list.front();
		list.erase(list.begin());
		drive(first);
	}
	self.bio_list = nullptr;
}

void chain_bio(bio *child, bio *parent)
{
	child->end_io = chain_end_io;
	child->private_data = parent;
	parent->remaining++;
}

bio *split_bio(bio *bio, u32 sectors)
{
	struct bio *front = make_bio(*bio->device, bio->op, bio->sector, sectors);
	front->life = BioLife::Submitted;
	front->remapped = bio->remapped;
	front->own = false; // from the split pool of the queue, not from ours
	front->core_use = bio->core_use;
	front->data = bio->data;
	front->pages = bio->pages;
	front->skip = bio->skip;
	front->stamp_write = bio->stamp_write;
	chain_bio(front, bio);
	bio->sector += sectors;
	bio->sectors -= sectors;
	bio->skip += sectors;
	return front;
}

void chain_end_io(bio *) {}
void admitted_end_io(bio *) {}
void redirected_end_io(bio *) {}

void end_bio(bio *bio, int error)
{
	if (error)
		bio->status = error;
	if (error && bio->core_use != CoreUse::None)
		world().harm.on_core_io_failed(*bio);
	end_bio(bio);
}

// False: the core keeps it.
static bool complete_redirected(bio *bio)
{
	auto *saved = static_cast<shim_bio_redirected *>(bio->private_data);
	bio->end_io = reinterpret_cast<bio::EndIo>(saved->raw[0]);
	bio->private_data = reinterpret_cast<void *>(saved->raw[1]);
	bio->device = reinterpret_cast<Device *>(saved->raw[2]);
	bio->remapped = false;
	bio->core_use = CoreUse::None;
	world().live_records--;
	shim_rcu_read_lock();
	const bool ends = blksnap_image_read_complete(saved, bio, bio->status);
	shim_rcu_read_unlock();
	return ends;
}

// Iterative, like the kernel's unwinding of chains: thousands of chained bios need no stack.
void end_bio(bio *bio)
{
	while (bio) {
		if (bio->life == BioLife::Ended)
			fail("bio", "bio %llu ends twice", (unsigned long long)bio->id);
		if (--bio->remaining)
			return;
		while (bio->end_io == admitted_end_io) {
			auto *saved = static_cast<shim_bio_saved *>(bio->private_data);
			bio->end_io = reinterpret_cast<bio::EndIo>(saved->raw[0]);
			bio->private_data = reinterpret_cast<void *>(saved->raw[1]);
			world().live_records--;
			shim_rcu_read_lock();
			blksnap_write_complete(saved);
			shim_rcu_read_unlock();
		}
		if (bio->end_io == redirected_end_io && !complete_redirected(bio))
			return;
		bio->life = BioLife::Ended;
		if (bio->end_io != chain_end_io) {
			if (bio->end_io)
				bio->end_io(bio);
			return;
		}
		auto *parent = static_cast<struct bio *>(bio->private_data);
		if (bio->status)
			parent->status = bio->status;
		bio = parent;
	}
}

} // namespace sim
