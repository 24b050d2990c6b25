// SPDX-License-Identifier: GPL-2.0
//
// World: devices by number, user memory, and what must be zero at the end.
#include <world/world.hpp>

#include <cstdio>
#include <cstdlib>
#include <port/handles.hpp>
#include <sys/mman.h>
#include <world/report.hpp>
#include <world/stamp.hpp>

namespace sim
{

namespace
{
World *instance;
constexpr std::size_t kUserBytes = 1 << 20;

// Where a 32-bit program can point to, and always at the same place.
char *user_memory()
{
	static char *base = [] {
		void *at = reinterpret_cast<void *>(std::size_t{0x20000000});
		void *memory = mmap(at, kUserBytes, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (memory == MAP_FAILED) {
			std::perror("mmap of the programs' memory");
			std::exit(2);
		}
		return static_cast<char *>(memory);
	}();
	return base;
}
} // namespace

World &world()
{
	return *instance;
}

void set_world(World *world)
{
	instance = world;
}

World::World(u64 seed) : random(seed), swarm(seed ^ 0x53574152)
{
	user = user_memory();
	user_bytes = kUserBytes;
	for (std::size_t at = 0; at < kUserBytes; at += kUserSlotBytes)
		user_slots.push_back(user + at);
}

World::~World()
{
	for (shim_bdev *bdev : bdevs)
		delete bdev;
}

Device &World::add_device(DeviceKind kind, const char *prefix, u64 sectors, Device *lower,
			  u64 lower_start)
{
	auto device = std::make_unique<Device>();
	device->kind = kind;
	device->id = static_cast<u32>(devices.size());
	device->major = 8 + static_cast<u32>(kind);
	device->minor = device->id;
	device->name = prefix + std::to_string(device->id);
	device->sectors = sectors;
	device->lower = lower;
	device->lower_start = lower_start;
	if (kind == DeviceKind::Disk) {
		device->content.resize(sectors);
		for (u64 i = 0; i < sectors; i++)
			device->content[i] = Stamp::pack(0, device->id, i);
	}
	devices.push_back(std::move(device));
	return *devices.back();
}

Device *World::find(u32 major, u32 minor)
{
	for (auto &device : devices)
		if (device->major == major && device->minor == minor && major)
			return device.get();
	return nullptr;
}

bool in_store(const Device &disk, u64 sector)
{
	for (const StoreRange &range : world().store_ranges)
		if (range.disk == &disk && sector - range.sector < range.sectors)
			return true;
	return false;
}

void World::check_empty() const
{
	memory.check_all_freed();
	const struct {
		const char *what;
		u64 count;
	} kCounts[] = {
		{"bios with a record", live_records},
		{"own bios", live_ios},
		{"pages", live_pages},
		{"works", live_works},
		{"open devices", live_bdevs},
		{"remembered devices", live_devices},
		{"freezers", live_freezers},
		{"image disks", live_images},
		{"allocations", memory.live()},
		{"hooked disks", hooked.size()},
		{"hooks", hook_installed},
		{"parked bios", live_parked},
	};
	for (const auto &count : kCounts)
		if (count.count)
			fail("leak", "%llu %s are left", (unsigned long long)count.count,
			     count.what);
	if (user_slots.size() != user_bytes / kUserSlotBytes)
		fail("leak", "a call of a program has not returned");
	for (const auto &device : devices)
		if (device->frozen)
			fail("leak", "%s stays frozen", device->name.c_str());
}

void World::check_origins()
{
	const u64 now = writes.tick();
	for (const auto &device : devices) {
		if (device->kind != DeviceKind::Disk)
			continue;
		for (u64 i = 0; i < device->content.size(); i++)
			if (!in_store(*device, i))
				writes.check_read("origin", *device, i, device->content[i], now,
						  now);
	}
}

} // namespace sim
