// SPDX-License-Identifier: GPL-2.0
//
// Plan: see the header. The worlds are small; what matters is that things overlap.
#include <script/plan.hpp>

#include <algorithm>

namespace sim
{

namespace
{

// A whole disk, two partitions of one, or something stacked on it.
void add_origin(Plan &plan, World &w)
{
	Random &random = w.random;
	const u64 sectors = 8 * random.between(8, 160) + (random.one_in(4) ? random.below(8) : 0);
	Device &disk = w.add_device(DeviceKind::Disk, "disk", sectors, nullptr, 0);
	disk.max_sectors = random.one_in(2) ? 0 : static_cast<u32>(random.between(3, 64));
	disk.resubmits_rest = random.one_in(2);
	disk.has_fs = random.one_in(2);
	const u64 shape = random.below(6);
	if (shape >= 4)
		disk.has_fs = false; // it belongs to the stacked device
	// A tracker does not see writes that go to the disk below a stacked device: nobody makes
	// them. The other way round it sees what the stacked device sends down.
	const bool disk_is_origin = shape <= 2 || (shape >= 4 && random.one_in(2));
	if (disk_is_origin)
		plan.origins.push_back(&disk);
	if (shape <= 3 || disk_is_origin)
		plan.paths.push_back(&disk);
	if (shape == 1 || shape == 3) {
		const u64 middle = 8 + random.below(sectors - 16);
		for (const auto &[start, end] :
		     {std::pair<u64, u64>{1, middle}, {middle, sectors}}) {
			Device &part = w.add_device(DeviceKind::Partition, "part", end - start,
						    &disk, start);
			part.has_fs = random.one_in(3);
			plan.paths.push_back(&part);
			if (shape == 3 || random.one_in(4))
				plan.origins.push_back(&part);
		}
	}
	if (shape >= 4) {
		const u64 start = random.below(sectors / 4);
		const auto kind = shape == 4 ? DeviceKind::Linear : DeviceKind::Remap;
		Device &upper =
			w.add_device(kind, shape == 4 ? "dm" : "md", sectors - start, &disk, start);
		upper.max_sectors = random.one_in(2) ? 0 : static_cast<u32>(random.between(5, 40));
		upper.has_fs = random.one_in(2);
		plan.paths.push_back(&upper);
		if (!disk_is_origin)
			plan.origins.push_back(&upper);
		if (!disk_is_origin && random.one_in(3))
			plan.origins.push_back(&disk);
		if (shape == 4)
			plan.linears.push_back(&upper);
	}
}

// Raw sectors below a stacked device belong to that device: nobody stores anything there.
bool carries_stack(const Device &disk, const World &w)
{
	for (const auto &device : w.devices)
		if (device->lower == &disk && device->kind != DeviceKind::Partition)
			return true;
	return false;
}

void reserve_on_origin(Plan &plan, World &w)
{
	for (Device *origin : plan.origins) {
		if (!plan.store_on_origin || origin->sectors < 200 || origin->lower ||
		    carries_stack(*origin, w))
			continue;
		const u64 sectors = origin->sectors / 4;
		const u64 first = origin->sectors - sectors - w.random.below(9);
		plan.reserved.push_back({origin, origin, first, sectors});
		for (auto &device : w.devices) // a file system would write its superblock there
			if (device->lower == origin && device->lower_start >= first)
				device->has_fs = false;
		return;
	}
}

void add_store(Plan &plan, World &w)
{
	u64 need = 0;
	for (Device *origin : plan.origins)
		need += origin->sectors + 64;
	u64 sectors = need * 2 * (plan.agents + 1) * (plan.cycles + 1);
	if (plan.tiny_store)
		sectors = 16 + w.random.below(need / 2);
	const u32 disks = 1 + w.random.one_in(3);
	for (u32 i = 0; i < disks; i++) {
		Device &disk = w.add_device(DeviceKind::Disk, "store", sectors, nullptr, 0);
		disk.max_sectors = w.random.one_in(3) ? 32 : 0;
		plan.stores.push_back(&disk);
		plan.reserved.push_back({&disk, &disk, 0, sectors});
	}
}

void draw_params(Plan &plan, World &w)
{
	Random &random = w.random;
	static constexpr u32 kPools[] = {1, 2, 4, 16, 128};
	static constexpr u32 kLimits[] = {4, 8, 16, 64, 1024, 65536};
	static constexpr u32 kParked[] = {1, 2, 4, 16, 1024};
	static constexpr u32 kTimeouts[] = {2000, 5000, 30000};
	shim_params &params = w.params;
	params.tracking_block_minimum_shift = static_cast<u32>(random.between(12, 16));
	params.tracking_block_maximum_count = random.one_in(4) ? 16 : 2097152;
	params.chunk_minimum_shift = 12;
	params.chunk_maximum_count = 2097152;
	params.chunk_maximum_in_cache = 32;
	params.free_diff_buffer_pool_size = random.pick(kPools);
	params.diff_storage_minimum = 8 * random.between(1, 64);
	params.cow_memory_limit_kib = random.pick(kLimits);
	params.cow_timeout_ms = random.pick(kTimeouts);
	params.parked_limit = random.pick(kParked);
	params.freeze_timeout_ms = 60000;
	params.drain_timeout_ms = 5000;
	w.cpus = static_cast<unsigned>(random.between(1, 4));
	const u32 latency = random.one_in(4) ? 0 : static_cast<u32>(random.between(1, 1500));
	for (auto &device : w.devices)
		device->latency_us = latency;
	if (plan.io_errors) {
		for (auto &device : w.devices) {
			device->faults.read_permille = random.one_in(2) ? 0 : 15;
			device->faults.write_permille = random.one_in(2) ? 0 : 15;
		}
	}
}

void draw_memory_faults(Plan &plan, World &w)
{
	Random &random = w.random;
	MemoryFaults &faults = w.memory.faults;
	if (random.one_in(3))
		faults.nowait_permille = random.one_in(2) ? 1000 : 200;
	if (!plan.memory_faults)
		return;
	if (random.one_in(2))
		faults.any_permille = static_cast<u32>(random.between(1, 50));
	else
		faults.fail_at = 1 + random.below(120);
}

void draw_operations(Plan &plan, Random &random)
{
	plan.agents = random.one_in(3) ? 2 : 1;
	plan.cycles = static_cast<u32>(random.between(1, 3));
	plan.writers = static_cast<u32>(random.between(1, 4));
	plan.writer_ops = static_cast<u32>(random.between(5, 60));
	plan.depth = random.one_in(2) ? 1 : static_cast<u32>(random.between(2, 12));
	static constexpr u32 kLargest[] = {1, 8, 24, 100, 512};
	plan.largest = random.pick(kLargest);
	static constexpr u32 kPauses[] = {0, 20, 300, 3000};
	plan.pause_us = random.pick(kPauses);
	plan.image_users = static_cast<u32>(random.below(4));
	plan.discards = random.one_in(3);
	plan.zeroes = random.one_in(3);
	plan.flushes = random.one_in(4);
	plan.bad_bios = random.one_in(4);
	plan.image_writes = random.one_in(2);
	plan.backups = random.one_in(2);
	plan.append_late = random.one_in(3);
	plan.exit_under_load = random.one_in(3);
	plan.leave_snapshot = random.one_in(5);
	plan.store_on_origin = random.one_in(4);
}

void draw_faults(Plan &plan, World &w)
{
	Random &random = w.random;
	plan.suspends = random.one_in(3);
	if (random.one_in(3))
		return; // nothing goes wrong
	plan.chaos = random.one_in(3);
	plan.hangs = random.one_in(5);
	plan.removal = random.one_in(6);
	plan.io_errors = random.one_in(4);
	plan.memory_faults = random.one_in(4);
	plan.efaults = random.one_in(6);
	plan.tiny_store = random.one_in(4);
	plan.kills = random.one_in(3);
	w.efault_permille = plan.efaults ? 50 : 0;
	w.freeze_timeout_permille = random.one_in(6) ? 300 : 0;
	w.store_may_be_short = plan.tiny_store;
}

// Drawn from a source of their own: what they do not switch on stays as it was.
void draw_swarm(Plan &plan, World &w)
{
	Random &random = w.swarm;
	static constexpr u32 kCompat[] = {0, 0, 500, 1000};
	w.compat_permille = random.pick(kCompat);
	plan.resizes = random.one_in(8);
	plan.exchanges = random.one_in(12);
	plan.dirty = random.one_in(3);
	plan.chains = random.one_in(3);
	plan.bad_appends = random.one_in(4);
	plan.bad_image_bios = random.one_in(8);
	plan.inquiries = random.one_in(4);
	plan.retakes = random.one_in(2);
	w.params.storage_on_origin_after_take = random.one_in(3);
	if (random.one_in(3))
		w.memory.faults.any_permille *= 3;
	if (random.one_in(150))
		plan.ageing = static_cast<u32>(random.between(250, 255));
	if (random.one_in(60)) { // more writes in flight than there are records in reserve
		plan.depth = 32;
		plan.writers = 4;
		plan.writer_ops = 60;
		w.memory.faults.nowait_permille = 1000;
	}
	if (random.one_in(20))
		w.efault_at = 1 + random.below(100);
	plan.efaults |= w.efault_at != 0;
	w.killed_taker_permille = random.one_in(30) ? 300 : 0;
	w.late_freeze_us = random.one_in(2) ? 5000 : 0;
}

bool has_reserved(const Plan &plan, const Device &disk)
{
	for (const Reserved &part : plan.reserved)
		if (part.disk == &disk)
			return true;
	return false;
}

void find_changeable(Plan &plan, World &w)
{
	for (Device *origin : plan.origins) {
		Device &disk = *origin->bottom();
		bool alone = true;
		for (const auto &other : w.devices)
			alone &= other->lower != origin;
		if (has_reserved(plan, disk) || origin->kind == DeviceKind::Partition)
			continue;
		if (alone && origin->kind != DeviceKind::Remap)
			plan.resizable.push_back(origin);
		if (!carries_stack(disk, w) && !origin->lower)
			plan.exchangeable.push_back(origin);
	}
	if (!plan.ageing)
		return;
	plan.ageing_store = &w.add_device(DeviceKind::Disk, "old-store", 256, nullptr, 0);
	w.store_ranges.push_back({plan.ageing_store, 0, 256, nullptr, true});
}

} // namespace

u64 Plan::origin_sectors() const
{
	u64 sum = 0;
	for (const Device *origin : origins)
		sum += origin->sectors;
	return sum;
}

bool Plan::pick_range(Device &device, u64 &sector, u32 &sectors) const
{
	Random &random = world().random;
	for (u32 attempt = 0; attempt < 8; attempt++) {
		sectors =
			static_cast<u32>(1 + random.below(std::min<u64>(largest, device.sectors)));
		sector = random.below(device.sectors - sectors + 1);
		if (random.one_in(2))
			sector &= ~u64{7};
		const u64 start = sector + device.bottom_start();
		bool free = true;
		for (const Reserved &range : reserved)
			free &= range.disk != device.bottom() ||
				start + sectors <= range.sector + range.device->bottom_start() ||
				start >=
					range.sector + range.device->bottom_start() + range.sectors;
		if (free)
			return true;
	}
	return false;
}

void default_params(World &w)
{
	w.params = {
		.tracking_block_minimum_shift = 12,
		.tracking_block_maximum_count = 2097152,
		.chunk_minimum_shift = 12,
		.chunk_maximum_count = 2097152,
		.chunk_maximum_in_cache = 32,
		.free_diff_buffer_pool_size = 16,
		.diff_storage_minimum = 64,
		.storage_on_origin_after_take = 0,
		.cow_memory_limit_kib = 1024,
		.cow_timeout_ms = 30000,
		.parked_limit = 1024,
		.freeze_timeout_ms = 60000,
		.drain_timeout_ms = 5000,
	};
}

void make_plan(Plan &plan, World &w, bool plain)
{
	draw_operations(plan, w.random);
	draw_faults(plan, w);
	const u32 disks = 1 + static_cast<u32>(w.random.below(3));
	for (u32 i = 0; i < disks; i++)
		add_origin(plan, w);
	reserve_on_origin(plan, w);
	add_store(plan, w);
	draw_params(plan, w);
	draw_memory_faults(plan, w);
	if (plain)
		return;
	draw_swarm(plan, w);
	find_changeable(plan, w);
}

} // namespace sim
