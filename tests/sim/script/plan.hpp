// SPDX-License-Identifier: GPL-2.0
//
// Plan: what one history is made of. Everything is drawn from the seed.
//
// Swarm: each history switches some operations and faults off, so that rare combinations are not
// always drowned by common ones.
#pragma once

#include <vector>
#include <world/world.hpp>

namespace sim
{

// A part of a disk that only stores use: like a preallocated file.
struct Reserved {
	Device *disk;	// bottom
	Device *device; // through which it is given
	u64 sector;	// on `device`
	u64 sectors;
	u64 used = 0;
};

struct Plan {
	std::vector<Device *> origins; // may be snapshotted
	std::vector<Device *> paths;   // are written to
	std::vector<Device *> linears;
	std::vector<Device *> stores; // disks that hold nothing but stores
	std::vector<Reserved> reserved;
	std::vector<Device *> resizable;    // nothing else depends on their size
	std::vector<Device *> exchangeable; // disks that hold no store and carry no stack
	Device *ageing_store = nullptr;

	u32 agents = 1;
	u32 cycles = 1;
	u32 writers = 1;
	u32 writer_ops = 20;
	u32 depth = 1;
	u32 largest = 8; // sectors of a request
	u32 image_users = 1;
	u32 pause_us = 0; // between requests, at most

	bool discards = false;
	bool zeroes = false;
	bool flushes = false;
	bool bad_bios = false;
	bool image_writes = false;
	bool backups = false;
	bool chaos = false;
	bool suspends = false;
	bool hangs = false;
	bool removal = false;
	bool io_errors = false;
	bool memory_faults = false;
	bool efaults = false;
	bool tiny_store = false;
	bool store_on_origin = false;
	bool append_late = false;
	bool exit_under_load = false;
	bool leave_snapshot = false; // for the unload to tear down
	bool kills = false;
	bool resizes = false;
	bool exchanges = false;
	bool dirty = false; // MARK_DIRTY
	bool chains = false;
	bool bad_appends = false;
	bool bad_image_bios = false;
	bool inquiries = false;
	bool retakes = false; // a take that failed is tried again
	u32 ageing = 0;	      // takes before everything else: the numbers end at 255

	// Nothing happens that an ioctl may answer with an error.
	bool strict() const
	{
		return !chaos && !removal && !memory_faults && !efaults && !tiny_store &&
		       agents == 1 && !hangs && !io_errors && !world().freeze_timeout_permille &&
		       !world().killed_taker_permille;
	}
	u64 origin_sectors() const;
	// A range of `device` that no store uses. False: none was found.
	bool pick_range(Device &device, u64 &sector, u32 &sectors) const;
};

// `plain`: without the operations and faults of the swarm.
void make_plan(Plan &plan, World &world, bool plain);
// Parameters of a module that nobody has tuned.
void default_params(World &world);
// For the head of a trace.
void describe_plan(const Plan &plan);

} // namespace sim
