// SPDX-License-Identifier: GPL-2.0
//
// Arguments that several subcommands take, under one name and with one meaning.
#ifndef BLKSNAP_ARGUMENTS_HPP
#define BLKSNAP_ARGUMENTS_HPP

#include <blksnap/device.hpp>
#include <blksnap/file_extents.hpp>
#include <blksnap/sector_range.hpp>

#include <string>
#include <vector>

namespace CLI
{
class App;
class Option;
} // namespace CLI

namespace blksnap::command
{

CLI::Option *add_id(CLI::App &command, std::string &id);
CLI::Option *add_device(CLI::App &command, std::string &device);
CLI::Option *add_json(CLI::App &command, bool &json);

// Sectors given either as a file, or as a device and ranges on it.
struct Region {
	std::string file;
	std::string device;
	std::vector<std::string> ranges;

	void add_to(CLI::App &command);

	// Throws what the parser throws if neither is given.
	void check() const;

	// Throws Error.
	FileExtents find(ExtentUse use) const;
};

std::vector<Device> resolve_devices(const std::vector<std::string> &arguments);

} // namespace blksnap::command

#endif
