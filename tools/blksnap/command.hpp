// SPDX-License-Identifier: GPL-2.0
//
// The blksnap command: what its subcommands share, and where each is added.
//
// What a subcommand prints on stdout is an interface: scripts parse it.
#ifndef BLKSNAP_COMMAND_HPP
#define BLKSNAP_COMMAND_HPP

#include <blksnap/control.hpp>

#include <chrono>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace CLI
{
class App;
}

namespace blksnap::command
{

// The world of one run; tests give another one.
struct Environment {
	std::function<Control()> open_control;
	std::ostream &out;
	std::ostream &err;
	// How long a service waits for an event before it looks after what it could not do.
	std::chrono::milliseconds patience{10'000};
};

// Runs the command with its arguments, the program's name not among them. Return: the exit status.
int run(std::vector<std::string> arguments, Environment &environment);

// All subcommands and the options of the command itself; tests look at what they declare.
void add_everything(CLI::App &app, Environment &environment);

void add_version(CLI::App &app, Environment &environment);
void add_tracker_remove(CLI::App &app, Environment &environment);
void add_tracker_collect(CLI::App &app, Environment &environment);
void add_tracker_readcbtmap(CLI::App &app, Environment &environment);
void add_tracker_readcbtranges(CLI::App &app, Environment &environment);
void add_tracker_markdirtyblock(CLI::App &app, Environment &environment);
void add_snapshot_create(CLI::App &app, Environment &environment);
void add_snapshot_destroy(CLI::App &app, Environment &environment);
void add_snapshot_appendstorage(CLI::App &app, Environment &environment);
void add_snapshot_take(CLI::App &app, Environment &environment);
void add_snapshot_waitevent(CLI::App &app, Environment &environment);
void add_snapshot_collect(CLI::App &app, Environment &environment);
void add_stretch_snapshot(CLI::App &app, Environment &environment);

} // namespace blksnap::command

#endif
