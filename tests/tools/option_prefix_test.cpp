// SPDX-License-Identifier: GPL-2.0
//
// Option prefixes: what may be completed, and what has to stay for the parser to refuse.
#include "blksnap/option_prefix.hpp"

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace blksnap
{

namespace
{

std::vector<std::string> completed(std::vector<std::string> arguments)
{
	CLI::App app;
	auto *const command = app.add_subcommand("run");
	std::string text;
	command->add_option("--file", text);
	command->add_option("--filter", text);
	command->add_option("--fil", text);
	command->add_option("--range,--ranges", text);
	return command::with_full_options(app, std::move(arguments));
}

using Arguments = std::vector<std::string>;

} // namespace

TEST(option_prefix, is_completed_only_if_one_option_begins_so)
{
	EXPECT_EQ(completed({"run", "--filt=x"}), (Arguments{"run", "--filter=x"}));
	EXPECT_EQ(completed({"run", "--fi"}), (Arguments{"run", "--fi"}));
	EXPECT_EQ(completed({"run", "--fil"}), (Arguments{"run", "--fil"}));
	EXPECT_EQ(completed({"run", "--x=--filt"}), (Arguments{"run", "--x=--filt"}));
}

TEST(option_prefix, with_two_names_of_one_option_is_unambiguous)
{
	EXPECT_TRUE(completed({"run", "--ra"})[1].starts_with("--range"));
	EXPECT_EQ(completed({"run", "--range"}), (Arguments{"run", "--range"}));
}

TEST(option_prefix, after_two_dashes_or_an_unknown_command_is_left)
{
	EXPECT_EQ(completed({"run", "--", "--filt"}), (Arguments{"run", "--", "--filt"}));
	EXPECT_EQ(completed({"walk", "--filt"}), (Arguments{"walk", "--filt"}));
}

} // namespace blksnap
