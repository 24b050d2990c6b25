// SPDX-License-Identifier: GPL-2.0
//
// blksnap tracker_remove, tracker_collect
#include "arguments.hpp"
#include "command.hpp"
#include "json.hpp"

#include <blksnap/tracker.hpp>

#include <CLI/CLI.hpp>

namespace blksnap::command
{

namespace
{

Json json_of(const TrackerInfo &tracker)
{
	return {{"device", tracker.device.to_string()},
		{"name", device_name(tracker.device)},
		{"blk_size", tracker.block_size_bytes},
		{"device_capacity", tracker.capacity_bytes},
		{"blk_count", tracker.block_count},
		{"generationId", tracker.generation.to_string()},
		{"snap_number", tracker.snapshot_number}};
}

void print_json(std::ostream &out, const std::vector<TrackerInfo> &trackers)
{
	auto array = Json::array();
	for (const auto &tracker : trackers)
		array.push_back(json_of(tracker));
	print(out, {{"count", trackers.size()}, {"trackers", array}});
}

void print_lines(std::ostream &out, const std::vector<TrackerInfo> &trackers)
{
	out << "count=" << trackers.size() << "\n";
	for (const auto &tracker : trackers)
		out << ",\n"
		    << "device=" << tracker.device.to_string() << "\n"
		    << "blk_size=" << tracker.block_size_bytes << "\n"
		    << "device_capacity=" << tracker.capacity_bytes << "\n"
		    << "blk_count=" << tracker.block_count << "\n"
		    << "generationId=" << tracker.generation.to_string() << "\n"
		    << "snap_number=" << unsigned{tracker.snapshot_number} << "\n";
	out << ".\n";
}

} // namespace

void add_tracker_remove(CLI::App &app, Environment &environment)
{
	auto *const command =
		app.add_subcommand("tracker_remove", "Stop tracking the changes of a device");
	const auto device = std::make_shared<std::string>();
	add_device(*command, *device)->required();
	command->footer("Example:\n  blksnap tracker_remove --device /dev/sda1");
	command->callback([device, &environment] {
		remove_tracker(environment.open_control(), resolve_device(*device));
	});
}

void add_tracker_collect(CLI::App &app, Environment &environment)
{
	auto *const command = app.add_subcommand("tracker_collect", "List the tracked devices");
	const auto json = std::make_shared<bool>(false);
	add_json(*command, *json);
	command->footer("Example:\n  blksnap tracker_collect");
	command->callback([json, &environment] {
		const auto trackers = collect_trackers(environment.open_control());
		(*json ? print_json : print_lines)(environment.out, trackers);
	});
}

} // namespace blksnap::command
