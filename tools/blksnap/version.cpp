// SPDX-License-Identifier: GPL-2.0
//
// blksnap version
#include "arguments.hpp"
#include "command.hpp"
#include "json.hpp"

#include <CLI/CLI.hpp>

namespace blksnap::command
{

namespace
{

struct Arguments {
	bool modification = false;
	bool compatibility = false;
	bool json = false;
};

void print_version(Environment &environment, bool json)
{
	const auto version = environment.open_control().version();
	if (!json) {
		environment.out << version.to_string() << "\n";
		return;
	}
	print(environment.out, {{"version", version.to_string()},
				{"major", version.major},
				{"minor", version.minor},
				{"revision", version.revision},
				{"build", version.build}});
}

} // namespace

void add_version(CLI::App &app, Environment &environment)
{
	auto *const command = app.add_subcommand("version", "Print the version of the module");
	const auto arguments = std::make_shared<Arguments>();
	add_json(*command, arguments->json);
	// Accepted for the scripts that pass them; this module has nothing to add.
	command->add_flag("-m,--modification", arguments->modification,
			  "Print the modification, of which there is none");
	command->add_flag("-c,--compatibility", arguments->compatibility,
			  "Print compatibility flags, of which there are none");
	command->footer("Example:\n  blksnap version");
	command->callback(
		[arguments, &environment] { print_version(environment, arguments->json); });
}

} // namespace blksnap::command
