// SPDX-License-Identifier: GPL-2.0
//
// Port: deferred work. Each work that is queued gets a fiber, which runs it until nobody has queued
// it again.
#include <blksnap/port/work.h>

#include <port/handles.hpp>
#include <world/report.hpp>
#include <world/world.hpp>

using namespace sim;

namespace
{

const char *kind_name(enum shim_work_kind kind)
{
	switch (kind) {
	case SHIM_WORK_RELEASE:
		return "release";
	case SHIM_WORK_COPY:
		return "copy";
	case SHIM_WORK_STORE:
		return "store";
	case SHIM_WORK_IMAGE:
		return "image-work";
	case SHIM_WORK_SWEEP:
		return "sweep";
	default:
		return "work";
	}
}

void run(shim_work *work)
{
	work->runner = &scheduler().current();
	while (work->queued) {
		work->queued = false;
		scheduler().point();
		blksnap_work_run(work->kind, work->owner);
	}
	work->running = false;
	work->runner = nullptr;
	if (work->destroyer)
		scheduler().wake(*work->destroyer);
}

void start(shim_work *work)
{
	work->queued = true;
	if (work->running)
		return;
	work->running = true;
	scheduler().spawn(kind_name(work->kind), [work] { run(work); });
}

void check_alive(const shim_work *work)
{
	if (work->dying && !work->running)
		fail("work", "%s is queued after its destruction began", kind_name(work->kind));
}

} // namespace

shim_work *shim_work_create(enum shim_work_kind kind, void *owner, const char *name) noexcept
{
	scheduler().might_sleep("work create");
	if (world().memory.refuses(world().random, false))
		return nullptr;
	world().live_works++;
	return world().works.make(shim_work{kind, owner, name});
}

void shim_work_queue(shim_work *work) noexcept
{
	check_alive(work);
	work->delayed = false; // this run comes before
	start(work);
	scheduler().point();
}

void shim_work_queue_delayed(shim_work *work, shim_u32 delay_ms) noexcept
{
	check_alive(work);
	if (work->queued || work->delayed)
		return;
	work->delayed = true;
	const u64 ticket = ++work->delay_ticket;
	scheduler().after(u64{delay_ms} * 1000, "timer", [work, ticket] {
		if (!work->delayed || work->delay_ticket != ticket)
			return;
		work->delayed = false;
		start(work);
	});
}

void shim_work_destroy(shim_work *work) noexcept
{
	scheduler().might_sleep("work destroy");
	if (work->runner == &scheduler().current())
		fail("work", "%s is destroyed by its own run", kind_name(work->kind));
	work->dying = true;
	for (;;) {
		work->delayed = false;
		if (!work->running)
			break;
		work->destroyer = &scheduler().current();
		scheduler().block("a work to end");
	}
	world().live_works--;
	work->owner = nullptr;
	work->kind = SHIM_WORK_RELEASE;
}
