// SPDX-License-Identifier: GPL-2.0
//
// What a person is told about the command is all of it: completion, manual page and help have every
// command and every option that the parser has, and no other.
#include "blksnap/command.hpp"

#include "fake_module.hpp"

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

namespace blksnap
{

namespace
{

using Names = std::set<std::string>;

class DocumentedTest : public testing::Test
{
protected:
	DocumentedTest() { command::add_everything(app_, environment_); }

	std::vector<const CLI::App *> commands() const
	{
		const auto &app = app_;
		return app.get_subcommands([](const CLI::App *) { return true; });
	}

	test::FakeModule module_;
	std::ostringstream out_;
	command::Environment environment_{
		.open_control = [this] { return module_.control(); }, .out = out_, .err = out_};
	CLI::App app_;
};

Names option_names(const CLI::App &command)
{
	Names names;
	for (const auto *option : command.get_options()) {
		for (const auto &name : option->get_lnames())
			names.insert("--" + name);
		for (const auto &name : option->get_snames())
			names.insert("-" + name);
	}
	return names;
}

Names run_bash(const std::string &script)
{
	const std::string line = "bash -c '. tools/completions/blksnap; " + script + "'";
	const std::unique_ptr<FILE, int (*)(FILE *)> pipe{popen(line.c_str(), "r"), pclose};
	Names words;
	char word[256];
	while (pipe && std::fscanf(pipe.get(), "%255s", word) == 1)
		words.insert(word);
	return words;
}

// What completion offers after these words.
Names completed(const std::string &words, int position)
{
	return run_bash("COMP_WORDS=(" + words + "); COMP_CWORD=" + std::to_string(position) +
			"; _blksnap; echo \"${COMPREPLY[@]}\"");
}

std::string manual_page()
{
	std::ifstream file{"tools/man/blksnap.8"};
	std::string page{std::istreambuf_iterator<char>{file}, {}};
	std::string plain;
	for (const char letter : page)
		if (letter != '\\')
			plain += letter;
	return plain;
}

// The part of the manual page about one command: from its name in bold to that of the next.
std::string manual_of(const std::string &page, const std::string &command)
{
	std::istringstream lines{page};
	std::string part;
	bool inside = false;
	for (std::string line, before; std::getline(lines, line); before = line) {
		if (before == ".TP" || before == ".TQ")
			inside =
				line == ".B " + command || line.starts_with(".BR " + command + " ");
		if (line.starts_with(".SH"))
			inside = false;
		if (inside)
			part += line + "\n";
	}
	return part;
}

} // namespace

TEST_F(DocumentedTest, completion_offers_the_commands)
{
	Names expected = option_names(app_);
	for (const auto *command : commands())
		expected.insert(command->get_name());
	EXPECT_EQ(completed("blksnap \"\"", 1), expected);
	EXPECT_EQ(completed("blksnap snapshot_ta", 1), Names{"snapshot_take"});
}

TEST_F(DocumentedTest, completion_offers_the_options_of_each_command)
{
	for (const auto *command : commands())
		EXPECT_EQ(completed("blksnap " + command->get_name() + " -", 2),
			  option_names(*command))
			<< command->get_name();
}

TEST_F(DocumentedTest, completion_knows_paths_after_an_equals_sign)
{
	EXPECT_EQ(completed("blksnap stretch_snapshot --path = tools/comp", 4),
		  Names{"tools/completions"});
	EXPECT_EQ(completed("blksnap snapshot_waitevent --timeout \"\"", 3), Names{});
}

TEST_F(DocumentedTest, the_manual_page_has_the_options_of_each_command)
{
	const auto page = manual_page();
	ASSERT_FALSE(page.empty());
	const Names kCommon{"-h", "--help", "--json"};
	for (const auto *command : commands()) {
		const auto part = manual_of(page, command->get_name());
		EXPECT_NE(part, "") << command->get_name();
		for (const auto &name : option_names(*command)) {
			if (kCommon.contains(name))
				continue;
			EXPECT_NE(part.find(name), std::string::npos)
				<< command->get_name() << " " << name;
		}
	}
	for (const auto *name : {"-h", "--help", "-V", "--version", "--json"})
		EXPECT_NE(page.find(name), std::string::npos) << name;
}

TEST_F(DocumentedTest, every_command_that_prints_has_json)
{
	const Names silent{"tracker_remove", "tracker_readcbtmap", "snapshot_destroy",
			   "snapshot_take"};
	for (const auto *command : commands())
		EXPECT_EQ(option_names(*command).contains("--json"),
			  !silent.contains(command->get_name()))
			<< command->get_name();
}

TEST_F(DocumentedTest, every_option_has_a_description)
{
	for (const auto *command : commands())
		for (const auto *option : command->get_options())
			EXPECT_NE(option->get_description(), "")
				<< command->get_name() << " " << option->get_name();
}

} // namespace blksnap
