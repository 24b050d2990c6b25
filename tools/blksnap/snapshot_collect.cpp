// SPDX-License-Identifier: GPL-2.0
//
// blksnap snapshot_collect
#include <blksnap/snapshot.hpp>

#include "arguments.hpp"
#include "command.hpp"
#include "json.hpp"

#include <blksnap/error.hpp>

#include <CLI/CLI.hpp>

#include <cerrno>

namespace blksnap::command
{

namespace
{

struct Arguments {
	std::string id;
	bool json = false;
};

struct Listed {
	Uuid id;
	std::optional<std::vector<Image>> images; // nothing before the take
};

// A snapshot may be destroyed by somebody else between the two questions.
std::vector<Listed> list_all(const Control &control)
{
	std::vector<Listed> snapshots;
	for (const auto &id : collect_snapshots(control)) {
		try {
			snapshots.push_back({id, collect_images(control, id)});
		} catch (const Error &error) {
			if (error.code() != ESRCH)
				throw;
		}
	}
	return snapshots;
}

std::vector<Listed> list(const Control &control, const std::string &id)
{
	if (id.empty())
		return list_all(control);
	const auto snapshot = Uuid::parse(id);
	return {{snapshot, collect_images(control, snapshot)}};
}

void print_lines(std::ostream &out, const std::vector<Listed> &snapshots)
{
	for (const auto &snapshot : snapshots) {
		const auto images = snapshot.images.value_or(std::vector<Image>{});
		out << "snapshot=" << snapshot.id.to_string() << "\n"
		    << "count=" << images.size() << "\n";
		for (const auto &image : images)
			out << ",\n"
			    << "orig_dev_id=" << image.original.to_string() << "\n"
			    << "image_dev_id=" << image.image.to_string() << "\n";
		out << ".\n";
	}
}

Json json_of(const Listed &snapshot)
{
	auto array = Json::array();
	const auto images = snapshot.images.value_or(std::vector<Image>{});
	for (const auto &image : images)
		array.push_back({{"orig_dev_id", image.original.to_string()},
				 {"orig_name", device_name(image.original)},
				 {"image_dev_id", image.image.to_string()},
				 {"image_name", image.path()}});
	return {{"snapshot", snapshot.id.to_string()},
		{"taken", snapshot.images.has_value()},
		{"count", images.size()},
		{"images", array}};
}

void print_json(std::ostream &out, const std::vector<Listed> &snapshots)
{
	auto array = Json::array();
	for (const auto &snapshot : snapshots)
		array.push_back(json_of(snapshot));
	print(out, {{"snapshots", array}});
}

} // namespace

void add_snapshot_collect(CLI::App &app, Environment &environment)
{
	auto *const command =
		app.add_subcommand("snapshot_collect", "List snapshots and their images");
	const auto arguments = std::make_shared<Arguments>();
	add_id(*command, arguments->id)->description("UUID of the snapshot; all if not given");
	add_json(*command, arguments->json);
	command->footer("The image of MAJOR:MINOR is /dev/blksnap-image<MINOR>.\n\n"
			"Example:\n  blksnap snapshot_collect --json");
	command->callback([arguments, &environment] {
		const auto snapshots = list(environment.open_control(), arguments->id);
		(arguments->json ? print_json : print_lines)(environment.out, snapshots);
	});
}

} // namespace blksnap::command
