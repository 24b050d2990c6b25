// SPDX-License-Identifier: GPL-2.0
//
// The head of a trace: the machine, the parameters and what may go wrong.
#include <script/plan.hpp>
#include <world/report.hpp>

namespace sim
{

void describe_plan(const Plan &plan)
{
	World &w = world();
	for (const auto &device : w.devices)
		trace("device %s: %llu sectors%s%s from %llu, split at %u, latency %u us%s%s%s",
		      device->name.c_str(), (unsigned long long)device->sectors,
		      device->lower ? " on " : "", device->lower ? device->lower->name.c_str() : "",
		      (unsigned long long)device->lower_start, device->max_sectors,
		      device->latency_us, device->has_fs ? ", file system" : "",
		      device->faults.read_permille ? ", read errors" : "",
		      device->faults.write_permille ? ", write errors" : "");
	for (const Device *origin : plan.origins)
		trace("origin %s", origin->name.c_str());
	const shim_params &p = w.params;
	trace("pool %u pages, copies %u KiB, parked %u, cow timeout %u ms, tracking shift %u, cpus %u",
	      p.free_diff_buffer_pool_size, p.cow_memory_limit_kib, p.parked_limit,
	      p.cow_timeout_ms, p.tracking_block_minimum_shift, w.cpus);
	const MemoryFaults &memory = w.memory.faults;
	trace("memory faults: nowait %u, any %u per mille, call %llu", memory.nowait_permille,
	      memory.any_permille, (unsigned long long)memory.fail_at);
	trace("user memory faults: %u per mille, access %llu; 32 bit: %u per mille",
	      w.efault_permille, (unsigned long long)w.efault_at, w.compat_permille);
	const struct {
		const char *name;
		bool on;
	} kSwitches[] = {
		{"discards", plan.discards},
		{"zeroes", plan.zeroes},
		{"flushes", plan.flushes},
		{"bad-bios", plan.bad_bios},
		{"image-writes", plan.image_writes},
		{"backups", plan.backups},
		{"chaos", plan.chaos},
		{"suspends", plan.suspends},
		{"hangs", plan.hangs},
		{"removal", plan.removal},
		{"io-errors", plan.io_errors},
		{"efaults", plan.efaults},
		{"tiny-store", plan.tiny_store},
		{"store-on-origin", plan.store_on_origin},
		{"append-late", plan.append_late},
		{"exit-under-load", plan.exit_under_load},
		{"leave-snapshot", plan.leave_snapshot},
		{"kills", plan.kills},
		{"resizes", plan.resizes},
		{"exchanges", plan.exchanges},
		{"dirty", plan.dirty},
		{"chains", plan.chains},
		{"bad-appends", plan.bad_appends},
		{"inquiries", plan.inquiries},
		{"retakes", plan.retakes},
		{"ageing", plan.ageing != 0},
		{"strict", plan.strict()},
	};
	for (const auto &item : kSwitches)
		if (item.on)
			trace("with %s", item.name);
}

} // namespace sim
