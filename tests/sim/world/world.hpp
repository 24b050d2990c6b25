// SPDX-License-Identifier: GPL-2.0
//
// World: all state of the simulated machine of one history, outside of the core.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>
#include <world/bio.hpp>
#include <world/device.hpp>
#include <world/fiber.hpp>
#include <world/memory.hpp>
#include <world/random.hpp>
#include <world/scheduler.hpp>

#include <oracle/cbt_model.hpp>
#include <oracle/harm.hpp>
#include <oracle/image_model.hpp>
#include <oracle/write_log.hpp>

#include <blksnap/port/control.h>

struct shim_work;
struct shim_io;
struct shim_bdev;
struct shim_device;

namespace sim
{

// Objects of a history that are never reused within it, so that a stale pointer stays recognisable.
template <class T> class Store
{
public:
	T *make(T &&object)
	{
		items_.push_back(std::move(object));
		return &items_.back();
	}

private:
	std::deque<T> items_;
};

struct HookEntry {
	Device *disk;
	void *tracked;
};

struct World {
	explicit World(u64 seed);
	~World();

	Random random; // of the machine: latency, faults, what others do
	Random swarm;  // which operations and faults the history has
	Memory memory;
	u64 live_pages = 0;
	u64 live_works = 0;
	u64 live_bdevs = 0;
	u64 live_devices = 0;
	u64 live_ios = 0;
	u64 live_records = 0; // admissions that stand
	u64 live_parked = 0;
	u64 live_freezers = 0;
	u64 live_images = 0;
	Store<shim_work> works;
	Store<shim_device> remembered;
	std::vector<shim_bdev *> bdevs; // freed with the history
	Store<bio> bios;
	u64 next_bio = 1;

	u64 next_rcu_section = 1;
	std::vector<Fiber *> rcu_waiters;
	unsigned cpus = 2;

	// Block layer
	std::vector<std::unique_ptr<Device>> devices;
	bool hook_installed = false;
	u32 inside_hook = 0;
	std::vector<HookEntry> hooked;
	bool settle_gave_up = false; // writes from before a tracker may be unseen

	// Control
	shim_params params{};
	u32 compat_permille = 0; // calls that are made by 32-bit programs
	u32 efault_permille = 0;
	u64 efault_at = 0; // the Nth access to the programs' memory fails, 0: none
	u64 user_accesses = 0;
	bool efault_fired = false;
	char *user = nullptr;
	std::size_t user_bytes = 0;
	std::vector<char *> user_slots;

	Device &add_device(DeviceKind kind, const char *prefix, u64 sectors, Device *lower,
			   u64 lower_start);
	Device *find(u32 major, u32 minor);
	// At the end of a history: nothing may be left, and the disks hold what was written.
	void check_empty() const;
	void check_origins();
	u32 freeze_timeout_permille = 0;
	u32 late_freeze_us = 0; // it goes on so long when the take has given up
	u64 frozen_late_until_us = 0;
	u32 killed_taker_permille = 0;

	// What a case does in the middle of a port call.
	std::function<void()> on_fill;	  // of a part of an image read, from memory
	std::function<void()> on_release; // of a write that was parked
	u32 failing_image_adds = 0;

	// Oracles
	WriteLog writes;
	std::vector<StoreRange> store_ranges;
	std::vector<DirtyMark> dirty_marks;
	std::vector<ImageModel *> images; // that somebody knows of
	Harm harm;
	bool store_may_be_short = false; // there may be too little of it, whoever it belongs to
};

constexpr std::size_t kUserSlotBytes = 16 * 1024;

World &world();
void set_world(World *world);
// The sector was given to a store at some time of the history.
bool in_store(const Device &disk, u64 sector);

} // namespace sim
