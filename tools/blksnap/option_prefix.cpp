// SPDX-License-Identifier: GPL-2.0
//
// Option prefixes, resolved before the parser sees them.
#include "option_prefix.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <optional>
#include <set>

namespace blksnap::command
{

namespace
{

const CLI::App *find_command(const CLI::App &app, const std::string &name)
{
	for (const auto *command : app.get_subcommands([](const CLI::App *) { return true; }))
		if (command->get_name() == name)
			return command;
	return nullptr;
}

// Two names of one option, such as --range and --ranges, do not make a prefix ambiguous.
std::optional<std::string> full_name(const CLI::App &command, const std::string &prefix)
{
	std::set<const CLI::Option *> candidates;
	std::string found;
	for (const auto *option : command.get_options()) {
		for (const auto &name : option->get_lnames()) {
			if (name == prefix)
				return name;
			if (!name.starts_with(prefix))
				continue;
			candidates.insert(option);
			found = name;
		}
	}
	if (candidates.size() != 1)
		return std::nullopt;
	return found;
}

void complete(const CLI::App &command, std::string &argument)
{
	if (!argument.starts_with("--") || argument.size() == 2)
		return;
	const auto equals = std::min(argument.find('='), argument.size());
	if (const auto name = full_name(command, argument.substr(2, equals - 2)))
		argument.replace(2, equals - 2, *name);
}

} // namespace

std::vector<std::string> with_full_options(const CLI::App &app, std::vector<std::string> arguments)
{
	const CLI::App *command = &app;
	for (auto &argument : arguments) {
		if (argument == "--")
			break;
		complete(*command, argument);
		if (command == &app && !argument.starts_with("-"))
			command = find_command(app, argument);
		if (!command)
			break;
	}
	return arguments;
}

} // namespace blksnap::command
