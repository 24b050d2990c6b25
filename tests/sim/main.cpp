// SPDX-License-Identifier: GPL-2.0
//
// sim: the command.
#include <campaign.hpp>
#include <case/cases.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <world/report.hpp>

namespace
{

using namespace sim;

int usage(const char *program)
{
	std::fprintf(
		stderr,
		"usage: %s --seed N [--verbose] [--case NAME] [--failing-allocation N]\n"
		"               [--failing-user-access N]      one history, replayed\n"
		"       %s [--histories N] [--first-seed M]    histories of M, M+1, ...\n"
		"       %s --seeds FILE                        of the seeds in a file\n"
		"       %s --cases [--histories N]             N of each fixed script\n"
		"       %s --sweep allocations|user-accesses   each seed, the 1st, 2nd, ... fails\n"
		"  --jobs J          processes at once\n"
		"  --failures F      end after so many\n"
		"  --require-marks   it is a failure if a rare branch was not reached\n"
		"  --plain           without the operations of the swarm\n",
		program, program, program, program, program);
	return 2;
}

bool parse_flag(const char *name, Options &options)
{
	if (!std::strcmp(name, "--verbose"))
		options.verbose = true;
	else if (!std::strcmp(name, "--plain"))
		options.plain = options.variant.plain = true;
	else if (!std::strcmp(name, "--cases"))
		options.cases = true;
	else if (!std::strcmp(name, "--require-marks"))
		options.require_marks = true;
	else
		return false;
	return true;
}

bool parse_sweep(const char *text, Options &options)
{
	if (!std::strcmp(text, "allocations"))
		options.sweep = Sweep::Allocations;
	else if (!std::strcmp(text, "user-accesses"))
		options.sweep = Sweep::UserAccesses;
	return options.sweep != Sweep::None;
}

bool parse_case(const char *text, Options &options)
{
	options.variant.test = find_case(text);
	return options.variant.test;
}

bool parse_value(const char *name, const char *text, Options &options)
{
	const u64 value = std::strtoull(text, nullptr, 0);
	if (!std::strcmp(name, "--seed")) {
		options.first = value;
		options.single = true;
	} else if (!std::strcmp(name, "--histories")) {
		options.histories = value;
	} else if (!std::strcmp(name, "--first-seed")) {
		options.first = value;
	} else if (!std::strcmp(name, "--with-cases")) {
		options.with_cases = value;
	} else if (!std::strcmp(name, "--jobs")) {
		options.jobs = static_cast<u32>(value ? value : 1);
	} else if (!std::strcmp(name, "--failures")) {
		options.most_failures = static_cast<u32>(value);
	} else if (!std::strcmp(name, "--failing-allocation")) {
		options.variant.failing_allocation = value;
	} else if (!std::strcmp(name, "--failing-user-access")) {
		options.variant.failing_user_access = value;
	} else if (!std::strcmp(name, "--seeds")) {
		options.seeds = text;
	} else if (!std::strcmp(name, "--case")) {
		return parse_case(text, options);
	} else if (!std::strcmp(name, "--sweep")) {
		return parse_sweep(text, options);
	} else {
		return false;
	}
	return true;
}

bool parse(int argc, char **argv, Options &options)
{
	options.program = argv[0];
	for (int i = 1; i < argc; i++) {
		if (parse_flag(argv[i], options))
			continue;
		if (i + 1 == argc || !parse_value(argv[i], argv[i + 1], options))
			return false;
		i++;
	}
	return argc > 1;
}

std::vector<Item> read_seeds(const char *path)
{
	std::vector<Item> items;
	std::FILE *file = std::fopen(path, "r");
	if (!file) {
		std::perror(path);
		std::exit(2);
	}
	char line[512];
	while (std::fgets(line, sizeof(line), file)) {
		char *end;
		const u64 seed = std::strtoull(line, &end, 0);
		if (end != line)
			items.push_back({seed, nullptr});
	}
	std::fclose(file);
	return items;
}

std::vector<Item> list_items(const Options &options)
{
	std::vector<Item> items;
	if (options.seeds)
		return read_seeds(options.seeds);
	for (u64 i = 0; !options.cases && i < options.histories; i++)
		items.push_back({options.first + i, options.variant.test});
	const u64 of_each = options.cases ? options.histories : options.with_cases;
	for (u64 i = 0; i < of_each; i++)
		for (const Case &test : all_cases())
			items.push_back({options.first + i, &test});
	return items;
}

int run_single(const Options &options)
{
	set_verbose(options.verbose);
	begin_report(options.first, replay_of(options, options.first, options.variant));
	const Statistics result = run_history(options.first, options.variant);
	std::printf("seed %llu: %llu writes, %llu takes, %llu images lost, %llu steps\n",
		    static_cast<unsigned long long>(options.first),
		    static_cast<unsigned long long>(result.writes),
		    static_cast<unsigned long long>(result.takes),
		    static_cast<unsigned long long>(result.corrupted),
		    static_cast<unsigned long long>(result.steps));
	std::printf("1 histories passed, 0 failed\n");
	return 0;
}

} // namespace

int main(int argc, char **argv)
{
	Options options;
	if (!parse(argc, argv, options))
		return usage(argv[0]);
	if (options.single && options.sweep == Sweep::None)
		return run_single(options);
	return Campaign(options, list_items(options)).run();
}
