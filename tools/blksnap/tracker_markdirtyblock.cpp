// SPDX-License-Identifier: GPL-2.0
//
// blksnap tracker_markdirtyblock
#include "arguments.hpp"
#include "command.hpp"
#include "extents.hpp"

#include <blksnap/tracker.hpp>

#include <CLI/CLI.hpp>

namespace blksnap::command
{

namespace
{

struct Arguments {
	Region region;
	bool json = false;
};

void mark(Environment &environment, const Arguments &arguments)
{
	const auto control = environment.open_control();
	const auto extents = arguments.region.find(ExtentUse::Marking);
	mark_dirty(control, extents.device, extents.ranges);
	if (arguments.json)
		print(environment.out, json_extents(extents));
	else if (!arguments.region.file.empty())
		print_extents(environment.out, extents.ranges);
}

} // namespace

void add_tracker_markdirtyblock(CLI::App &app, Environment &environment)
{
	auto *const command =
		app.add_subcommand("tracker_markdirtyblock", "Have sectors reported as changed");
	const auto arguments = std::make_shared<Arguments>();
	arguments->region.add_to(*command);
	add_json(*command, arguments->json);
	command->footer("Examples:\n"
			"  blksnap tracker_markdirtyblock --device /dev/sda1 --ranges 0:8 2048:16\n"
			"  blksnap tracker_markdirtyblock --file /srv/pagefile");
	command->callback([arguments, &environment] {
		arguments->region.check();
		mark(environment, *arguments);
	});
}

} // namespace blksnap::command
