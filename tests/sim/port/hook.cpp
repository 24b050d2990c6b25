// SPDX-License-Identifier: GPL-2.0
//
// Port: the hook and the table of hooked disks.
#include <blksnap/port/hook.h>

#include <algorithm>
#include <port/handles.hpp>
#include <world/report.hpp>
#include <world/world.hpp>

using namespace sim;

int shim_hook_install() noexcept
{
	scheduler().might_sleep("installing the hook");
	scheduler().point();
	if (world().memory.refuses(world().random, false))
		return -16;
	if (world().hook_installed)
		fail("hook", "the hook is installed twice");
	world().hook_installed = true;
	return 0;
}

void shim_hook_remove() noexcept
{
	World &w = world();
	scheduler().might_sleep("removing the hook");
	if (!w.hook_installed || !w.hooked.empty())
		fail("hook", "the hook is removed while %zu disks are in the table",
		     w.hooked.size());
	w.hook_installed = false;
	while (w.inside_hook)
		scheduler().sleep(100);
}

int shim_hook_add_disk(shim_bdev *bdev, void *disk) noexcept
{
	World &w = world();
	scheduler().might_sleep("hooking a disk");
	scheduler().point();
	if (w.memory.refuses(w.random, false))
		return -12;
	Device *whole = device_of(bdev).whole();
	for (const HookEntry &entry : w.hooked)
		if (entry.disk == whole || entry.tracked == disk)
			fail("hook", "%s is hooked twice", whole->name.c_str());
	w.hooked.push_back({whole, disk});
	return 0;
}

void shim_hook_del_disk(void *disk) noexcept
{
	scheduler().might_sleep("unhooking a disk");
	scheduler().point();
	if (!std::erase_if(world().hooked,
			   [&](const auto &entry) { return entry.tracked == disk; }))
		fail("hook", "a disk is unhooked that was not hooked");
}
