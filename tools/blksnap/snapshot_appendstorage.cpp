// SPDX-License-Identifier: GPL-2.0
//
// blksnap snapshot_appendstorage
#include "arguments.hpp"
#include "command.hpp"
#include "extents.hpp"

#include <blksnap/snapshot.hpp>

#include <CLI/CLI.hpp>

namespace blksnap::command
{

namespace
{

struct Arguments {
	std::string id;
	Region region;
	bool json = false;
};

// Scripts give such files, and what there is serves. Who made the file expects its whole size, though.
void warn_of_holes(const Arguments &arguments, const FileExtents &extents, std::ostream &err)
{
	const auto &path = arguments.region.file;
	const auto found = total_sectors(extents.ranges);
	if (path.empty() || found == extents.size_sectors)
		return;
	err << "blksnap: only " << found << " of the " << extents.size_sectors << " sectors of "
	    << path << " are allocated and used; allocate it in full with fallocate\n";
}

void append(Environment &environment, const Arguments &arguments)
{
	const auto snapshot = Uuid::parse(arguments.id);
	const auto control = environment.open_control();
	const auto extents = arguments.region.find(ExtentUse::SparseStorage);
	warn_of_holes(arguments, extents, environment.err);
	append_storage(control, snapshot, extents.device, extents.ranges);
	if (arguments.json)
		print(environment.out, json_extents(extents));
	else if (!arguments.region.file.empty())
		print_extents(environment.out, extents.ranges);
}

} // namespace

void add_snapshot_appendstorage(CLI::App &app, Environment &environment)
{
	auto *const command = app.add_subcommand(
		"snapshot_appendstorage", "Give diff storage to a snapshot, from a file or device");
	const auto arguments = std::make_shared<Arguments>();
	add_id(*command, arguments->id)->required();
	arguments->region.add_to(*command);
	add_json(*command, arguments->json);
	command->footer(
		"The sectors are overwritten. A file must stay as it is until the snapshot is "
		"destroyed:\nno truncation, no defragmentation, no deletion.\n\n"
		"Examples:\n"
		"  fallocate --length 1GiB /mnt/store/diff\n"
		"  blksnap snapshot_appendstorage --id $id --file /mnt/store/diff\n"
		"  blksnap snapshot_appendstorage --id $id --device /dev/sdc --range 2048:2097152");
	command->callback([arguments, &environment] {
		arguments->region.check();
		append(environment, *arguments);
	});
}

} // namespace blksnap::command
