// SPDX-License-Identifier: GPL-2.0
//
// Arguments that several subcommands take.
#include "arguments.hpp"

#include <CLI/CLI.hpp>

namespace blksnap::command
{

CLI::Option *add_id(CLI::App &command, std::string &id)
{
	return command.add_option("-i,--id", id, "UUID of the snapshot");
}

CLI::Option *add_device(CLI::App &command, std::string &device)
{
	return command.add_option("-d,--device", device,
				  "Device: path, mount point, UUID=, LABEL= or MAJOR:MINOR");
}

CLI::Option *add_json(CLI::App &command, bool &json)
{
	return command.add_flag("--json", json, "Print JSON");
}

void Region::add_to(CLI::App &command)
{
	auto *const file_option =
		command.add_option("-f,--file", file, "File whose sectors are meant");
	auto *const device_option = add_device(command, device);
	auto *const ranges_option =
		command.add_option("-r,--range,--ranges", ranges,
				   "Ranges of 512-byte sectors on the device, each SECTOR:COUNT");
	device_option->needs(ranges_option)->excludes(file_option);
	ranges_option->needs(device_option)->excludes(file_option);
}

void Region::check() const
{
	if (file.empty() && device.empty())
		throw CLI::RequiredError{"--file, or --device and --range"};
}

FileExtents Region::find(ExtentUse use) const
{
	if (!file.empty())
		return find_file_extents(file, use);
	FileExtents extents{.device = resolve_device(device), .ranges = {}};
	for (const auto &range : ranges)
		extents.ranges.push_back(SectorRange::parse(range));
	return extents;
}

std::vector<Device> resolve_devices(const std::vector<std::string> &arguments)
{
	std::vector<Device> devices;
	devices.reserve(arguments.size());
	for (const auto &argument : arguments)
		devices.push_back(resolve_device(argument));
	return devices;
}

} // namespace blksnap::command
