// SPDX-License-Identifier: GPL-2.0
//
// History: see the header.
#include <script/history.hpp>

#include <script/foreign_io.hpp>
#include <world/report.hpp>
#include <world/world.hpp>

namespace sim
{

void TaskGroup::spawn(const char *name, std::function<void()> body)
{
	running_++;
	scheduler().spawn(name, [this, body = std::move(body)] {
		body();
		if (--running_ == 0 && joiner_)
			scheduler().wake(*joiner_);
	});
}

void TaskGroup::join()
{
	while (running_) {
		joiner_ = &scheduler().current();
		scheduler().block("tasks of the script to end");
	}
	joiner_ = nullptr;
}

namespace
{

// What was broken works again, or is gone for good: nothing may wait for ever after this.
void heal(History &history)
{
	for (Device *linear : history.plan.linears)
		if (linear->suspended)
			linear_resume(*linear);
	for (auto &device : world().devices) {
		if (!device->hung)
			continue;
		if (world().random.one_in(2))
			device->removed = true;
		disk_resume(*device);
	}
}

void spawn_tasks(History &history)
{
	const Plan &plan = history.plan;
	for (u32 i = 0; i < plan.writers; i++)
		history.writers.spawn("writer", [&history] { run_writer(history); });
	for (u32 i = 0; i < plan.agents; i++)
		history.agents.spawn("agent", [&history] { run_agent(history); });
	if (plan.chaos || plan.suspends || plan.hangs || plan.removal || plan.kills)
		history.others.spawn("trouble", [&history] { run_trouble(history); });
}

// A store that hangs for ever must not hold up the origin: writers end first. A destroy may wait
// for the store, which answers or fails only after the heal.
void play(History &history)
{
	spawn_tasks(history);
	if (history.plan.hangs)
		history.writers.join();
	else
		history.agents.join();
	history.stopping = true;
	if (history.plan.hangs)
		heal(history);
	history.agents.join();
	if (!history.plan.exit_under_load)
		history.writers.join();
}

void body(History &history)
{
	if (blksnap_module_init() != 0)
		fail("ioctl", "the module does not load");
	world().memory.enabled = true;
	play(history);
	world().memory.enabled = false;
	world().efault_permille = 0;
	for (auto &snapshot : history.snapshots)
		if (snapshot->end_begin == kNever)
			snapshot->end_begin = world().writes.tick();
	for (auto &snapshot : history.snapshots)
		snapshot->stop_waiting = true;
	heal(history);
	history.others.join(); // an open image or a running ioctl keeps the module loaded
	TRACE("unload");
	blksnap_module_exit();
	TRACE("unloaded");
	history.writers.join();
	scheduler().sleep(100'000);
	if (scheduler().fibers().size() > 1)
		fail("leak", "task %s is left", scheduler().fibers().back()->name);
	world().check_empty();
	world().check_origins();
}

} // namespace

Statistics run_history(u64 seed, const char *program)
{
	begin_report(seed, program);
	Scheduler scheduler(seed);
	set_scheduler(&scheduler);
	World world(seed);
	set_world(&world);
	Statistics statistics;
	{
		History history;
		make_plan(history.plan, world);
		if (verbose())
			describe_plan(history.plan);
		scheduler.run([&history] { body(history); });
		for (auto &snapshot : history.snapshots) {
			statistics.takes += snapshot->images.empty() ? 0 : 1;
			for (auto &image : snapshot->images)
				statistics.corrupted += image->corrupted_events;
		}
	}
	statistics.steps = scheduler.steps();
	statistics.writes = world.writes.count();
	return statistics;
}

} // namespace sim
