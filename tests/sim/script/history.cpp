// SPDX-License-Identifier: GPL-2.0
//
// History: see the header.
#include <script/history.hpp>

#include <case/cases.hpp>
#include <script/foreign_io.hpp>
#include <utility>
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
	if (plan.chaos || plan.suspends || plan.hangs || plan.removal || plan.kills ||
	    plan.resizes || plan.exchanges)
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

// Without memory for this or that nothing is loaded, and nothing is left.
void load_after_failures()
{
	Memory &memory = world().memory;
	const MemoryFaults faults = std::exchange(memory.faults, {});
	memory.enabled = true;
	for (u64 nth = 1;; nth++) {
		memory.fail_nth(nth);
		const int result = blksnap_module_init();
		memory.fail_nth(0);
		if (!result)
			break;
		if (result != -12)
			fail("ioctl", "a load without memory gives %d", result);
		world().check_empty();
	}
	memory.begin_faults(faults);
}

void load(const Variant &variant)
{
	if (!variant.test && !variant.plain && world().swarm.one_in(20))
		load_after_failures();
	else if (blksnap_module_init() != 0)
		fail("ioctl", "the module does not load");
}

void body(History &history, const Variant &variant)
{
	load(variant);
	world().memory.enabled = true;
	if (variant.test)
		variant.test->run(history);
	else
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
	// A timer that was called off may be going off just now.
	for (u32 i = 0; i < 10 && scheduler().fibers().size() > 1; i++)
		scheduler().sleep(100);
	if (scheduler().fibers().size() > 1)
		fail("leak", "task %s is left", scheduler().fibers().back()->name);
	world().check_empty();
	world().check_origins();
}

void prepare(History &history, World &world, const Variant &variant)
{
	Plan &plan = history.plan;
	if (variant.test)
		default_params(world);
	else
		make_plan(plan, world, variant.plain);
	// One of a sweep has an end: the numbers of 250 takes are gone through elsewhere.
	if (variant.failing_allocation || variant.failing_user_access)
		plan.ageing = 0;
	if (variant.failing_allocation) {
		world.memory.faults = {0, 0, variant.failing_allocation};
		plan.memory_faults = true;
	}
	if (variant.failing_user_access) {
		world.efault_permille = 0;
		world.efault_at = variant.failing_user_access;
		plan.efaults = true;
	}
	if (verbose())
		describe_plan(plan);
}

} // namespace

Statistics run_history(u64 seed, const Variant &variant)
{
	Scheduler scheduler(seed);
	set_scheduler(&scheduler);
	World world(seed);
	set_world(&world);
	Statistics statistics;
	{
		History history;
		prepare(history, world, variant);
		scheduler.run([&] { body(history, variant); });
		for (auto &snapshot : history.snapshots) {
			statistics.takes += snapshot->images.empty() ? 0 : 1;
			for (auto &image : snapshot->images)
				statistics.corrupted += image->corrupted_events;
		}
	}
	statistics.steps = scheduler.steps();
	statistics.writes = world.writes.count();
	statistics.fault_fired = variant.failing_allocation    ? world.memory.has_failed()
				 : variant.failing_user_access ? world.efault_fired
							       : false;
	return statistics;
}

} // namespace sim
