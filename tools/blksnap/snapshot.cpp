// SPDX-License-Identifier: GPL-2.0
//
// blksnap snapshot_create, snapshot_take, snapshot_destroy
#include <blksnap/snapshot.hpp>

#include "arguments.hpp"
#include "command.hpp"
#include "json.hpp"

#include <CLI/CLI.hpp>

namespace blksnap::command
{

namespace
{

struct CreateArguments {
	std::vector<std::string> devices;
	bool json = false;
};

void create(Environment &environment, const CreateArguments &arguments)
{
	const auto control = environment.open_control();
	const auto id = create_snapshot(control, resolve_devices(arguments.devices)).to_string();
	if (arguments.json)
		return print(environment.out, {{"snapshot", id}});
	environment.out << id << "\n";
}

} // namespace

void add_snapshot_create(CLI::App &app, Environment &environment)
{
	auto *const command = app.add_subcommand(
		"snapshot_create",
		"Create a snapshot of devices, not yet taken, and print its UUID");
	const auto arguments = std::make_shared<CreateArguments>();
	command->add_option("-d,--device", arguments->devices,
			    "Devices: path, mount point, UUID=, LABEL= or MAJOR:MINOR")
		->required();
	add_json(*command, arguments->json);
	command->footer("Example:\n  blksnap snapshot_create --device /dev/sda1 --device /srv");
	command->callback([arguments, &environment] { create(environment, *arguments); });
}

void add_snapshot_take(CLI::App &app, Environment &environment)
{
	auto *const command =
		app.add_subcommand("snapshot_take", "Cut all devices of a snapshot at one instant");
	const auto id = std::make_shared<std::string>();
	add_id(*command, *id)->required();
	command->footer("Example:\n  blksnap snapshot_take --id $id");
	command->callback([id, &environment] {
		const auto snapshot = Uuid::parse(*id);
		take_snapshot(environment.open_control(), snapshot);
	});
}

void add_snapshot_destroy(CLI::App &app, Environment &environment)
{
	auto *const command =
		app.add_subcommand("snapshot_destroy", "End a snapshot and release its storage");
	const auto id = std::make_shared<std::string>();
	add_id(*command, *id)->required();
	command->footer("Example:\n  blksnap snapshot_destroy --id $id");
	command->callback([id, &environment] {
		const auto snapshot = Uuid::parse(*id);
		destroy_snapshot(environment.open_control(), snapshot);
	});
}

} // namespace blksnap::command
