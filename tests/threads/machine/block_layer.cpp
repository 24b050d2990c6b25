// SPDX-License-Identifier: GPL-2.0
//
// From submission to completion: hook, checks, driver; recursion of drivers becomes a loop, as with
// current->bio_list of the kernel.
#include <machine/machine.hpp>

#include <blksnap/port/bio.h>
#include <blksnap/port/lock.h>
#include <utility>

namespace threads
{

thread_local std::deque<bio *> *bio_list = nullptr;

namespace
{

constexpr int kIo = 5;
constexpr int kWouldWait = 11;

void end_with(bio *bio, int error)
{
	bio->status.store(error, std::memory_order_relaxed);
	end_bio(bio);
}

void drive(bio *bio)
{
	if (bio->device->media)
		disk_submit(bio);
	else
		image_submit(bio);
}

void drive_all(bio *first)
{
	std::deque<bio *> list{first};
	bio_list = &list;
	while (!list.empty()) {
		bio *next = list.front();
		list.pop_front();
		drive(next);
	}
	bio_list = nullptr;
}

// Counted before the hook is asked: whoever waits for writes from before a tracker waits for it, or the
// hook sees the tracker.
bool is_taken(bio *bio)
{
	if (bio->op == Op::Read)
		return false;
	if (bio->own || bio->generation >= 0)
		return hook_takes(bio);
	Device &device = bio->device->whole;
	const u32 generation = device.generation.load() & 1;
	device.writes[generation].fetch_add(1);
	if (hook_takes(bio)) {
		device.writes[generation].fetch_sub(1);
		return true;
	}
	bio->generation = static_cast<int>(generation);
	return false;
}

// Gives what the bio had before it was redirected back. False: the core keeps it.
bool end_redirected(bio *bio)
{
	auto *saved = static_cast<shim_bio_redirected *>(bio->private_data);
	bio->end_io.store(reinterpret_cast<bio::EndIo>(saved->raw[0]), std::memory_order_relaxed);
	bio->private_data = reinterpret_cast<void *>(saved->raw[1]);
	bio->device = reinterpret_cast<Device *>(saved->raw[2]);
	count_live(Live::Record, -1);
	shim_rcu_read_lock();
	const bool ends = blksnap_image_read_complete(saved, bio, bio->status);
	shim_rcu_read_unlock();
	return ends;
}

void end_admitted(bio *bio)
{
	auto *saved = static_cast<shim_bio_saved *>(bio->private_data);
	bio->end_io.store(reinterpret_cast<bio::EndIo>(saved->raw[0]), std::memory_order_relaxed);
	bio->private_data = reinterpret_cast<void *>(saved->raw[1]);
	count_live(Live::Record, -1);
	shim_rcu_read_lock();
	blksnap_write_complete(saved);
	shim_rcu_read_unlock();
}

bio *end_child(bio *bio)
{
	auto *parent = static_cast<struct bio *>(bio->private_data);
	if (const int error = bio->status.load(std::memory_order_relaxed))
		parent->status.store(error, std::memory_order_relaxed);
	if (bio->is_split)
		delete bio;
	return parent;
}

} // namespace

void submit_bio(bio *bio)
{
	check_may_sleep("a submission");
	if (bio->next)
		fail("a bio is submitted with a link set");
	if (is_taken(bio))
		return;
	if (bio->sector + bio->sectors > bio->device->sectors)
		return end_with(bio, kIo);
	if (bio->own && bio->nowait && one_in(3))
		return end_with(bio, kWouldWait);
	bio->sector += bio->device->start;
	bio->device = &bio->device->whole;
	if (bio_list)
		bio_list->push_back(bio);
	else
		drive_all(bio);
}

void chain_bio(bio *child, bio *parent)
{
	child->end_io.store(chained_end_io, std::memory_order_relaxed);
	child->private_data = parent;
	parent->remaining.fetch_add(1, std::memory_order_relaxed);
}

void chained_end_io(bio *) {}
void admitted_end_io(bio *) {}
void redirected_end_io(bio *) {}

void end_bio(bio *bio)
{
	while (bio && bio->remaining.fetch_sub(1, std::memory_order_acq_rel) == 1) {
		const int generation = std::exchange(bio->generation, -1);
		if (generation >= 0)
			bio->device->whole.writes[generation].fetch_sub(1);
		while (bio->end_io.load(std::memory_order_relaxed) == admitted_end_io)
			end_admitted(bio);
		if (bio->end_io.load(std::memory_order_relaxed) == redirected_end_io &&
		    !end_redirected(bio))
			return;
		const auto end_io = bio->end_io.load(std::memory_order_relaxed);
		if (end_io != chained_end_io)
			return end_io(bio);
		bio = end_child(bio);
	}
}

} // namespace threads
