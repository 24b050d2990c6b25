// SPDX-License-Identifier: GPL-2.0
//
// Disks: threads that take requests out of order, move the stamps, and end the bios. Each thread has a
// queue of its own, so that requests of one order as few others as may be.
#include <machine/machine.hpp>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace threads
{

namespace
{

constexpr int kIo = 5;
constexpr u32 kThreads = 2;
constexpr u32 kMostSectors = 48; // larger requests are split

void transfer(bio &bio)
{
	for (u32 i = 0; i < bio.sectors; i++) {
		std::atomic<u64> &media = bio.device->media[bio.sector + i];
		if (bio.op == Op::Read)
			bio.cell(i) = media.load(std::memory_order_relaxed);
		else
			media.store(bio.cell(i), std::memory_order_relaxed);
	}
}

void serve(bio *bio)
{
	if (bio->op != Op::Read && bio->device->fails_writes.load(std::memory_order_relaxed))
		bio->status.store(kIo, std::memory_order_relaxed);
	else
		transfer(*bio);
	end_bio(bio);
}

// The front part is a new bio, chained to the rest, which is the old one.
bio *split(bio *bio)
{
	auto *front = new struct bio;
	front->device = bio->device;
	front->op = bio->op;
	front->sector = bio->sector;
	front->sectors = kMostSectors;
	front->data = bio->data;
	front->pages = bio->pages;
	front->skip = bio->skip;
	front->is_split = true;
	chain_bio(front, bio);
	bio->sector += kMostSectors;
	bio->sectors -= kMostSectors;
	bio->skip += kMostSectors;
	return front;
}

} // namespace

class DiskQueue
{
public:
	DiskQueue() : thread_([this] { run(); }) {}
	~DiskQueue()
	{
		{
			std::lock_guard guard(mutex_);
			stopping_ = true;
			wake_.notify_one();
		}
		thread_.join();
	}
	void push(bio *bio)
	{
		std::lock_guard guard(mutex_);
		waiting_.push_back(bio);
		wake_.notify_one();
	}

private:
	bio *pop()
	{
		std::unique_lock lock(mutex_);
		wake_.wait(lock, [&] { return !waiting_.empty() || stopping_; });
		if (waiting_.empty())
			return nullptr;
		std::swap(waiting_[below(waiting_.size())], waiting_.back());
		bio *bio = waiting_.back();
		waiting_.pop_back();
		return bio;
	}
	void run()
	{
		while (bio *bio = pop()) {
			if (one_in(4))
				pause_us(one_in(16) ? 1500 : 100);
			serve(bio);
		}
	}

	std::mutex mutex_;
	std::condition_variable wake_;
	std::vector<bio *> waiting_;
	bool stopping_ = false;
	std::thread thread_;
};

Device::Device(u32 major, u32 minor, const char *prefix, u64 sectors)
	: major(major), minor(minor), name(prefix + std::to_string(minor)), sectors(sectors),
	  whole(*this)
{
	if (major != kDiskMajor)
		return;
	removed = false;
	media = std::make_unique<std::atomic<u64>[]>(sectors);
	for (u64 i = 0; i < sectors; i++)
		media[i] = make_stamp(minor, i, 0);
	for (u32 i = 0; i < kThreads; i++)
		queues.push_back(std::make_unique<DiskQueue>());
}

Device::Device(Device &disk, u32 minor, u64 start, u64 sectors)
	: major(kDiskMajor), minor(minor), name(disk.name + "p1"), sectors(sectors), whole(disk),
	  start(start)
{
}

Device::~Device() = default;

void disk_submit(bio *bio)
{
	if (bio->sectors > kMostSectors) {
		struct bio *front = split(bio);
		// The rest passes the hook again, after the front.
		submit_bio(bio);
		bio = front;
	}
	if (one_in(16)) // as if it had no queue
		return serve(bio);
	Device &device = *bio->device;
	device.queues[below(device.queues.size())]->push(bio);
}

// --- all of them -----------------------------------------------------------------------------------

namespace
{
std::vector<std::shared_ptr<Device>> disks;
}

void make_disks()
{
	for (u32 i = 0; i < kDisks; i++)
		disks.push_back(std::make_shared<Device>(
			kDiskMajor, i, "disk", i < kOrigins ? kOriginSectors : kStoreSectors));
	disks.push_back(std::make_shared<Device>(*disks[kOrigins - 1], kPartition, 1001, 2000));
}

void remove_disks()
{
	disks.pop_back();
	disks.clear();
}

Device &disk(u32 index)
{
	return *disks[index];
}

std::shared_ptr<Device> find_image(u32 minor);

std::shared_ptr<Device> find_device(u32 major, u32 minor)
{
	if (major == kDiskMajor && minor < disks.size())
		return disks[minor];
	return major == kImageMajor ? find_image(minor) : nullptr;
}

} // namespace threads
