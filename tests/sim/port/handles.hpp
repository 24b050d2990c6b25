// SPDX-License-Identifier: GPL-2.0
//
// What the opaque handles of the ports are in the simulator.
#pragma once

#include <blksnap/port/work.h>
#include <world/device.hpp>
#include <world/fiber.hpp>

struct shim_bdev {
	sim::Device *device;
	bool open;
};

struct shim_device {
	sim::Device *device;
	bool held;
};

struct shim_work {
	enum shim_work_kind kind;
	void *owner;
	const char *name;
	bool queued = false;
	bool running = false;
	bool delayed = false;
	bool dying = false;
	sim::u64 delay_ticket = 0;
	sim::Fiber *runner = nullptr;
	sim::Fiber *destroyer = nullptr;
};

namespace sim
{

constexpr u64 kPageCanary = 0x7061676570616765;

Device &device_of(shim_bdev *bdev);

} // namespace sim
