// SPDX-License-Identifier: GPL-2.0
//
// The core under real threads: writers that never stop, and, between a load and an unload of the module, agents,
// readers of images and an inquirer. Ends with `N passed, 0 failed`, one for each load; or at once, with
// what is wrong.
#include <script/record.hpp>
#include <script/script.hpp>

#include <blksnap/port/control.h>
#include <blksnap/port/lock.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

using namespace threads;

namespace
{

constexpr u32 kWriters = 5;
constexpr u64 kSecondNs = 1'000'000'000;

struct Options {
	u64 seconds = 20;
	u64 seed = 1;
};

Options parse(int count, char **arguments)
{
	Options options;
	for (int i = 1; i < count; i++) {
		if (!std::strcmp(arguments[i], "--seconds") && i + 1 < count)
			options.seconds = std::strtoull(arguments[++i], nullptr, 10);
		else if (!std::strcmp(arguments[i], "--seed") && i + 1 < count)
			options.seed = std::strtoull(arguments[++i], nullptr, 10);
		else if (!std::strcmp(arguments[i], "--verbose"))
			verbose = true;
		else {
			std::fprintf(stderr, "usage: %s [--seconds N] [--seed N] [--verbose]\n",
				     arguments[0]);
			std::exit(2);
		}
	}
	return options;
}

void watch(Stop &stop)
{
	for (u32 i = 1; !stop.load(std::memory_order_relaxed); i++) {
		usleep(100'000);
		check_beats();
		if (i % 50 == 0)
			print_progress();
	}
}

void run_programs(u64 end_ns)
{
	Stop stop{false};
	std::vector<std::thread> programs;
	programs.emplace_back([&] { run_agent(stop, {0, 1}, kOrigins); });
	programs.emplace_back([&] { run_agent(stop, {2}, kOrigins + 1); });
	programs.emplace_back([&] { run_neighbour(stop); });
	programs.emplace_back([&] { run_inquirer(stop); });
	while (now_ns() < end_ns)
		usleep(10'000);
	stop = true;
	for (auto &program : programs)
		program.join();
}

// Programs have closed the control device and the images; writers go on.
void run_module(u64 end_ns)
{
	Beat beat("the load or unload");
	while (const int error = blksnap_module_init())
		if (error != -12)
			fail("the load gives %d", error);
	{
		beat.alive();
		run_programs(end_ns);
	}
	beat.alive();
	blksnap_module_exit();
	// As the kernel's shims do: completions that have told the core come to their end.
	shim_rcu_synchronize();
	check_nothing_lives();
	count_done(Done::Reload);
}

} // namespace

int main(int count, char **arguments)
{
	const Options options = parse(count, arguments);
	random_seed = options.seed * 0x9e3779b97f4a7c15;
	std::printf("%llu s, seed %llu\n", static_cast<unsigned long long>(options.seconds),
		    static_cast<unsigned long long>(options.seed));
	make_disks();

	Stop stop{false};
	std::vector<std::thread> writers;
	for (u32 i = 0; i < kWriters; i++)
		writers.emplace_back([&] { run_writer(stop); });
	writers.emplace_back([&] { run_turns(stop); });
	Stop stop_watch{false};
	std::thread watchdog([&] { watch(stop_watch); });

	const u64 end_ns = now_ns() + options.seconds * kSecondNs;
	while (now_ns() < end_ns)
		run_module(std::min(end_ns, now_ns() + kSecondNs * (1 + below(6))));
	stop = true;
	for (auto &writer : writers)
		writer.join();
	stop_watch = true;
	watchdog.join();
	check_origins();
	remove_disks();

	print_progress();
	if (!done(Done::Take) || !done(Done::ImageSector))
		fail("nothing was tested");
	std::printf("%llu passed, 0 failed\n", static_cast<unsigned long long>(done(Done::Reload)));
	return 0;
}
