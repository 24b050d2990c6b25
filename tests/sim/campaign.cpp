// SPDX-License-Identifier: GPL-2.0
//
// Campaign: see the header.
#include <campaign.hpp>

#include <blksnap/base/mark.hpp>
#include <case/cases.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <world/report.hpp>

// The marks of the core, laid side by side by the linker. A core without any has none of these.
extern "C" blksnap::CoverageMark __start_coverage_marks[] __attribute__((weak));
extern "C" blksnap::CoverageMark __stop_coverage_marks[] __attribute__((weak));

namespace sim
{

namespace
{

std::span<blksnap::CoverageMark> marks()
{
	return {__start_coverage_marks, __stop_coverage_marks};
}

void *share(std::size_t bytes)
{
	void *memory =
		mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		std::perror("mmap");
		std::exit(2);
	}
	return memory;
}

unsigned long long wide(u64 number)
{
	return number;
}

// No history of a sweep has so many places for a fault: one that comes here would never end.
constexpr u64 kMostFaults = 10'000;

} // namespace

std::string replay_of(const Options &options, u64 seed, const Variant &variant)
{
	std::string command = std::string(options.program) + " --seed " + std::to_string(seed);
	if (variant.test)
		command += std::string(" --case ") + variant.test->name;
	if (variant.plain)
		command += " --plain";
	if (variant.failing_allocation)
		command += " --failing-allocation " + std::to_string(variant.failing_allocation);
	if (variant.failing_user_access)
		command += " --failing-user-access " + std::to_string(variant.failing_user_access);
	return command + " --verbose";
}

Campaign::Campaign(const Options &options, std::vector<Item> items)
	: options_(options), items_(std::move(items)), workers_(options.jobs)
{
	const std::size_t count = workers_.size();
	auto *progress = static_cast<Progress *>(share(sizeof(Progress) * count));
	auto *hits = static_cast<unsigned long *>(
		share(sizeof(unsigned long) * (count * marks().size() + 1)));
	for (u32 i = 0; i < count; i++) {
		workers_[i].progress = progress + i;
		workers_[i].mark_hits = hits + i * marks().size();
		workers_[i].next = i;
	}
}

Statistics Campaign::run_one(Worker &worker, const Item &item, const Variant &variant)
{
	Progress &progress = *worker.progress;
	begin_report(item.seed, replay_of(options_, item.seed, variant));
	const Statistics statistics = run_history(item.seed, variant);
	progress.steps = progress.steps + statistics.steps;
	progress.writes = progress.writes + statistics.writes;
	progress.takes = progress.takes + statistics.takes;
	progress.corrupted = progress.corrupted + statistics.corrupted;
	progress.done = progress.done + 1;
	return statistics;
}

void Campaign::run_item(Worker &worker, const Item &item)
{
	Variant variant = options_.variant;
	variant.test = item.test;
	variant.plain = options_.plain;
	if (options_.sweep == Sweep::None) {
		run_one(worker, item, variant);
		return;
	}
	u64 &nth = options_.sweep == Sweep::Allocations ? variant.failing_allocation
							: variant.failing_user_access;
	do {
		if (nth == kMostFaults) {
			std::fprintf(
				stderr,
				"FAILED seed %llu [simulator]: the sweep does not end\n  replay: %s\n",
				wide(item.seed), replay_of(options_, item.seed, variant).c_str());
			std::exit(1);
		}
		worker.progress->nth = ++nth;
	} while (run_one(worker, item, variant).fault_fired);
}

void Campaign::work(Worker &worker)
{
	for (u64 i = worker.next; i < items_.size(); i += workers_.size()) {
		worker.progress->item = i;
		run_item(worker, items_[i]);
		// What a failed item has hit is not counted: it may be what failed.
		for (auto &mark : marks())
			worker.mark_hits[&mark - marks().data()] += std::exchange(mark.hits, 0);
	}
}

void Campaign::start(Worker &worker)
{
	std::fflush(nullptr);
	worker.pid = fork();
	if (worker.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(worker);
		std::exit(0);
	}
}

// Return: true if there is more to do for this worker.
bool Campaign::ended(Worker &worker, int status)
{
	worker.pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return false;
	failed_++;
	const Item &item = items_[worker.progress->item];
	if (WIFSIGNALED(status)) {
		Variant variant = options_.variant;
		variant.test = item.test;
		variant.plain = options_.plain;
		if (options_.sweep == Sweep::Allocations)
			variant.failing_allocation = worker.progress->nth;
		if (options_.sweep == Sweep::UserAccesses)
			variant.failing_user_access = worker.progress->nth;
		std::fprintf(stderr, "FAILED seed %llu [crash]: signal %d\n  replay: %s\n",
			     wide(item.seed), WTERMSIG(status),
			     replay_of(options_, item.seed, variant).c_str());
	}
	worker.next = worker.progress->item + workers_.size();
	return failed_ < options_.most_failures && worker.next < items_.size();
}

double Campaign::seconds() const
{
	timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<double>(now.tv_sec - begin_.tv_sec) +
	       static_cast<double>(now.tv_nsec - begin_.tv_nsec) * 1e-9;
}

void Campaign::show(bool last)
{
	if (!last && seconds() - shown_ < 10)
		return;
	shown_ = seconds();
	u64 done = 0, steps = 0, writes = 0, takes = 0, corrupted = 0;
	for (const Worker &worker : workers_) {
		done += worker.progress->done;
		steps += worker.progress->steps;
		writes += worker.progress->writes;
		takes += worker.progress->takes;
		corrupted += worker.progress->corrupted;
	}
	const double time = seconds() > 0 ? seconds() : 1;
	std::printf("sim: %llu histories, %.0f/s; %llu writes, %llu takes, %llu images lost, "
		    "%llu steps\n",
		    wide(done), static_cast<double>(done) / time, wide(writes), wide(takes),
		    wide(corrupted), wide(steps));
	if (last)
		std::printf("%llu histories passed, %llu failed\n", wide(done), wide(failed_));
	std::fflush(stdout);
}

bool Campaign::show_marks() const
{
	std::string missing;
	u64 hit = 0;
	for (std::size_t i = 0; i < marks().size(); i++) {
		unsigned long hits = 0;
		for (const Worker &worker : workers_)
			hits += worker.mark_hits[i];
		hit += hits != 0;
		if (!hits)
			missing += std::string("\n  not reached: ") + marks()[i].name;
		if (options_.verbose)
			std::printf("%10lu  %s\n", hits, marks()[i].name);
	}
	const bool tell = options_.require_marks || options_.verbose;
	std::printf("%llu of %zu rare branches reached%s\n", wide(hit), marks().size(),
		    tell ? missing.c_str() : "");
	std::fflush(stdout);
	return missing.empty();
}

int Campaign::run()
{
	clock_gettime(CLOCK_MONOTONIC, &begin_);
	u32 running = 0;
	for (Worker &worker : workers_) {
		start(worker);
		running++;
	}
	while (running) {
		int status = 0;
		bool any = false;
		for (Worker &worker : workers_) {
			if (!worker.pid || waitpid(worker.pid, &status, WNOHANG) != worker.pid)
				continue;
			any = true;
			if (ended(worker, status))
				start(worker);
			else
				running--;
		}
		if (!any)
			usleep(20'000);
		show(false);
	}
	const bool complete = show_marks() || !options_.require_marks;
	show(true);
	return failed_ || !complete ? 1 : 0;
}

} // namespace sim
