// SPDX-License-Identifier: GPL-2.0
//
// Running the command: arguments in, an exit status out, errors as one line on stderr.
#include "command.hpp"

#include "option_prefix.hpp"

#include <blksnap/error.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <new>
#include <ostream>

namespace blksnap::command
{

namespace
{

constexpr int kFailure = 1;

void add_commands(CLI::App &app, Environment &environment)
{
	add_version(app, environment);
	add_tracker_remove(app, environment);
	add_tracker_collect(app, environment);
	add_tracker_readcbtmap(app, environment);
	add_tracker_readcbtranges(app, environment);
	add_tracker_markdirtyblock(app, environment);
	add_snapshot_create(app, environment);
	add_snapshot_destroy(app, environment);
	add_snapshot_appendstorage(app, environment);
	add_snapshot_take(app, environment);
	add_snapshot_waitevent(app, environment);
	add_snapshot_collect(app, environment);
	add_stretch_snapshot(app, environment);
}

// In scripts an empty value is a variable that was not set. It must not mean that the option is not given, for
// then snapshots of others could be meant.
void refuse_empty_values(CLI::App &app)
{
	const CLI::Validator not_empty{
		[](const std::string &value) { return value.empty() ? "the value is empty" : ""; },
		""};
	for (auto *command : app.get_subcommands([](const CLI::App *) { return true; }))
		for (auto *option : command->get_options())
			if (option->get_expected_min() > 0)
				option->check(not_empty);
}

std::string command_name(const CLI::App &app)
{
	const auto parsed = app.get_subcommands();
	return parsed.empty() ? "" : parsed.front()->get_name();
}

std::string help_command(const CLI::App &app)
{
	const auto name = command_name(app);
	return "blksnap " + (name.empty() ? "" : name + " ") + "--help";
}

bool knows_command(const CLI::App &app, const std::string &name)
{
	const auto all = app.get_subcommands([](const CLI::App *) { return true; });
	return std::any_of(all.begin(), all.end(),
			   [&](const CLI::App *command) { return command->get_name() == name; });
}

int refuse_command(const std::string &name, Environment &environment)
{
	environment.err << "blksnap: cannot run " << name
			<< ": there is no such command; see blksnap --help\n";
	return kFailure;
}

int refuse_arguments(const CLI::App &app, const CLI::ParseError &error, Environment &environment)
{
	environment.err << "blksnap: cannot read the arguments: " << error.what() << "; see "
			<< help_command(app) << "\n";
	return kFailure;
}

// What the library throws is the whole line already.
int report(const Error &error, Environment &environment)
{
	environment.out.flush();
	environment.err << "blksnap: " << error.what() << "\n";
	return kFailure;
}

int report(const CLI::App &app, std::string_view why, std::string_view remedy,
	   Environment &environment)
{
	environment.out.flush();
	environment.err << "blksnap: cannot run " << command_name(app) << ": " << why << "; "
			<< remedy << "\n";
	return kFailure;
}

int finish_output(Environment &environment)
{
	if (environment.out.flush())
		return 0;
	environment.err << "blksnap: cannot write the output: the stream is closed or full; "
			   "check where stdout goes\n";
	return kFailure;
}

int parse(CLI::App &app, std::vector<std::string> arguments, Environment &environment)
{
	try {
		// The parser takes its arguments from the back.
		std::reverse(arguments.begin(), arguments.end());
		app.parse(std::move(arguments));
	} catch (const CLI::CallForHelp &) {
		auto text = app.help();
		environment.out << (text.ends_with('\n') ? text : text + "\n");
	} catch (const CLI::CallForVersion &version) {
		environment.out << version.what() << "\n";
	} catch (const CLI::ParseError &error) {
		return refuse_arguments(app, error, environment);
	} catch (const Error &error) {
		return report(error, environment);
	} catch (const std::bad_alloc &) {
		return report(app, "out of memory", "free some memory and try again", environment);
	} catch (const std::exception &error) {
		return report(app, error.what(), "see " + help_command(app), environment);
	}
	return finish_output(environment);
}

} // namespace

void add_everything(CLI::App &app, Environment &environment)
{
	app.require_subcommand(1);
	app.set_version_flag("-V,--version", "blksnap " BLKSNAP_TOOLS_VERSION,
			     "Print the version of this command and exit");
	app.footer(
		"Devices are given as a path, a mount point, UUID=, LABEL=, PARTUUID=, PARTLABEL= "
		"or\nMAJOR:MINOR. The exit status is 0 on success and 1 on error.\n\n"
		"Example:\n"
		"  id=$(blksnap snapshot_create --device /dev/sda1)\n"
		"  blksnap snapshot_appendstorage --id $id --file /mnt/store/diff\n"
		"  blksnap snapshot_take --id $id\n"
		"  blksnap snapshot_collect --id $id\n"
		"  blksnap snapshot_destroy --id $id");
	add_commands(app, environment);
	refuse_empty_values(app);
}

int run(std::vector<std::string> arguments, Environment &environment)
{
	CLI::App app{"Snapshots of block devices, and which blocks changed between them",
		     "blksnap"};
	add_everything(app, environment);
	const bool named = !arguments.empty() && !arguments.front().starts_with("-");
	if (named && !knows_command(app, arguments.front()))
		return refuse_command(arguments.front(), environment);
	return parse(app, with_full_options(app, std::move(arguments)), environment);
}

} // namespace blksnap::command
