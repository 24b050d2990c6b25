// SPDX-License-Identifier: GPL-2.0
//
// The machine: disks that hold one stamp of 64 bits for each sector, bios, and the way of a bio from its
// submission to its end.
//
// Users of a disk may race with one another, so its stamps are relaxed atomics. All else is as plain as it
// may be, and nothing is locked that a real machine does not lock, so that races of the core are seen.
#pragma once

#include <atomic>
#include <deque>
#include <machine/random.hpp>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

struct page {
	threads::u64 stamp[8];
};

namespace threads
{

constexpr u32 kSectorsPerPage = 8;

class DiskQueue;

struct Device {
	Device(u32 major, u32 minor, const char *prefix, u64 sectors);
	// A partition.
	Device(Device &disk, u32 minor, u64 start, u64 sectors);
	~Device();

	const u32 major;
	const u32 minor;
	const std::string name;
	const u64 sectors;
	Device &whole; // of a partition its disk, else itself
	const u64 start = 0;

	// A disk
	std::unique_ptr<std::atomic<u64>[]> media;
	std::vector<std::unique_ptr<DiskQueue>> queues;
	std::atomic<void *> tracked{nullptr}; // what the core gave for it
	std::atomic<bool> fails_writes{false};
	// Writes in flight, in two generations: who waits for those of one begins the other.
	std::atomic<u32> generation{0};
	std::atomic<long> writes[2]{};
	std::mutex settling; // one at a time

	// An image
	void *image = nullptr;
	std::atomic<bool> removed{true};
	std::shared_mutex inside;
};

enum class Op : u8 { Read, Write, Zeroes, Discard, Flush };

} // namespace threads

struct bio {
	using EndIo = void (*)(bio *);

	threads::Device *device = nullptr;
	threads::u64 sector = 0;
	threads::u32 sectors = 0;
	threads::Op op = threads::Op::Read;
	bool own = false; // of the core's pool
	bool nowait = false;
	bool parked = false;   // held by the core
	bool is_split = false; // cut off from the one that it is chained to
	int generation = -1;   // in which it is counted as a write in flight

	std::atomic<int> status{0}; // positive errno
	std::atomic<threads::u32> remaining{1};
	std::atomic<EndIo> end_io{nullptr};
	void *private_data = nullptr;
	bio *next = nullptr;

	// One array or pages; `skip` sectors of it belong to parts that were cut off before.
	threads::u64 *data = nullptr;
	page *const *pages = nullptr;
	threads::u32 skip = 0;

	threads::u64 &cell(threads::u32 index)
	{
		using threads::kSectorsPerPage;
		const threads::u32 at = index + skip;
		return data ? data[at] : pages[at / kSectorsPerPage]->stamp[at % kSectorsPerPage];
	}
};

namespace threads
{

// Disks, by index. Those behind the origins are for storage. The device behind them is a partition of the
// last origin.
constexpr u32 kOrigins = 3;
constexpr u32 kDisks = 6;
constexpr u32 kPartition = kDisks;
constexpr u32 kDiskMajor = 8;
constexpr u32 kImageMajor = 252;
constexpr u64 kOriginSectors = 4093; // not whole blocks
constexpr u64 kStoreSectors = 16384;
void make_disks();
void remove_disks();
Device &disk(u32 index);
// Null: there is none. Images stay in memory while somebody uses them.
std::shared_ptr<Device> find_device(u32 major, u32 minor);

// The place and the version of what a sector holds.
constexpr u64 make_stamp(u32 disk, u64 sector, u64 version)
{
	return u64{disk} << 60 | sector << 40 | version;
}
constexpr u64 version_of(u64 stamp)
{
	return stamp & ((u64{1} << 40) - 1);
}

void submit_bio(bio *bio);
void end_bio(bio *bio);
void chain_bio(bio *child, bio *parent);

// What stands for functions in `end_io`.
void chained_end_io(bio *);
void admitted_end_io(bio *);
void redirected_end_io(bio *);

// The core has taken it, or let it pass.
bool hook_takes(bio *bio);
void disk_submit(bio *bio);
void image_submit(bio *bio);

// Of the calling thread: bios that it submits inside of a driver come later; and it is a work.
extern thread_local std::deque<bio *> *bio_list;
extern thread_local bool is_work;

void check_may_sleep(const char *what);

} // namespace threads

struct shim_bdev {
	threads::Device *device;
};
