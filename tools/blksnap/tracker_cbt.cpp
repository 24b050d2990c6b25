// SPDX-License-Identifier: GPL-2.0
//
// blksnap tracker_readcbtmap, tracker_readcbtranges
#include "arguments.hpp"
#include "command.hpp"
#include "json.hpp"

#include <blksnap/cbt_map.hpp>
#include <blksnap/error.hpp>

#include <CLI/CLI.hpp>

#include <cerrno>
#include <fstream>

namespace blksnap::command
{

namespace
{

struct MapArguments {
	std::string device;
	std::string file;
};

struct RangesArguments {
	std::string device;
	std::string generation; // empty: not given
	unsigned since = 0;
	bool json = false;
};

void write_map(const CbtMap &map, const std::string &path)
{
	std::ofstream file{path, std::ios::binary | std::ios::trunc};
	file.write(reinterpret_cast<const char *>(map.blocks.data()),
		   static_cast<std::streamsize>(map.blocks.size()));
	file.close();
	if (!file)
		fail(errno ? errno : EIO, "cannot write file", path, kFileFailures);
}

void print_ranges(std::ostream &out, const std::vector<SectorRange> &ranges)
{
	for (const auto &range : ranges)
		out << range.to_string() << "\n";
}

void print_json(std::ostream &out, const CbtMap &map, unsigned since,
		const std::vector<SectorRange> &ranges)
{
	print(out, {{"device", map.tracker.device.to_string()},
		    {"generationId", map.tracker.generation.to_string()},
		    {"snap_number", map.tracker.snapshot_number},
		    {"since", since},
		    {"device_sectors", map.tracker.capacity_bytes / kSectorSizeBytes},
		    {"changed_sectors", total_sectors(ranges)},
		    {"ranges", json_ranges(ranges)}});
}

std::vector<SectorRange> changes(const CbtMap &map, const RangesArguments &arguments)
{
	const auto since = static_cast<std::uint8_t>(arguments.since);
	if (arguments.generation.empty())
		return map.changed_since(since);
	return map.changed_since(Uuid::parse(arguments.generation), since);
}

void read_ranges(Environment &environment, const RangesArguments &arguments)
{
	const auto device = resolve_device(arguments.device);
	const auto map = CbtMap::read(environment.open_control(), device);
	const auto ranges = changes(map, arguments);
	if (arguments.json)
		return print_json(environment.out, map, arguments.since, ranges);
	print_ranges(environment.out, ranges);
}

} // namespace

void add_tracker_readcbtmap(CLI::App &app, Environment &environment)
{
	auto *const command = app.add_subcommand(
		"tracker_readcbtmap", "Write the CBT map of a snapshotted device to a file");
	const auto arguments = std::make_shared<MapArguments>();
	add_device(*command, arguments->device)->required();
	command->add_option("-f,--file", arguments->file, "File to write, one byte per block")
		->required();
	command->footer(
		"A byte is 0 if the block has not changed in this generation, else the number "
		"of the\nsnapshot that was current at its last change.\n\n"
		"Example:\n  blksnap tracker_readcbtmap --device /dev/sda1 --file sda1.cbt");
	command->callback([arguments, &environment] {
		const auto device = resolve_device(arguments->device);
		write_map(CbtMap::read(environment.open_control(), device), arguments->file);
	});
}

void add_tracker_readcbtranges(CLI::App &app, Environment &environment)
{
	auto *const command =
		app.add_subcommand("tracker_readcbtranges",
				   "Print what changed on a snapshotted device, as SECTOR:COUNT");
	const auto arguments = std::make_shared<RangesArguments>();
	add_device(*command, arguments->device)->required();
	command->add_option("-s,--since", arguments->since,
			    "snap_number at the last backup; 0 for all changes of this generation")
		->required()
		->check(CLI::Range(0, 255));
	command->add_option("-g,--generation", arguments->generation,
			    "generationId at the last backup; an error if it is another one now");
	add_json(*command, arguments->json);
	command->footer(
		"The number counts only within its generation, which a reboot ends, too: note "
		"both, as\ntracker_collect prints them while the snapshot of the backup is held. "
		"If it fails, copy\nthe whole device.\n\n"
		"Example:\n  blksnap tracker_readcbtranges --device /dev/sda1 --generation "
		"$generation --since 3");
	command->callback([arguments, &environment] { read_ranges(environment, *arguments); });
}

} // namespace blksnap::command
