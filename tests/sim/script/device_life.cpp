// SPDX-License-Identifier: GPL-2.0
//
// Device life: see the header.
#include <script/device_life.hpp>

#include <algorithm>
#include <script/foreign_io.hpp>
#include <world/report.hpp>
#include <world/stamp.hpp>

namespace sim
{

namespace
{

constexpr u64 kSmallest = 32;
constexpr u64 kSweepUs = 2'500'000; // two periods, and what delays it

u64 room_below(const Device &device)
{
	return device.lower ? device.lower->sectors - device.lower_start
			    : std::min<u64>(device.content.size() * 2, 4096);
}

bool is_in(const std::vector<Device *> &devices, const Device &device)
{
	return std::find(devices.begin(), devices.end(), &device) != devices.end();
}

} // namespace

void resize(History &, Device &device, u64 sectors)
{
	TRACE("%s: %llu sectors, were %llu", device.name.c_str(), (unsigned long long)sectors,
	      (unsigned long long)device.sectors);
	if (sectors < device.sectors) {
		device.shrunk = true;
	} else {
		world().store_may_be_short = true; // it was planned for the smaller device
	}
	if (device.kind == DeviceKind::Disk)
		for (u64 i = device.content.size(); i < sectors; i++)
			device.content.push_back(Stamp::pack(0, device.id, i));
	device.sectors = sectors;
	device.changed = world().writes.tick();
}

void resize_some(History &history)
{
	Random &random = world().random;
	const auto &list = history.plan.resizable;
	if (list.empty())
		return;
	Device &device = *list[random.below(list.size())];
	if (device.spoilt)
		return;
	const u64 largest = std::max(kSmallest, room_below(device));
	resize(history, device,
	       random.one_in(3) ? std::min(largest, device.sectors + 8 * random.below(20))
				: random.between(kSmallest, largest));
}

void exchange(History &history, Device &disk)
{
	TRACE("%s: another medium", disk.name.c_str());
	WriteLog &writes = world().writes;
	const u32 sectors = static_cast<u32>(disk.content.size());
	const u64 write = writes.begin(disk, Op::Write, 0, sectors, nullptr);
	for (u32 i = 0; i < sectors; i++)
		disk.content[i] = Stamp::pack(write, disk.id, i);
	writes.complete(write, 0);
	disk.diskseq++;
	disk.changed = disk.exchanged = writes.tick();
	for (auto &snapshot : history.snapshots)
		for (auto &image : snapshot->images)
			if (image->origin.bottom() == &disk)
				image->exchanged = true;
}

void exchange_some(History &history)
{
	const auto &list = history.plan.exchangeable;
	if (list.empty())
		return;
	Device &disk = *list[world().random.below(list.size())];
	if (!disk.spoilt)
		exchange(history, disk);
}

void spoil_own(History &history, SnapshotModel &snapshot)
{
	const Plan &plan = history.plan;
	ImageModel &image = *snapshot.images[world().random.below(snapshot.images.size())];
	Device &disk = *image.origin.bottom();
	const bool shrinks =
		plan.resizes && is_in(plan.resizable, image.origin) && image.sectors > kSmallest;
	if (image.origin.spoilt || disk.spoilt)
		return;
	if (shrinks)
		resize(history, image.origin, world().random.between(kSmallest, image.sectors - 1));
	else if (plan.exchanges && is_in(plan.exchangeable, disk))
		exchange(history, disk);
	else
		return;
	image.origin.spoilt = disk.spoilt = true; // nobody changes it back meanwhile
	scheduler().sleep(kSweepUs);
	ForeignIo io(image.image, Op::Read, 0, 1, &image);
	io.submit();
	io.wait();
	if (!io.status() && !plan.removal)
		fail("corruption", "%s is readable, although its device changed",
		     image.image.name.c_str());
	image.origin.spoilt = disk.spoilt = false;
}

} // namespace sim
